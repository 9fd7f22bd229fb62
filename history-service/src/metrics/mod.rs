//! What history tells of itself in numbers: what this instance applied, how far behind the topic the database is, and
//! what was set aside, as those found it who look at it anyway.

mod lag;
mod proof;

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};
use shared::{
    Timestamp,
    server::metrics::{Definition, Histogram, Metrics, OF_EVERY_SERVICE},
};

pub(crate) use self::lag::Lag;
use self::proof::ProofMetrics;
use crate::progress::{Progress, Totals};

const BATCHES: Definition = Definition::counter(
    "ingest_batches_total",
    "batches",
    "Batches that this instance has committed",
);

const EVENTS: Definition = Definition::counter(
    "ingest_applied_events_total",
    "events",
    "Events that this instance has written into history",
);

const DUPLICATES: Definition = Definition::counter(
    "ingest_duplicate_events_total",
    "events",
    "Events that came again and were in history",
);

const PARKED: Definition = Definition::counter(
    "ingest_parked_events_total",
    "events",
    "Events that came before the one before them",
);

const REFUSED: Definition = Definition::counter(
    "ingest_quarantined_messages_total",
    "messages",
    "Messages that could not be used and were quarantined",
);

const UNKNOWN: Definition = Definition::counter(
    "ingest_unknown_events_total",
    "events",
    "Events of a kind or version that this build does not know; they wait",
);

const JUMPS: Definition = Definition::counter(
    "ingest_offset_jumps_total",
    "jumps",
    "Times that a partition did not hold the message that was expected",
);

const REFILLED: Definition = Definition::counter(
    "ingest_refilled_events_total",
    "events",
    "Events that filled a gap and came from the ledger itself",
);

const BATCH_SIZE: Definition = Definition::histogram(
    "ingest_batch_events",
    "events",
    "Messages in a batch that was committed",
);

const BATCH_DURATION: Definition = Definition::histogram(
    "ingest_batch_duration_seconds",
    "seconds",
    "From having a batch to having committed it",
);

const FRESHNESS: Definition = Definition::histogram(
    "ingest_freshness_seconds",
    "seconds",
    "From the moment at which an event occurred to that at which history has it",
);

const PARTITIONS: Definition = Definition::gauge(
    "ingest_assigned_partitions",
    "partitions",
    "Partitions of the topic that this instance reads",
);

const LAG_EVENTS: Definition = Definition::gauge(
    "ingest_lag_events",
    "events",
    "Messages in the topic that the database does not have, of all instances",
);

const LAG: Definition = Definition::gauge(
    "ingest_lag_seconds",
    "seconds",
    "How long ago the database last had everything, to some seconds",
);

const LAG_LOOK_AGE: Definition = Definition::gauge(
    "ingest_lag_age_seconds",
    "seconds",
    "How old the numbers of the lag are, which is looked at every five seconds",
);

const PARKED_NOW: Definition = Definition::gauge(
    "history_parked_events",
    "events",
    "Events that wait for the one before them; more than a thousand are told as a thousand",
);

const WAITING_NOW: Definition = Definition::gauge(
    "history_waiting_events",
    "events",
    "Events that wait for a build that knows them; more than a thousand are told as a thousand",
);

const OPEN_NOW: Definition = Definition::gauge(
    "history_quarantined_messages",
    "messages",
    "Messages in the quarantine on which nothing was decided; more than a thousand are told as a thousand",
);

const SET_ASIDE_NOW: Definition = Definition::gauge(
    "history_set_aside_events",
    "events",
    "Events that were set aside because the ledger won; more than a thousand are told as a thousand",
);

const UPKEEP_LOOK_AGE: Definition = Definition::gauge(
    "history_look_age_seconds",
    "seconds",
    "How old the numbers are of what is parked, waits, or was set aside, which is looked at every five seconds",
);

const REFILL_WALLETS: Definition = Definition::gauge(
    "refill_wallets",
    "wallets",
    "Wallets that are not as in the ledger: waiting to be filled, forked, unknown or contradictory there, or unreadable here",
)
.by(&["state"]);

const REBUILDS: Definition = Definition::gauge(
    "refill_running_rebuilds",
    "rebuilds",
    "Comparisons of all wallets with the ledger that are not finished",
);

const COMPARISONS: Definition = Definition::counter(
    "history_ledger_comparisons_total",
    "comparisons",
    "Times that this instance has compared the ends of all wallets with the ledger's",
);

const STREAMS_OPEN: Definition = Definition::gauge(
    "history_open_streams",
    "streams",
    "Streams of events that are open",
);

const STREAM_EVENTS: Definition = Definition::counter(
    "history_streamed_events_total",
    "events",
    "Events that were given to streams",
);

const STREAMS_ENDED: Definition = Definition::counter(
    "history_ended_streams_total",
    "streams",
    "Streams that have ended: by their reader, because it was too slow, its token had ended, its user had too many wallets or its next event was archived, or with the process",
)
.by(&["reason"]);

/// Every number of history.
pub const HISTORY: &[Definition] = &[
    BATCHES,
    EVENTS,
    DUPLICATES,
    PARKED,
    REFUSED,
    UNKNOWN,
    JUMPS,
    REFILLED,
    BATCH_SIZE,
    BATCH_DURATION,
    FRESHNESS,
    PARTITIONS,
    LAG_EVENTS,
    LAG,
    LAG_LOOK_AGE,
    PARKED_NOW,
    WAITING_NOW,
    OPEN_NOW,
    SET_ASIDE_NOW,
    UPKEEP_LOOK_AGE,
    REFILL_WALLETS,
    REBUILDS,
    COMPARISONS,
    STREAMS_OPEN,
    STREAM_EVENTS,
    STREAMS_ENDED,
    proof::DRIFTED,
    proof::PROVED,
    proof::AGE,
    proof::WHOLE_AGE,
];

/// Every number that `/metrics` prints.
pub fn definitions() -> Vec<Definition> {
    [&OF_EVERY_SERVICE.concat()[..], HISTORY].concat()
}

/// See the module. Clones share what was counted.
#[derive(Clone, Debug)]
pub struct HistoryMetrics {
    batch_size: Histogram,
    batch_duration: Histogram,
    freshness: Histogram,
    pub(crate) partitions: Gauge,
    lag: Arc<RwLock<Option<Lag>>>,
    kept: Arc<RwLock<Option<(Instant, SetAside)>>>,
    refills: Family<StateLabels, Gauge>,
    rebuilds: Gauge,
    comparisons: Counter,
    pub(crate) streams: StreamMetrics,
    pub(crate) proof: ProofMetrics,
}

/// What streams count.
#[derive(Clone, Default, Debug)]
pub(crate) struct StreamMetrics {
    pub(crate) open: Gauge,
    events: Counter,
    ended: Family<ReasonLabels, Counter>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

impl StreamMetrics {
    pub(crate) fn sent(&self, events: usize) {
        self.events
            .inc_by(u64::try_from(events).unwrap_or(u64::MAX));
    }

    pub(crate) fn ended(&self, reason: &'static str) {
        let reason = ReasonLabels { reason };
        self.ended.get_or_create_owned(&reason).inc();
    }
}

/// What lies beside history.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, sqlx::FromRow)]
pub(crate) struct SetAside {
    pub(crate) parked: i64,
    pub(crate) waiting: i64,
    pub(crate) open: i64,
    pub(crate) set_aside: i64,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

impl Default for HistoryMetrics {
    fn default() -> Self {
        Self {
            batch_size: Histogram::of_sizes(),
            batch_duration: Histogram::of_durations(),
            freshness: Histogram::of_long_durations(),
            partitions: Gauge::default(),
            lag: Arc::default(),
            kept: Arc::default(),
            refills: Family::default(),
            rebuilds: Gauge::default(),
            comparisons: Counter::default(),
            streams: StreamMetrics::default(),
            proof: ProofMetrics::default(),
        }
    }
}

impl HistoryMetrics {
    /// With what `progress` counts.
    pub(crate) fn register(&self, metrics: &Metrics, progress: &Arc<Progress>) {
        for (definition, read) in TOTALS {
            let progress = Arc::clone(progress);
            metrics.read(*definition, move || {
                Some(told_count(read(&progress.totals())))
            });
        }
        metrics.add(BATCH_SIZE, self.batch_size.clone());
        metrics.add(BATCH_DURATION, self.batch_duration.clone());
        metrics.add(FRESHNESS, self.freshness.clone());
        metrics.add(PARTITIONS, self.partitions.clone());
        let lag = |read: fn(Lag) -> f64| {
            let lag = Arc::clone(&self.lag);
            move || (*lag.read().unwrap_or_else(PoisonError::into_inner)).map(read)
        };
        metrics.read(LAG_EVENTS, lag(|lag| told(lag.events)));
        metrics.read(LAG, lag(|lag| lag.lasts().as_secs_f64()));
        metrics.read(LAG_LOOK_AGE, lag(|lag| lag.looked.elapsed().as_secs_f64()));
        let kept = |read: fn(Instant, SetAside) -> f64| {
            let kept = Arc::clone(&self.kept);
            move || {
                let kept = *kept.read().unwrap_or_else(PoisonError::into_inner);
                kept.map(|(at, kept)| read(at, kept))
            }
        };
        metrics.read(PARKED_NOW, kept(|_, kept| told(kept.parked)));
        metrics.read(WAITING_NOW, kept(|_, kept| told(kept.waiting)));
        metrics.read(OPEN_NOW, kept(|_, kept| told(kept.open)));
        metrics.read(SET_ASIDE_NOW, kept(|_, kept| told(kept.set_aside)));
        metrics.read(UPKEEP_LOOK_AGE, kept(|at, _| at.elapsed().as_secs_f64()));
        metrics.add(REFILL_WALLETS, self.refills.clone());
        metrics.add(REBUILDS, self.rebuilds.clone());
        metrics.add(COMPARISONS, self.comparisons.clone());
        metrics.add(STREAMS_OPEN, self.streams.open.clone());
        metrics.add(STREAM_EVENTS, self.streams.events.clone());
        metrics.add(STREAMS_ENDED, self.streams.ended.clone());
        self.proof.register(metrics);
    }

    pub(crate) fn applied(&self, messages: usize, took: Duration) {
        self.batch_size.observe_size(messages);
        self.batch_duration.observe(took);
    }

    /// Events of these moments are in history now.
    pub(crate) fn fresh(&self, occurred_at: &[Timestamp]) {
        let now = Timestamp::now();
        for occurred_at in occurred_at {
            let age = now.utc().signed_duration_since(occurred_at.utc());
            // The clock of the ledger may be ahead of ours.
            self.freshness.observe(age.to_std().unwrap_or_default());
        }
    }

    pub(crate) fn lag(&self, lag: Lag) {
        *self.lag.write().unwrap_or_else(PoisonError::into_inner) = Some(lag);
    }

    /// How long the database has not had everything, as far as that is known.
    pub(crate) fn lasting_lag(&self) -> Duration {
        let lag = *self.lag.read().unwrap_or_else(PoisonError::into_inner);
        lag.map_or(Duration::ZERO, |lag| lag.lasts())
    }

    /// All wallets were compared with the ledger once more.
    pub(crate) fn compared(&self) {
        self.comparisons.inc();
    }

    /// How long the database may not have had everything: since the last look, where that is long ago.
    pub(crate) fn lag_at_most(&self) -> Duration {
        let lag = *self.lag.read().unwrap_or_else(PoisonError::into_inner);
        lag.as_ref().map_or(Duration::ZERO, Lag::at_most)
    }

    /// How far the database is behind the topic: messages, and for how long. None while that is not known.
    pub fn lag_now(&self) -> Option<(i64, Duration)> {
        let lag = *self.lag.read().unwrap_or_else(PoisonError::into_inner);
        let lag = lag.filter(Lag::is_known);
        lag.map(|lag| (lag.events, lag.lasts()))
    }

    /// All that was in the topic by then is in the database; none before that was looked at.
    pub fn complete_until(&self) -> Option<Timestamp> {
        let lag = (*self.lag.read().unwrap_or_else(PoisonError::into_inner))?;
        let ago = lag.looked.elapsed().saturating_add(lag.lasts());
        let micros = i64::try_from(ago.as_micros()).ok()?;
        Timestamp::from_micros(Timestamp::now().micros().checked_sub(micros)?)
    }

    pub(crate) fn set_aside(&self, kept: SetAside) {
        let mut last = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        *last = Some((Instant::now(), kept));
    }

    pub(crate) fn refills(&self, states: [(&'static str, i64); 5], rebuilds: i64) {
        for (state, wallets) in states {
            self.refills
                .get_or_create_owned(&StateLabels { state })
                .set(wallets);
        }
        self.rebuilds.set(rebuilds);
    }
}

type ReadTotal = fn(&Totals) -> u64;

/// What [`Progress`] counts.
const TOTALS: &[(Definition, ReadTotal)] = &[
    (BATCHES, |totals| totals.batches),
    (EVENTS, |totals| totals.events),
    (DUPLICATES, |totals| totals.duplicates),
    (PARKED, |totals| totals.parked),
    (REFUSED, |totals| totals.refused),
    (UNKNOWN, |totals| totals.unknown),
    (JUMPS, |totals| totals.offset_jumps),
    (REFILLED, |totals| totals.refilled),
];

/// To 53 bits.
const fn told_count(count: u64) -> f64 {
    count as f64
}

/// To 53 bits.
const fn told(count: i64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use shared::server::health::Health;

    use super::*;

    #[test]
    fn a_lag_that_was_seen_long_ago_is_not_told_as_that_of_now() {
        let metrics = HistoryMetrics::default();
        let seen = |ago: Duration| Lag {
            events: 0,
            since: None,
            looked: Instant::now().checked_sub(ago).unwrap(),
        };
        metrics.lag(seen(Duration::ZERO));
        assert_eq!(metrics.lag_now(), Some((0, Duration::ZERO)));
        assert_eq!(metrics.lag_at_most(), Duration::ZERO);
        metrics.lag(seen(lag::KNOWN_FOR));
        assert_eq!(metrics.lag_now(), None);
        assert!(metrics.lag_at_most() >= lag::KNOWN_FOR);
    }

    #[test]
    fn every_number_keeps_the_rules_of_names_and_is_registered() {
        let metrics = Metrics::new();
        let progress = Arc::new(Progress::new(&Health::new()));
        progress.metrics().register(&metrics, &progress);
        assert_eq!(metrics.definitions(), HISTORY);
        for definition in HISTORY {
            shared::server::metrics::check(definition).unwrap();
        }
    }
}
