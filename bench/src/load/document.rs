//! What `walletctl load` tells of a run, and the figures that are kept of it.

use std::{path::Path, time::Duration};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use shared::Timestamp;

use super::{Freshness, Load, Run};
use crate::{costs::Costs, numbers, process::Process};

/// What is read of the tool's document.
#[derive(Deserialize, Debug)]
pub(super) struct Document {
    /// When the measured time began.
    pub(super) measured_from: Option<Timestamp>,
    pub(super) duration_ms: u64,
    throughput_per_second: u64,
    pub(super) completed: u64,
    refused: u64,
    failed: u64,
    missed: Option<u64>,
    latency: Latency,
    status_codes: Vec<Status>,
    #[serde(default)]
    errors: Vec<Counted>,
    freshness: Option<Freshness>,
    proof: Proof,
    timeline: Vec<Moment>,
}

#[derive(Deserialize, Debug)]
struct Latency {
    p50_us: u64,
    p99_us: u64,
    max_us: u64,
}

#[derive(Deserialize, Debug)]
struct Status {
    status: u16,
    count: u64,
}

#[derive(Deserialize, Debug)]
struct Counted {
    what: String,
}

#[derive(Deserialize, Debug)]
struct Proof {
    holds: bool,
    faults: Vec<Fault>,
}

#[derive(Deserialize, Debug)]
struct Fault {
    what: String,
}

#[derive(Deserialize, Debug)]
struct Moment {
    span_ms: u64,
    completed: u64,
    refused: u64,
    failed: u64,
    history_lag_us: Option<u64>,
}

impl Moment {
    fn rate(&self) -> u64 {
        let count = self.completed + self.refused + self.failed;
        numbers::per_second(count, Duration::from_millis(self.span_ms.max(1)))
    }
}

impl Document {
    /// What the tool has told of a run.
    ///
    /// # Errors
    /// When it told nothing, an operation failed, or the proof does not hold.
    pub(super) fn read(path: &Path, load: &Load, tool: &Process) -> anyhow::Result<Self> {
        let json = std::fs::read(path).with_context(|| {
            format!(
                "{}: walletctl load gave no report:\n{}",
                load.label,
                tool.log_end()
            )
        })?;
        let document: Self = serde_json::from_slice(&json)
            .with_context(|| format!("{}: the report cannot be read", load.label))?;
        if load.provable && !document.proof.holds {
            let first = document.proof.faults.first();
            let first = first.map_or("no fault told", |fault| fault.what.as_str());
            bail!("{}: the proof does not hold: {first}", load.label);
        }
        let failure = document.errors.first();
        let failure = failure.map_or("not told why", |error| error.what.as_str());
        ensure!(
            document.failed == 0,
            "{}: {} operations failed: {failure}",
            load.label,
            document.failed
        );
        Ok(document)
    }

    pub(super) fn figures(&self, load: &Load, costs: Option<Costs>) -> Run {
        let timeline: Vec<u64> = self.timeline.iter().map(Moment::rate).collect();
        // The last moment may be a fragment of a second.
        let whole: Vec<u64> = self
            .timeline
            .iter()
            .filter(|moment| moment.span_ms >= 500)
            .map(Moment::rate)
            .collect();
        let (first_third, last_third) = numbers::thirds(&whole).unwrap_or_default();
        let lags = self.timeline.iter().rev();
        Run {
            label: load.label.clone(),
            work: load.work,
            spread: load.spread,
            connections: load.connections,
            seconds: load.seconds,
            keyed: load.keyed,
            batch: load.batch,
            rate_asked: load.rate,
            per_second: self.throughput_per_second,
            completed: self.completed,
            refused: self.refused,
            missed: self.missed.unwrap_or_default(),
            conflicts: conflicts(&self.status_codes),
            p50_us: self.latency.p50_us,
            p99_us: self.latency.p99_us,
            max_us: self.latency.max_us,
            freshness: self.freshness.filter(|seen| seen.samples > 0),
            first_third,
            last_third,
            lag_at_end_us: lags.take(3).find_map(|moment| moment.history_lag_us),
            proved: self.proof.holds,
            costs,
            transfers_per_commit: None,
            timeline,
        }
    }
}

fn conflicts(statuses: &[Status]) -> u64 {
    statuses
        .iter()
        .filter(|counted| !matches!(counted.status, 200..300 | 422))
        .map(|counted| counted.count)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::{super::tests::load, *};

    #[test]
    fn a_document_becomes_a_run() {
        let document = r#"{
            "measured_from": "2026-01-01T00:00:00Z", "duration_ms": 3000, "throughput_per_second": 20,
            "completed": 60, "refused": 0, "failed": 0, "missed": null,
            "latency": {"p50_us": 1, "p95_us": 2, "p99_us": 3, "p99_9_us": 4, "max_us": 5},
            "status_codes": [{"status": 201, "count": 60}, {"status": 409, "count": 2}], "errors": [],
            "freshness": {"samples": 0, "not_seen": 0, "p50_us": 0, "p99_us": 0, "max_us": 0},
            "proof": {"holds": true, "faults": []},
            "timeline": [
                {"span_ms": 1000, "completed": 10, "refused": 0, "failed": 0, "history_lag_us": 7},
                {"span_ms": 1000, "completed": 20, "refused": 0, "failed": 0, "history_lag_us": 8},
                {"span_ms": 1000, "completed": 30, "refused": 0, "failed": 0, "history_lag_us": null},
                {"span_ms": 10, "completed": 0, "refused": 0, "failed": 0, "history_lag_us": null}
            ]
        }"#;
        let document: Document = serde_json::from_str(document).unwrap();
        let run = document.figures(&load(), None);
        assert_eq!((run.first_third, run.last_third), (10, 30));
        assert_eq!(run.lag_at_end_us, Some(8));
        assert_eq!(run.conflicts, 2);
        assert_eq!(run.freshness, None);
        assert_eq!(run.timeline, [10, 20, 30, 0]);
    }
}
