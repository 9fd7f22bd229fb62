//! How long a command that joins the queue now would wait, by how long the last batches took. One that could not be answered
//! in time is refused at once, when it is certain that nothing was done, instead of taking a place until its caller has left.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// The batch that is at the database, the one that is decided meanwhile, and the one in which the command itself will be.
const BATCHES_BESIDE_QUEUE: usize = 3;
/// How much of what was known stays, in parts of four.
const KEPT: u64 = 3;

/// Shared by the ledger and its writer. Of a writer that hangs it says nothing: that is told by time-outs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pace {
    /// Microseconds that a batch takes, smoothed; 0 before the first.
    batch_us: Arc<AtomicU64>,
}

impl Pace {
    /// A batch was written in this time. For one writer: two at once would forget one of theirs.
    pub(crate) fn wrote(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        let known = match self.batch_us.load(Ordering::Relaxed) {
            0 => took,
            before => before.saturating_mul(KEPT).saturating_add(took) / (KEPT + 1),
        };
        self.batch_us.store(known, Ordering::Relaxed);
    }

    /// Until a command behind so many others is answered, when a batch takes up to `batch_max` of them.
    pub(crate) fn wait(&self, queued: usize, batch_max: usize) -> Duration {
        let batches = queued / batch_max.max(1) + BATCHES_BESIDE_QUEUE;
        let batches = u64::try_from(batches).unwrap_or(u64::MAX);
        let batch_us = self.batch_us.load(Ordering::Relaxed);
        Duration::from_micros(batch_us.saturating_mul(batches))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_grows_with_the_queue_and_with_the_time_of_a_batch() {
        let pace = Pace::default();
        assert_eq!(
            pace.wait(4_096, 512),
            Duration::ZERO,
            "nothing is known yet"
        );
        let took = Duration::from_millis(100);
        pace.wrote(took);
        assert_eq!(pace.wait(0, 512), took * 3);
        assert_eq!(pace.wait(511, 512), took * 3);
        assert_eq!(pace.wait(4_096, 512), took * 11);
        for _ in 0..20 {
            pace.wrote(took * 10);
        }
        assert!(pace.wait(0, 512) > took * 29);
        for _ in 0..40 {
            pace.wrote(Duration::ZERO);
        }
        assert!(pace.wait(4_096, 512) < took, "a slow time is forgotten");
    }
}
