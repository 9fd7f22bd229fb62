//! Counts and latencies by operation.
//!
//! Workers write into shards, so that they hardly ever wait for each other; a shard is read once a second and merged at
//! the end.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::RecordError;
use parking_lot::{Mutex, MutexGuard};

use crate::load::{
    http::delivery::RequestFailure,
    measure::latency::{Latencies, latencies, micros},
    operation::Kind,
};

/// More shards than cores gain nothing, and each has a histogram for every kind of operation.
const SHARDS_MAX: usize = 16;

/// How an operation ended, as far as the run is concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum OperationResult {
    Completed,
    /// By a refusal that belongs to the load.
    Refused,
    /// Otherwise refused, or not answered.
    Failed,
}

#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Counts {
    pub(crate) completed: u64,
    pub(crate) refused: u64,
    pub(crate) failed: u64,
}

impl Counts {
    pub(crate) const fn total(self) -> u64 {
        self.completed + self.refused + self.failed
    }

    fn add(&mut self, ending: OperationResult) {
        match ending {
            OperationResult::Completed => self.completed += 1,
            OperationResult::Refused => self.refused += 1,
            OperationResult::Failed => self.failed += 1,
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
pub(crate) struct Tally {
    pub(crate) counts: Counts,
    pub(crate) latencies: Latencies,
}

impl Tally {
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            counts: Counts::default(),
            latencies: latencies()?,
        })
    }

    fn add(&mut self, ending: OperationResult, latency: Duration) -> Result<(), RecordError> {
        self.counts.add(ending);
        match ending {
            OperationResult::Completed | OperationResult::Refused => {
                self.latencies.record(micros(latency))
            }
            OperationResult::Failed => Ok(()),
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) -> anyhow::Result<()> {
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
pub(crate) struct Meter {
    /// In the order of [`Kind::ALL`].
    pub(crate) operations: Vec<Tally>,
    pub(crate) statuses: BTreeMap<u16, u64>,
    pub(crate) failures: BTreeMap<String, u64>,
    /// Requests that were sent once more because the answer was none.
    pub(crate) resent: u64,
    /// Since the last look.
    interval: Tally,
}

impl Meter {
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            operations: (0..Kind::COUNT)
                .map(|_| Tally::new())
                .collect::<anyhow::Result<_>>()?,
            statuses: BTreeMap::new(),
            failures: BTreeMap::new(),
            resent: 0,
            interval: Tally::new()?,
        })
    }

    pub(crate) fn record(
        &mut self,
        kind: Kind,
        ending: OperationResult,
        latency: Duration,
    ) -> Result<(), RecordError> {
        self.interval.add(ending, latency)?;
        match self.operations.get_mut(kind as usize) {
            Some(tally) => tally.add(ending, latency),
            None => Ok(()),
        }
    }

    pub(crate) fn record_status(&mut self, status: u16) {
        *self.statuses.entry(status).or_default() += 1;
    }

    pub(crate) fn record_failure(&mut self, kind: Kind, failure: &RequestFailure) {
        if let Some(status) = failure.status {
            self.record_status(status);
        }
        let what = format!("{}: {failure}", kind.name());
        *self.failures.entry(what).or_default() += 1;
    }

    fn merge(&mut self, other: &Self) -> anyhow::Result<()> {
        for (mine, theirs) in self.operations.iter_mut().zip(&other.operations) {
            mine.merge(theirs)?;
        }
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        for (what, count) in &other.failures {
            *self.failures.entry(what.clone()).or_default() += count;
        }
        self.resent += other.resent;
        Ok(())
    }

    /// All kinds together.
    pub(crate) fn all(&self) -> anyhow::Result<Tally> {
        let mut all = Tally::new()?;
        for tally in &self.operations {
            all.merge(tally)?;
        }
        Ok(all)
    }
}

/// The shards of a run.
pub(crate) struct Meters {
    shards: Vec<Mutex<Meter>>,
}

impl Meters {
    pub(crate) fn new(workers: usize) -> anyhow::Result<Self> {
        let shards = (0..workers.clamp(1, SHARDS_MAX))
            .map(|_| Meter::new().map(Mutex::new))
            .collect::<anyhow::Result<_>>()?;
        Ok(Self { shards })
    }

    pub(crate) fn shard(&self, worker: usize) -> MutexGuard<'_, Meter> {
        self.shards[worker % self.shards.len()].lock()
    }

    /// What happened since the last look.
    pub(crate) fn take_interval(&self) -> anyhow::Result<Tally> {
        let mut seen = Tally::new()?;
        for shard in &self.shards {
            let mut shard = shard.lock();
            seen.merge(&shard.interval)?;
            shard.interval.clear();
        }
        Ok(seen)
    }

    pub(crate) fn merged(&self) -> anyhow::Result<Meter> {
        let mut merged = Meter::new()?;
        for shard in &self.shards {
            merged.merge(&shard.lock())?;
        }
        Ok(merged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::measure::latency::Quantiles;

    #[test]
    fn shards_merge_into_one_without_losing_a_sample() {
        let meters = Meters::new(40).unwrap();
        for worker in 0..40_u32 {
            let latency = Duration::from_micros(u64::from(worker) + 1);
            let mut shard = meters.shard(worker as usize);
            shard
                .record(Kind::Deposit, OperationResult::Completed, latency)
                .unwrap();
            shard
                .record(Kind::Withdraw, OperationResult::Failed, latency)
                .unwrap();
            shard.record_status(201);
        }
        assert_eq!(meters.take_interval().unwrap().counts.total(), 80);
        assert_eq!(
            meters.take_interval().unwrap().counts.total(),
            0,
            "looked at once"
        );
        let merged = meters.merged().unwrap();
        let all = merged.all().unwrap();
        assert_eq!((all.counts.completed, all.counts.failed), (40, 40));
        assert_eq!(merged.statuses[&201], 40);
        let quantiles = Quantiles::of(&all.latencies);
        assert_eq!((quantiles.p50_us, quantiles.max_us), (20, 40));
        assert_eq!(all.latencies.len(), 40, "a failure has no latency");
    }
}
