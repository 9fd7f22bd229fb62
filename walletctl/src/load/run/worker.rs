//! One worker: takes the next operation of its stream when it is due, carries it out, and measures.

use std::time::Duration;

use tokio::time::Instant;

use crate::load::{
    http::delivery::{Delivery, Outcome, RequestFailure},
    measure::meter::OperationResult,
    operation::Kind,
    run::{batch, pocket::Pocket, schedule::Schedule, workload::Stream},
    target::{Command, LoadTarget, ResponseBody},
};

/// How often a request is sent while the load runs, the first time included.
const ATTEMPTS_MAX: u32 = 5;

/// Works until the schedule ends; the commands that can be asked for again are given back.
pub(crate) async fn work(
    target: &LoadTarget,
    schedule: &Schedule,
    mut stream: Stream,
    worker: usize,
) -> anyhow::Result<Vec<Command>> {
    let mut open = Vec::new();
    let mut pocket = Pocket::default();
    let mut number: u64 = 0;
    let mut gathered = Vec::new();
    let mut gathered_at = None;
    while let Some(start) = schedule.next().await {
        number += 1;
        let key = format!("load-{}-{worker}-{number}", target.run);
        let command = pocket.command(stream.draw(), key);
        let times = Times::of(schedule, start);
        if !target.batches(command.operation.kind) {
            let delivery = target.send(&command, ATTEMPTS_MAX).await;
            let latency = start.elapsed();
            pocket.keep(&command, &delivery);
            open.extend(record(target, worker, command, delivery, &times, latency)?);
            continue;
        }
        gathered.push(command);
        gathered_at = Some(times);
        if gathered.len() >= target.batch_size {
            let batch = std::mem::take(&mut gathered);
            open.extend(together(target, worker, &mut pocket, batch, &times).await?);
        }
    }
    // What was due before the end, and still waited for company.
    if let Some(times) = gathered_at.filter(|_| !gathered.is_empty()) {
        open.extend(together(target, worker, &mut pocket, gathered, &times).await?);
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
    fn of(schedule: &Schedule, start: Instant) -> Self {
        let measures = schedule.measures(start);
        Self { start, measures }
    }
}

/// Sends a batch. Each of its commands took as long as the request.
async fn together(
    target: &LoadTarget,
    worker: usize,
    pocket: &mut Pocket,
    batch: Vec<Command>,
    times: &Times,
) -> anyhow::Result<Vec<Command>> {
    let deliveries = batch::deliver(target, &batch, ATTEMPTS_MAX).await;
    let latency = times.start.elapsed();
    let mut open = Vec::new();
    for (command, delivery) in batch.into_iter().zip(deliveries) {
        pocket.keep(&command, &delivery);
        open.extend(record(target, worker, command, delivery, times, latency)?);
    }
    Ok(open)
}

/// Records and measures what became of a command; gives it back when it is to be asked for later.
fn record(
    target: &LoadTarget,
    worker: usize,
    command: Command,
    delivery: Delivery<ResponseBody>,
    times: &Times,
    latency: Duration,
) -> anyhow::Result<Option<Command>> {
    let kind = command.operation.kind;
    let ended = ended(kind, &delivery);
    let mut open = None;
    match delivery.outcome {
        Outcome::Done(_, body) => {
            let sequence = target.record(&command, &body);
            let samples = times.measures && target.services.history.is_some();
            if let Some(sequence) = sequence.filter(|_| samples) {
                target.sampler.offer(command.operation.wallet, sequence);
            }
        }
        Outcome::Refused(_) => {}
        Outcome::Unknown => open = target.unanswered(command),
    }
    if times.measures {
        let mut meter = target.meters.shard(worker);
        meter.record(kind, ended.ending, latency)?;
        meter.resent += ended.resent;
        if let Some(status) = ended.status {
            meter.record_status(status);
        }
        for failure in delivery.failures.iter().chain(&ended.refusal) {
            meter.record_failure(kind, failure);
        }
    }
    Ok(open)
}

/// What a delivery is counted as.
struct Ended {
    ending: OperationResult,
    /// Of the answer, unless it counts as a failure.
    status: Option<u16>,
    refusal: Option<RequestFailure>,
    resent: u64,
}

fn ended(kind: Kind, delivery: &Delivery<ResponseBody>) -> Ended {
    let lost = delivery.failures.len() as u64;
    let (ending, status, refusal, resent) = match &delivery.outcome {
        Outcome::Done(status, _) => (OperationResult::Completed, Some(*status), None, lost),
        Outcome::Refused(refusal) if kind.expects(&refusal.code) => {
            (OperationResult::Refused, refusal.status, None, lost)
        }
        Outcome::Refused(refusal) => (OperationResult::Failed, None, Some(refusal.clone()), lost),
        // After the last attempt nothing was sent any more.
        Outcome::Unknown => (OperationResult::Failed, None, None, lost.saturating_sub(1)),
    };
    Ended {
        ending,
        status,
        refusal,
        resent,
    }
}
