//! What is told of the outbox in numbers: what waits, as the last look found it, and what this instance has sent.

use std::sync::{Arc, PoisonError, RwLock};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};
use shared::server::metrics::{Definition, Histogram, Metrics};
use tokio::time::Instant;

use super::store::rows::Overview;

const EVENTS: Definition = Definition::gauge(
    "outbox_events",
    "events",
    "Events that are committed and not yet in Kafka, of all instances",
);

const OLDEST: Definition = Definition::gauge(
    "outbox_oldest_age_seconds",
    "seconds",
    "How long the oldest event waits to be sent",
);

const RELAY_AGE: Definition = Definition::gauge(
    "outbox_relay_age_seconds",
    "seconds",
    "How long ago a relay, of whichever instance, said that it works",
);

const LOOK_AGE: Definition = Definition::gauge(
    "outbox_look_age_seconds",
    "seconds",
    "How old the numbers are that need a look at the outbox, which is looked at every second",
);

const FAULTS: Definition = Definition::gauge(
    "outbox_topic_faults",
    "faults",
    "What is wrong with the topic: settings that may lose events, and acknowledged messages that are gone",
);

const SENT: Definition = Definition::counter(
    "relay_sent_events_total",
    "events",
    "Events that Kafka has acknowledged to this instance",
);

const SEND: Definition = Definition::histogram(
    "relay_send_duration_seconds",
    "seconds",
    "From handing a batch to the producer to its last acknowledgement",
);

const FAILURES: Definition = Definition::counter(
    "relay_failures_total",
    "failures",
    "Times that the relay of this instance had to begin again",
)
.by(&["reason"]);

const LEASE: Definition = Definition::gauge(
    "relay_lease_held",
    "",
    "1 while this instance is the one that relays",
);

const HELD: Definition = Definition::gauge(
    "relay_held_wallets",
    "wallets",
    "Wallets whose events wait for one that is larger than the topic takes",
);

const REPUBLISHED: Definition = Definition::counter(
    "republish_events_total",
    "events",
    "Stored events that this instance has put into the outbox once more",
);

const REPUBLISHING: Definition = Definition::gauge(
    "republish_running",
    "",
    "1 while this instance is carrying out an order to send events once more",
);

/// Every number about the outbox and the relay.
pub const OUTBOX: &[Definition] = &[
    EVENTS,
    OLDEST,
    RELAY_AGE,
    LOOK_AGE,
    FAULTS,
    SENT,
    SEND,
    FAILURES,
    LEASE,
    HELD,
    REPUBLISHED,
    REPUBLISHING,
];

/// See the module. Clones share what was counted.
#[derive(Clone, Debug)]
pub struct OutboxMetrics {
    seen: Arc<RwLock<Option<Seen>>>,
    pub(super) sent: Counter,
    pub(super) send: Histogram,
    failures: Family<FailureLabels, Counter>,
    pub(super) lease: Gauge,
    pub(super) held: Gauge,
    pub(super) republished: Counter,
    pub(super) republishing: Gauge,
}

/// What the last look found.
#[derive(Clone, Copy, Debug)]
struct Seen {
    at: Instant,
    events: i64,
    oldest_age_seconds: i64,
    relay_age_seconds: Option<i64>,
    faults: usize,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct FailureLabels {
    reason: &'static str,
}

impl Default for OutboxMetrics {
    fn default() -> Self {
        Self {
            seen: Arc::default(),
            sent: Counter::default(),
            send: Histogram::of_durations(),
            failures: Family::default(),
            lease: Gauge::default(),
            held: Gauge::default(),
            republished: Counter::default(),
            republishing: Gauge::default(),
        }
    }
}

impl OutboxMetrics {
    pub fn registered(metrics: &Metrics) -> Self {
        let kept = Self::default();
        kept.register(metrics);
        kept
    }

    fn register(&self, metrics: &Metrics) {
        let seen = |read: fn(&Seen) -> Option<f64>| {
            let seen = Arc::clone(&self.seen);
            move || {
                let seen = *seen.read().unwrap_or_else(PoisonError::into_inner);
                seen.as_ref().and_then(read)
            }
        };
        metrics.read(EVENTS, seen(|seen| told(seen.events)));
        metrics.read(OLDEST, seen(|seen| told(seen.oldest_age_seconds)));
        metrics.read(RELAY_AGE, seen(|seen| told(seen.relay_age_seconds?)));
        metrics.read(LOOK_AGE, seen(|seen| Some(seen.at.elapsed().as_secs_f64())));
        metrics.read(FAULTS, seen(|seen| told(i64::try_from(seen.faults).ok()?)));
        metrics.add(SENT, self.sent.clone());
        metrics.add(SEND, self.send.clone());
        metrics.add(FAILURES, self.failures.clone());
        metrics.add(LEASE, self.lease.clone());
        metrics.add(HELD, self.held.clone());
        metrics.add(REPUBLISHED, self.republished.clone());
        metrics.add(REPUBLISHING, self.republishing.clone());
    }

    pub(super) fn looked(&self, overview: &Overview) {
        let Overview {
            events,
            oldest_age_seconds,
            relay_age_seconds,
            faults,
            is_lost,
            message_bytes_max: _,
        } = overview;
        let seen = Seen {
            at: Instant::now(),
            events: *events,
            oldest_age_seconds: *oldest_age_seconds,
            relay_age_seconds: *relay_age_seconds,
            faults: faults.as_ref().map_or(0, Vec::len) + usize::from(*is_lost),
        };
        *self.seen.write().unwrap_or_else(PoisonError::into_inner) = Some(seen);
    }

    pub(super) fn relay_failed(&self, reason: &'static str) {
        self.failures
            .get_or_create_owned(&FailureLabels { reason })
            .inc();
    }
}

/// To 53 bits.
const fn told(value: i64) -> Option<f64> {
    Some(value as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_keeps_the_rules_of_names_and_is_registered() {
        let metrics = Metrics::new();
        OutboxMetrics::registered(&metrics);
        assert_eq!(metrics.definitions(), OUTBOX);
        for definition in OUTBOX {
            shared::server::metrics::check(definition).unwrap();
        }
    }
}
