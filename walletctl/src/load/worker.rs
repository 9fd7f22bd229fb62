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
    batch,
    call::{Delivery, Outcome, Trouble},
    measure::Ending,
    site::{Command, Site, Told},
    workload::{Kind, Stream},
};

/// How often a request is sent while the load runs, the first time included.
const ATTEMPTS_MAX: u32 = 5;
/// A timer may fire that late without anything being busy; only what is later counts as queueing.
const TIMER_SLACK: Duration = Duration::from_millis(2);

/// When operations begin.
pub(super) struct Pace {
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

impl Pace {
    pub(super) fn new(
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
    fn measures(&self, start: Instant) -> bool {
        start >= self.measured
    }

    /// Waits until the warm-up is over.
    pub(super) async fn warm(&self) {
        sleep_until(self.measured).await;
    }

    /// Since the measuring began.
    pub(super) fn elapsed(&self) -> Duration {
        self.measured.elapsed()
    }

    /// Arrivals that were due and found no free worker until the end.
    pub(super) fn missed(&self) -> Option<u64> {
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

/// Works until the pace ends; the commands that can be asked for again are given back.
pub(super) async fn work(
    site: &Site,
    pace: &Pace,
    mut stream: Stream,
    worker: usize,
) -> anyhow::Result<Vec<Command>> {
    let mut open = Vec::new();
    let mut number: u64 = 0;
    let mut gathered = Vec::new();
    let mut gathered_at = None;
    while let Some(start) = pace.next().await {
        number += 1;
        let command = Command {
            operation: stream.draw(),
            key: format!("load-{}-{worker}-{number}", site.run),
        };
        let times = Times::of(pace, start);
        if !site.batches(command.operation.kind) {
            let delivery = site.send(&command, ATTEMPTS_MAX).await;
            let latency = start.elapsed();
            open.extend(record(site, worker, command, delivery, &times, latency)?);
            continue;
        }
        gathered.push(command);
        gathered_at = Some(times);
        if gathered.len() >= site.batch_size {
            open.extend(together(site, worker, std::mem::take(&mut gathered), &times).await?);
        }
    }
    // What was due before the end, and still waited for company.
    if let Some(times) = gathered_at.filter(|_| !gathered.is_empty()) {
        open.extend(together(site, worker, gathered, &times).await?);
    }
    Ok(open)
}

/// When an operation, or the last one of a batch, was to begin.
#[derive(Clone, Copy)]
struct Times {
    start: Instant,
    measures: bool,
}

impl Times {
    fn of(pace: &Pace, start: Instant) -> Self {
        let measures = pace.measures(start);
        Self { start, measures }
    }
}

/// Sends a batch. Each of its commands took as long as the request.
async fn together(
    site: &Site,
    worker: usize,
    batch: Vec<Command>,
    times: &Times,
) -> anyhow::Result<Vec<Command>> {
    let deliveries = batch::deliver(site, &batch, ATTEMPTS_MAX).await;
    let latency = times.start.elapsed();
    let mut open = Vec::new();
    for (command, delivery) in batch.into_iter().zip(deliveries) {
        open.extend(record(site, worker, command, delivery, times, latency)?);
    }
    Ok(open)
}

/// Books and measures what became of a command; gives it back when it is to be asked for later.
fn record(
    site: &Site,
    worker: usize,
    command: Command,
    delivery: Delivery<Told>,
    times: &Times,
    latency: Duration,
) -> anyhow::Result<Option<Command>> {
    let kind = command.operation.kind;
    let ended = ended(kind, &delivery);
    let mut open = None;
    match delivery.outcome {
        Outcome::Done(_, told) => {
            let sequence = site.book(&command, told);
            let samples = times.measures && site.wire.history.is_some();
            if let Some(sequence) = sequence.filter(|_| samples) {
                site.sampler.offer(command.operation.wallet, sequence);
            }
        }
        Outcome::Refused(_) => {}
        Outcome::Unknown => open = site.unanswered(command),
    }
    if times.measures {
        let mut meter = site.meters.of(worker);
        meter.ended(kind, ended.ending, latency)?;
        meter.resent += ended.resent;
        if let Some(status) = ended.status {
            meter.status(status);
        }
        for trouble in delivery.troubles.iter().chain(&ended.refusal) {
            meter.trouble(kind, trouble);
        }
    }
    Ok(open)
}

/// What a delivery is counted as.
struct Ended {
    ending: Ending,
    /// Of the answer, unless it is told as trouble.
    status: Option<u16>,
    refusal: Option<Trouble>,
    resent: u64,
}

fn ended(kind: Kind, delivery: &Delivery<Told>) -> Ended {
    let lost = delivery.troubles.len() as u64;
    let (ending, status, refusal, resent) = match &delivery.outcome {
        Outcome::Done(status, _) => (Ending::Completed, Some(*status), None, lost),
        Outcome::Refused(refusal) if kind.expects(&refusal.code) => {
            (Ending::Refused, refusal.status, None, lost)
        }
        Outcome::Refused(refusal) => (Ending::Failed, None, Some(refusal.clone()), lost),
        // After the last attempt nothing was sent any more.
        Outcome::Unknown => (Ending::Failed, None, None, lost.saturating_sub(1)),
    };
    Ended {
        ending,
        status,
        refusal,
        resent,
    }
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
            measured: begun,
            end: begun + Duration::from_secs(span),
            ..Pace::new(Duration::ZERO, Duration::ZERO, Some(1), stopped)
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

    #[tokio::test]
    async fn what_is_due_in_the_warm_up_is_neither_measured_nor_missed() {
        let mut pace = begun_ago(20, 10);
        pace.measured = pace.begun + Duration::from_secs(4);
        assert!(!pace.measures(pace.begun));
        assert!(pace.measures(pace.measured));
        assert_eq!(pace.missed(), Some(6));
    }
}
