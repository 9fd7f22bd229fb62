//! What was measured: counts and latencies by operation, and a line of moments, one a second.
//!
//! Workers write into shards, so that they hardly ever wait for each other; a shard is read once a second and merged at
//! the end. Latencies are microseconds in HDR histograms: no sample is dropped, and the tail is as exact as the middle.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hdrhistogram::{Histogram, RecordError};
use serde::Serialize;

use super::{call::Trouble, workload::Kind};

/// More shards than cores gain nothing, and each has a histogram for every kind of operation.
const SHARDS_MAX: usize = 16;
/// A latency is told with three digits.
const DIGITS: u8 = 3;

pub(super) type Latencies = Histogram<u64>;

pub(super) fn latencies() -> anyhow::Result<Latencies> {
    Ok(Histogram::new(DIGITS)?)
}

/// Whole microseconds; zero does not exist for a clock that ticks.
pub(super) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX).max(1)
}

/// How an operation ended, as far as the run is concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ending {
    Completed,
    /// By a refusal that belongs to the load.
    Refused,
    /// Otherwise refused, or not answered.
    Failed,
}

#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Counts {
    pub(super) completed: u64,
    pub(super) refused: u64,
    pub(super) failed: u64,
}

impl Counts {
    pub(super) const fn total(self) -> u64 {
        self.completed + self.refused + self.failed
    }

    fn add(&mut self, ending: Ending) {
        match ending {
            Ending::Completed => self.completed += 1,
            Ending::Refused => self.refused += 1,
            Ending::Failed => self.failed += 1,
        }
    }

    fn merge(&mut self, other: Self) {
        self.completed += other.completed;
        self.refused += other.refused;
        self.failed += other.failed;
    }
}

/// Counts with the latencies of everything that was answered.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    pub(super) counts: Counts,
    pub(super) latencies: Latencies,
}

impl Tally {
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            counts: Counts::default(),
            latencies: latencies()?,
        })
    }

    fn add(&mut self, ending: Ending, latency: Duration) -> Result<(), RecordError> {
        self.counts.add(ending);
        match ending {
            Ending::Completed | Ending::Refused => self.latencies.record(micros(latency)),
            Ending::Failed => Ok(()),
        }
    }

    pub(super) fn merge(&mut self, other: &Self) -> anyhow::Result<()> {
        self.counts.merge(other.counts);
        self.latencies.add(&other.latencies)?;
        Ok(())
    }

    fn clear(&mut self) {
        self.counts = Counts::default();
        self.latencies.reset();
    }
}

/// One shard, or all of them merged.
#[derive(Debug)]
pub(super) struct Meter {
    /// In the order of [`Kind::ALL`].
    pub(super) operations: Vec<Tally>,
    pub(super) statuses: BTreeMap<u16, u64>,
    pub(super) troubles: BTreeMap<String, u64>,
    /// Requests that were sent once more because the answer was none.
    pub(super) resent: u64,
    /// Since the last look.
    moment: Tally,
}

impl Meter {
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            operations: (0..Kind::COUNT)
                .map(|_| Tally::new())
                .collect::<anyhow::Result<_>>()?,
            statuses: BTreeMap::new(),
            troubles: BTreeMap::new(),
            resent: 0,
            moment: Tally::new()?,
        })
    }

    pub(super) fn ended(
        &mut self,
        kind: Kind,
        ending: Ending,
        latency: Duration,
    ) -> Result<(), RecordError> {
        self.moment.add(ending, latency)?;
        match self.operations.get_mut(kind as usize) {
            Some(tally) => tally.add(ending, latency),
            None => Ok(()),
        }
    }

    pub(super) fn status(&mut self, status: u16) {
        *self.statuses.entry(status).or_default() += 1;
    }

    pub(super) fn trouble(&mut self, kind: Kind, trouble: &Trouble) {
        if let Some(status) = trouble.status {
            self.status(status);
        }
        let what = format!("{}: {trouble}", kind.name());
        *self.troubles.entry(what).or_default() += 1;
    }

    fn merge(&mut self, other: &Self) -> anyhow::Result<()> {
        for (mine, theirs) in self.operations.iter_mut().zip(&other.operations) {
            mine.merge(theirs)?;
        }
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        for (what, count) in &other.troubles {
            *self.troubles.entry(what.clone()).or_default() += count;
        }
        self.resent += other.resent;
        Ok(())
    }

    /// All kinds together.
    pub(super) fn all(&self) -> anyhow::Result<Tally> {
        let mut all = Tally::new()?;
        for tally in &self.operations {
            all.merge(tally)?;
        }
        Ok(all)
    }
}

/// The shards of a run.
pub(super) struct Meters {
    shards: Vec<Mutex<Meter>>,
}

impl Meters {
    pub(super) fn new(workers: usize) -> anyhow::Result<Self> {
        let shards = (0..workers.clamp(1, SHARDS_MAX))
            .map(|_| Meter::new().map(Mutex::new))
            .collect::<anyhow::Result<_>>()?;
        Ok(Self { shards })
    }

    pub(super) fn of(&self, worker: usize) -> MutexGuard<'_, Meter> {
        locked(&self.shards[worker % self.shards.len()])
    }

    /// What happened since the last look.
    pub(super) fn look(&self) -> anyhow::Result<Tally> {
        let mut seen = Tally::new()?;
        for shard in &self.shards {
            let mut shard = locked(shard);
            seen.merge(&shard.moment)?;
            shard.moment.clear();
        }
        Ok(seen)
    }

    pub(super) fn merged(&self) -> anyhow::Result<Meter> {
        let mut merged = Meter::new()?;
        for shard in &self.shards {
            merged.merge(&locked(shard))?;
        }
        Ok(merged)
    }
}

/// What a panicking holder left is still counts, and the panic itself ends the run.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// About one second of a run. Latencies are microseconds.
#[derive(Clone, Serialize, Debug)]
pub(super) struct Moment {
    /// From the beginning of the load to the end of this moment.
    pub(super) at_ms: u64,
    pub(super) span_ms: u64,
    pub(super) completed: u64,
    pub(super) refused: u64,
    pub(super) failed: u64,
    pub(super) p50_us: u64,
    pub(super) p99_us: u64,
    pub(super) max_us: u64,
    /// Events that waited to be sent; none when wallet-service did not tell.
    pub(super) outbox_events: Option<u64>,
    /// The longest that a sampled write took to be seen in history; none without a sample.
    pub(super) history_lag_us: Option<u64>,
}

impl Moment {
    /// Answered or not, in a second.
    pub(super) const fn rate(&self) -> u64 {
        per_second(self.completed + self.refused + self.failed, self.span_ms)
    }
}

pub(super) const fn per_second(count: u64, span_ms: u64) -> u64 {
    let span_ms = if span_ms == 0 { 1 } else { span_ms };
    count.saturating_mul(1_000) / span_ms
}

/// What people look at first of a distribution, in microseconds.
#[derive(Clone, Copy, Serialize, PartialEq, Eq, Debug)]
pub(super) struct Quantiles {
    pub(super) p50_us: u64,
    pub(super) p95_us: u64,
    pub(super) p99_us: u64,
    pub(super) p99_9_us: u64,
    pub(super) max_us: u64,
}

impl Quantiles {
    pub(super) fn of(latencies: &Latencies) -> Self {
        Self {
            p50_us: latencies.value_at_quantile(0.5),
            p95_us: latencies.value_at_quantile(0.95),
            p99_us: latencies.value_at_quantile(0.99),
            p99_9_us: latencies.value_at_quantile(0.999),
            max_us: latencies.max(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_merge_into_one_without_losing_a_sample() {
        let meters = Meters::new(40).unwrap();
        for worker in 0..40_u32 {
            let latency = Duration::from_micros(u64::from(worker) + 1);
            let mut shard = meters.of(worker as usize);
            shard
                .ended(Kind::Deposit, Ending::Completed, latency)
                .unwrap();
            shard
                .ended(Kind::Withdraw, Ending::Failed, latency)
                .unwrap();
            shard.status(201);
        }
        assert_eq!(meters.look().unwrap().counts.total(), 80);
        assert_eq!(meters.look().unwrap().counts.total(), 0, "looked at once");
        let merged = meters.merged().unwrap();
        let all = merged.all().unwrap();
        assert_eq!((all.counts.completed, all.counts.failed), (40, 40));
        assert_eq!(merged.statuses[&201], 40);
        let quantiles = Quantiles::of(&all.latencies);
        assert_eq!((quantiles.p50_us, quantiles.max_us), (20, 40));
        assert_eq!(all.latencies.len(), 40, "a failure has no latency");
    }
}
