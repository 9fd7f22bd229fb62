//! One worker: takes the next operation of its stream when it is due, carries it out, and measures.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{
    call::Outcome,
    measure::Ending,
    site::{Command, Site},
    workload::{Kind, Stream},
};

/// How often a request is sent while the load runs, the first time included.
const ATTEMPTS_MAX: u32 = 5;
/// A timer may fire that late without anything being busy; only what is later counts as queueing.
const TIMER_SLACK: Duration = Duration::from_millis(2);

/// When operations begin.
pub(super) struct Pace {
    begun: Instant,
    end: Instant,
    /// Arrivals in a second. Without it an operation begins when its worker is free.
    rate: Option<u32>,
    arrivals: AtomicU64,
    started: AtomicU64,
    stop: watch::Receiver<bool>,
}

impl Pace {
    pub(super) fn new(span: Duration, rate: Option<u32>, stop: watch::Receiver<bool>) -> Self {
        let begun = Instant::now();
        Self {
            begun,
            end: begun + span,
            rate,
            arrivals: AtomicU64::new(0),
            started: AtomicU64::new(0),
            stop,
        }
    }

    /// Waits for the next operation that is due; the moment from which its latency counts. `None` ends the worker.
    async fn next(&self) -> Option<Instant> {
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
        self.started.fetch_add(1, Ordering::Relaxed);
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

    pub(super) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Arrivals that were due and found no free worker until the end.
    pub(super) fn missed(&self) -> Option<u64> {
        let rate = self.rate?;
        let span = Instant::now().min(self.end) - self.begun;
        let due = u64::try_from(span.as_nanos() * u128::from(rate) / 1_000_000_000).ok()?;
        Some(due.saturating_sub(self.started.load(Ordering::Relaxed)))
    }
}

/// When arrival `number` is due, from the beginning.
fn nth(number: u64, rate: u32) -> Duration {
    let nanos = u128::from(number) * 1_000_000_000 / u128::from(rate.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Works until the pace ends; the commands whose outcome is not known are given back.
pub(super) async fn work(
    site: &Site,
    pace: &Pace,
    mut stream: Stream,
    worker: usize,
) -> anyhow::Result<Vec<Command>> {
    let mut open = Vec::new();
    let mut number: u64 = 0;
    while let Some(start) = pace.next().await {
        number += 1;
        let command = Command {
            operation: stream.draw(),
            key: format!("load-{}-{worker}-{number}", site.run),
        };
        let kind = command.operation.kind;
        let delivery = site.send(&command, ATTEMPTS_MAX).await;
        let latency = start.elapsed();
        let mut trouble = None;
        let mut status = None;
        let mut unanswered = false;
        let ending = match delivery.outcome {
            Outcome::Done(code, told) => {
                status = Some(code);
                if let Some(sequence) = site.book(&command, told) {
                    site.sampler.offer(command.operation.wallet, sequence);
                }
                Ending::Completed
            }
            Outcome::Refused(refusal) if kind.expects(&refusal.code) => {
                status = refusal.status;
                Ending::Refused
            }
            Outcome::Refused(refusal) => {
                trouble = Some(refusal);
                Ending::Failed
            }
            Outcome::Unknown => {
                unanswered = true;
                Ending::Failed
            }
        };
        let attempts_lost = delivery.troubles.len() as u64;
        let mut meter = site.meters.of(worker);
        meter.ended(kind, ending, latency)?;
        meter.resent += attempts_lost.saturating_sub(u64::from(unanswered));
        if let Some(status) = status {
            meter.status(status);
        }
        for trouble in delivery.troubles.iter().chain(&trouble) {
            meter.trouble(kind, trouble);
        }
        drop(meter);
        if unanswered && !matches!(kind, Kind::Balance | Kind::History) {
            open.push(command);
        }
    }
    Ok(open)
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

    fn begun_ago(seconds: u64, span: u64) -> Pace {
        let (_stop, stopped) = watch::channel(false);
        let begun = Instant::now() - Duration::from_secs(seconds);
        Pace {
            begun,
            end: begun + Duration::from_secs(span),
            ..Pace::new(Duration::ZERO, Some(1), stopped)
        }
    }

    #[tokio::test]
    async fn what_waited_for_a_worker_counts_from_when_it_was_due() {
        let pace = begun_ago(500, 1_000);
        assert_eq!(pace.next().await, Some(pace.begun));
        let second = pace.begun + Duration::from_secs(1);
        assert_eq!(pace.next().await, Some(second));
    }

    #[tokio::test]
    async fn arrivals_that_found_no_worker_until_the_end_are_counted() {
        let pace = begun_ago(20, 10);
        assert_eq!(pace.next().await, None);
        assert_eq!(pace.missed(), Some(10));
    }
}
