//! How long an acknowledged write takes to be seen in history.
//!
//! Some writes are sampled: history is asked at once for the event's number and answers when it has it. Few at a time
//! and not too often, so that the measuring does not become the load.

use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::Instant,
};

use crate::load::measure::latency::{Latencies, latencies, micros};

/// Probes under way at most.
const PROBES_MAX: usize = 8;
/// Between the beginnings of two probes.
const PROBE_GAP: Duration = Duration::from_millis(20);

pub(crate) struct Sample {
    pub(crate) wallet: usize,
    pub(crate) sequence: i64,
    pub(crate) acknowledged: Instant,
}

/// Where workers offer their writes.
pub(crate) struct Sampler {
    /// `None` ends the probing. There are never more than [`PROBES_MAX`] samples in it.
    sender: UnboundedSender<Option<Sample>>,
    under_way: AtomicUsize,
    begun: Instant,
    /// Microseconds from `begun` to the next probe.
    next_us: AtomicU64,
    seen: Mutex<HistoryLag>,
}

pub(crate) struct HistoryLag {
    pub(crate) latencies: Latencies,
    pub(crate) not_seen: u64,
    /// The longest since the last look.
    longest_us: Option<u64>,
}

pub(crate) struct Samples(pub(crate) UnboundedReceiver<Option<Sample>>);

impl Sampler {
    pub(crate) fn new() -> anyhow::Result<(Self, Samples)> {
        let (sender, receiver) = unbounded_channel();
        let seen = HistoryLag {
            latencies: latencies()?,
            not_seen: 0,
            longest_us: None,
        };
        let sampler = Self {
            sender,
            under_way: AtomicUsize::new(0),
            begun: Instant::now(),
            next_us: AtomicU64::new(0),
            seen: Mutex::new(seen),
        };
        Ok((sampler, Samples(receiver)))
    }

    /// Takes a write that was acknowledged just now, if another probe may begin.
    pub(crate) fn offer(&self, wallet: usize, sequence: i64) {
        let acknowledged = Instant::now();
        let now_us = micros(acknowledged - self.begun);
        let next_us = self.next_us.load(Ordering::Relaxed);
        if now_us < next_us || self.under_way.load(Ordering::Relaxed) >= PROBES_MAX {
            return;
        }
        let after_us = now_us + micros(PROBE_GAP);
        let turn =
            self.next_us
                .compare_exchange(next_us, after_us, Ordering::Relaxed, Ordering::Relaxed);
        if turn.is_ok() {
            self.under_way.fetch_add(1, Ordering::Relaxed);
            let sample = Sample {
                wallet,
                sequence,
                acknowledged,
            };
            // The receiver is gone once the run is over; then nothing is lost either.
            let _ = self.sender.send(Some(sample));
        }
    }

    /// No more samples are coming.
    pub(crate) fn close(&self) {
        let _ = self.sender.send(None);
    }

    /// The longest that a write took since the last look.
    pub(crate) fn take_longest(&self) -> Option<u64> {
        self.seen.lock().longest_us.take()
    }

    pub(crate) fn seen<T>(&self, read: impl FnOnce(&HistoryLag) -> T) -> T {
        read(&self.seen.lock())
    }

    pub(crate) fn probed(&self, taken: Option<Duration>) -> anyhow::Result<()> {
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        let mut seen = self.seen.lock();
        match taken.map(micros) {
            Some(taken_us) => {
                seen.longest_us = seen.longest_us.max(Some(taken_us));
                seen.latencies.record(taken_us)?;
            }
            None => seen.not_seen += 1,
        }
        Ok(())
    }
}
