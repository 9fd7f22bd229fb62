//! When operations begin: as fast as answers come, or at a rate, whatever the answers take.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

/// A timer may fire that late without anything being busy; only what is later counts as queueing.
const TIMER_SLACK: Duration = Duration::from_millis(2);

/// When operations begin.
pub(crate) struct Schedule {
    begun: Instant,
    /// What starts earlier is not measured.
    measured: Instant,
    end: Instant,
    /// Arrivals in a second. Without it an operation begins when its worker is free.
    rate: Option<u32>,
    arrivals: AtomicU64,
    started: AtomicU64,
    stop: watch::Receiver<bool>,
}

impl Schedule {
    pub(crate) fn new(
        warm_up: Duration,
        span: Duration,
        rate: Option<u32>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let begun = Instant::now();
        let measured = begun + warm_up;
        Self {
            begun,
            measured,
            end: measured + span,
            rate,
            arrivals: AtomicU64::new(0),
            started: AtomicU64::new(0),
            stop,
        }
    }

    /// Waits for the next operation that is due; the moment from which its latency counts. `None` ends the worker.
    pub(crate) async fn next(&self) -> Option<Instant> {
        let start = match self.rate {
            None => Instant::now(),
            Some(rate) => {
                let number = self.arrivals.fetch_add(1, Ordering::Relaxed);
                let due = self.begun + nth(number, rate);
                if due < self.end {
                    self.wait_for(due).await
                } else {
                    due
                }
            }
        };
        if Instant::now() >= self.end || start >= self.end || *self.stop.borrow() {
            return None;
        }
        if self.measures(start) {
            self.started.fetch_add(1, Ordering::Relaxed);
        }
        Some(start)
    }

    /// An arrival that had to wait for a worker counts from the moment at which it was due.
    async fn wait_for(&self, due: Instant) -> Instant {
        if Instant::now() >= due {
            return due;
        }
        let mut stop = self.stop.clone();
        tokio::select! {
            () = sleep_until(due) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
        let woken = Instant::now();
        if woken.saturating_duration_since(due) <= TIMER_SLACK {
            woken
        } else {
            due
        }
    }

    /// Whether an operation that starts then counts.
    pub(crate) fn measures(&self, start: Instant) -> bool {
        start >= self.measured
    }

    /// Waits until the warm-up is over.
    pub(crate) async fn warm(&self) {
        sleep_until(self.measured).await;
    }

    /// Since the measuring began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.measured.elapsed()
    }

    /// Arrivals that were due and found no free worker until the end.
    pub(crate) fn missed(&self) -> Option<u64> {
        let rate = self.rate?;
        let now = Instant::now().min(self.end);
        let due_until = |until: Instant| {
            let span = until.saturating_duration_since(self.begun);
            u64::try_from(span.as_nanos() * u128::from(rate) / 1_000_000_000).ok()
        };
        let due = due_until(now)?.saturating_sub(due_until(self.measured)?);
        Some(due.saturating_sub(self.started.load(Ordering::Relaxed)))
    }
}

/// When arrival `number` is due, from the beginning.
fn nth(number: u64, rate: u32) -> Duration {
    let nanos = u128::from(number) * 1_000_000_000 / u128::from(rate.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_are_spread_evenly_and_without_drift() {
        assert_eq!(nth(0, 3), Duration::ZERO);
        assert_eq!(nth(3, 3), Duration::from_secs(1));
        assert_eq!(nth(3_000_000, 3), Duration::from_secs(1_000_000));
    }

    fn begun_ago(seconds: u64, span: u64) -> Schedule {
        let (_stop, stopped) = watch::channel(false);
        let begun = Instant::now() - Duration::from_secs(seconds);
        Schedule {
            begun,
            measured: begun,
            end: begun + Duration::from_secs(span),
            ..Schedule::new(Duration::ZERO, Duration::ZERO, Some(1), stopped)
        }
    }

    #[tokio::test]
    async fn what_waited_for_a_worker_counts_from_when_it_was_due() {
        let schedule = begun_ago(500, 1_000);
        assert_eq!(schedule.next().await, Some(schedule.begun));
        let second = schedule.begun + Duration::from_secs(1);
        assert_eq!(schedule.next().await, Some(second));
    }

    #[tokio::test]
    async fn arrivals_that_found_no_worker_until_the_end_are_counted() {
        let schedule = begun_ago(20, 10);
        assert_eq!(schedule.next().await, None);
        assert_eq!(schedule.missed(), Some(10));
    }

    #[tokio::test]
    async fn what_is_due_in_the_warm_up_is_neither_measured_nor_missed() {
        let mut schedule = begun_ago(20, 10);
        schedule.measured = schedule.begun + Duration::from_secs(4);
        assert!(!schedule.measures(schedule.begun));
        assert!(schedule.measures(schedule.measured));
        assert_eq!(schedule.missed(), Some(6));
    }
}
