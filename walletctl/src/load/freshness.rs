//! How long an acknowledged write takes to be seen in history.
//!
//! Some writes are sampled: history is asked at once for the event's number and answers when it has it. Few at a time
//! and not too often, so that the measuring does not become the load.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::Instant,
};

use super::{
    measure::{Latencies, latencies, locked, micros},
    site::Site,
};

/// Probes under way at most.
const PROBES_MAX: usize = 8;
/// Between the beginnings of two probes.
const PROBE_GAP: Duration = Duration::from_millis(20);
/// What is not seen by then is told as not seen.
const SEEN_WITHIN: Duration = Duration::from_secs(60);

struct Sample {
    wallet: usize,
    sequence: i64,
    acknowledged: Instant,
}

/// Where workers offer their writes.
pub(super) struct Sampler {
    /// `None` ends the probing. There are never more than [`PROBES_MAX`] samples in it.
    sender: UnboundedSender<Option<Sample>>,
    under_way: AtomicUsize,
    begun: Instant,
    /// Microseconds from `begun` to the next probe.
    next_us: AtomicU64,
    seen: Mutex<Seen>,
}

pub(super) struct Seen {
    pub(super) latencies: Latencies,
    pub(super) not_seen: u64,
    /// The longest since the last look.
    longest_us: Option<u64>,
}

pub(super) struct Samples(UnboundedReceiver<Option<Sample>>);

impl Sampler {
    pub(super) fn new() -> anyhow::Result<(Self, Samples)> {
        let (sender, receiver) = unbounded_channel();
        let seen = Seen {
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
    pub(super) fn offer(&self, wallet: usize, sequence: i64) {
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
            // Nobody listens any more once the run is over; then nothing is lost either.
            let _ = self.sender.send(Some(sample));
        }
    }

    /// No more samples are coming.
    pub(super) fn close(&self) {
        let _ = self.sender.send(None);
    }

    /// The longest that a write took since the last look.
    pub(super) fn look(&self) -> Option<u64> {
        locked(&self.seen).longest_us.take()
    }

    pub(super) fn seen<T>(&self, read: impl FnOnce(&Seen) -> T) -> T {
        read(&locked(&self.seen))
    }

    fn probed(&self, taken: Option<Duration>) -> anyhow::Result<()> {
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        let mut seen = locked(&self.seen);
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

/// Probes what is sampled until the sampler is closed and every probe has ended.
pub(super) async fn probe(site: &Site, mut samples: Samples) -> anyhow::Result<()> {
    let mut probes = FuturesUnordered::new();
    let mut closed = false;
    while !closed || !probes.is_empty() {
        tokio::select! {
            sample = samples.0.recv(), if !closed => match sample.flatten() {
                Some(sample) => probes.push(taken(site, sample)),
                None => closed = true,
            },
            Some(taken) = probes.next() => site.sampler.probed(taken)?,
        }
    }
    Ok(())
}

/// How long it took to be seen; `None` when it was not.
async fn taken(site: &Site, sample: Sample) -> Option<Duration> {
    let history = site.wire.history.as_ref()?;
    let wallet = &site.books.accounts[sample.wallet].id;
    let until = sample.acknowledged + SEEN_WITHIN;
    let found = site
        .wire
        .history_at(history, wallet, site.currency, sample.sequence, until)
        .await;
    found.ok().map(|_| sample.acknowledged.elapsed())
}
