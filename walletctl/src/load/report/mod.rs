//! The report of a run: tables for people, one JSON document for programs. [`page`] makes a page of it.

mod charts;
mod origin;
pub(crate) mod page;
mod text;

use std::time::Duration;

use serde::Serialize;
use shared::{Currency, Timestamp};

use self::origin::Origin;
use crate::load::{
    measure::{
        freshness::HistoryLag,
        latency::{Latencies, Quantiles, micros},
        meter::Meter,
        timeline::{TimelinePoint, per_second},
    },
    operation::Kind,
    proof::check::Proof,
    settings::{Load, Weights, values::Exponent},
    target::LoadTarget,
};

/// So many kinds of failure are listed, the most frequent first.
const FAILURES_MAX: usize = 20;
/// Where a distribution is read, as it is written.
const PERCENTILES: [(&str, f64); 12] = [
    ("min", 0.0),
    ("10", 0.1),
    ("25", 0.25),
    ("50", 0.5),
    ("75", 0.75),
    ("90", 0.9),
    ("95", 0.95),
    ("99", 0.99),
    ("99.5", 0.995),
    ("99.9", 0.999),
    ("99.99", 0.9999),
    ("max", 1.0),
];

/// How a run went, apart from what its target has kept.
pub(crate) struct RunFacts {
    pub(crate) started_at: Timestamp,
    pub(crate) measured_from: Timestamp,
    pub(crate) seed: u64,
    pub(crate) span: Duration,
    pub(crate) interrupted: bool,
    pub(crate) missed: Option<u64>,
    pub(crate) timeline: Vec<TimelinePoint>,
}

/// The outcome of a run. Latencies are microseconds, money is minor units.
#[derive(Serialize, Debug)]
pub struct Report {
    /// Whether the run ends well.
    pub(crate) passed: bool,
    pub(crate) run: String,
    pub(crate) started_at: String,
    /// When the wallets were there and the warm-up was over.
    pub(crate) measured_from: String,
    pub(crate) seed: u64,
    pub(crate) settings: Settings,
    pub(crate) duration_ms: u64,
    pub(crate) interrupted: bool,
    pub(crate) total: u64,
    pub(crate) throughput_per_second: u64,
    pub(crate) completed: u64,
    pub(crate) refused: u64,
    pub(crate) failed: u64,
    /// Requests that were sent once more because no answer came.
    pub(crate) resent: u64,
    /// Arrivals that found no free worker until the end; none without a rate.
    pub(crate) missed: Option<u64>,
    pub(crate) latency: Quantiles,
    pub(crate) operations: Vec<Row>,
    pub(crate) status_codes: Vec<Status>,
    pub(crate) errors: Vec<Counted>,
    /// None where there is no history-service.
    pub(crate) freshness: Option<Freshness>,
    pub(crate) proof: Proof,
    pub(crate) origin: Origin,
    pub(crate) timeline: Vec<TimelinePoint>,
}

#[derive(Serialize, Debug)]
pub(crate) struct Settings {
    pub(crate) duration_seconds: u64,
    pub(crate) warm_up_seconds: u64,
    pub(crate) workers: u16,
    pub(crate) accounts: usize,
    pub(crate) rate: Option<u32>,
    pub(crate) currency: Currency,
    pub(crate) initial_deposit: i64,
    pub(crate) min_amount: i64,
    pub(crate) max_amount: i64,
    pub(crate) weights: Weights,
    /// Of Zipf's law, if wallets are chosen by it.
    pub(crate) zipf: Option<f64>,
    pub(crate) keyed: bool,
    pub(crate) batch_size: u16,
    pub(crate) history: bool,
    pub(crate) fail_on_unexpected: bool,
}

#[derive(Serialize, Debug)]
pub(crate) struct Row {
    pub(crate) operation: &'static str,
    pub(crate) completed: u64,
    pub(crate) refused: u64,
    pub(crate) failed: u64,
    pub(crate) latency: Quantiles,
    pub(crate) distribution: Vec<Percentile>,
}

#[derive(Serialize, Debug)]
pub(crate) struct Percentile {
    pub(crate) percentile: &'static str,
    pub(crate) us: u64,
}

#[derive(Serialize, Debug)]
pub(crate) struct Status {
    pub(crate) status: u16,
    pub(crate) count: u64,
}

#[derive(Serialize, Debug)]
pub(crate) struct Counted {
    pub(crate) what: String,
    pub(crate) count: u64,
}

/// From an acknowledged write to its being visible in history.
#[derive(Serialize, Debug)]
pub(crate) struct Freshness {
    pub(crate) samples: u64,
    pub(crate) not_seen: u64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) max_us: u64,
}

impl Freshness {
    fn of(seen: &HistoryLag) -> Self {
        Self {
            samples: seen.latencies.len() + seen.not_seen,
            not_seen: seen.not_seen,
            p50_us: seen.latencies.value_at_quantile(0.5),
            p99_us: seen.latencies.value_at_quantile(0.99),
            max_us: seen.latencies.max(),
        }
    }
}

impl Report {
    pub(crate) fn new(
        load: &Load,
        target: &LoadTarget,
        facts: RunFacts,
        proof: Proof,
    ) -> anyhow::Result<Self> {
        let meter = target.meters.merged()?;
        let all = meter.all()?;
        let counts = all.counts;
        let duration_ms = micros(facts.span) / 1_000;
        let unexpected = counts.failed > 0 && load.fail_on_unexpected;
        Ok(Self {
            passed: proof.holds && !unexpected,
            run: target.run.clone(),
            started_at: facts.started_at.to_string(),
            measured_from: facts.measured_from.to_string(),
            seed: facts.seed,
            settings: Settings::of(load, target.currency),
            duration_ms,
            interrupted: facts.interrupted,
            total: counts.total(),
            throughput_per_second: per_second(counts.total(), duration_ms),
            completed: counts.completed,
            refused: counts.refused,
            failed: counts.failed,
            resent: meter.resent,
            missed: facts.missed,
            latency: Quantiles::of(&all.latencies),
            operations: rows(&meter),
            status_codes: statuses(&meter),
            errors: most_frequent_failures(&meter),
            freshness: (!load.without_history).then(|| target.sampler.seen(Freshness::of)),
            proof,
            origin: Origin::of(&target.services),
            timeline: facts.timeline,
        })
    }

    /// Whether the proof holds and nothing failed that should have been answered.
    pub const fn passed(&self) -> bool {
        self.passed
    }

    /// # Errors
    /// Never, for what a report is made of.
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }

    /// The last word, in one sentence.
    pub(crate) fn verdict(&self) -> &'static str {
        match (self.proof.holds, self.passed, self.failed) {
            (false, ..) => "the proof does NOT hold",
            (true, ..) if !self.proof.exact => {
                "nothing lost, nothing doubled as far as there were answers; of the others nothing is known"
            }
            (true, false, _) => "the proof holds, but operations failed",
            (true, true, 0) => "nothing lost, nothing doubled",
            (true, true, _) => "nothing lost, nothing doubled; operations failed, as was allowed",
        }
    }
}

impl Settings {
    fn of(load: &Load, currency: Currency) -> Self {
        Self {
            duration_seconds: load.duration,
            warm_up_seconds: load.warm_up,
            workers: load.workers,
            accounts: load.wallets(),
            rate: load.rate,
            currency,
            initial_deposit: load.initial_deposit,
            min_amount: load.min_amount,
            max_amount: load.max_amount,
            weights: load.weights.clone(),
            zipf: load.zipf.map(Exponent::number),
            keyed: load.keyed,
            batch_size: load.batch_size,
            history: !load.without_history,
            fail_on_unexpected: load.fail_on_unexpected,
        }
    }
}

fn rows(meter: &Meter) -> Vec<Row> {
    let used = Kind::ALL.iter().zip(&meter.operations);
    used.filter(|(_, tally)| tally.counts.total() > 0)
        .map(|(kind, tally)| Row {
            operation: kind.name(),
            completed: tally.counts.completed,
            refused: tally.counts.refused,
            failed: tally.counts.failed,
            latency: Quantiles::of(&tally.latencies),
            distribution: distribution(&tally.latencies),
        })
        .collect()
}

fn distribution(latencies: &Latencies) -> Vec<Percentile> {
    PERCENTILES
        .iter()
        .map(|(percentile, quantile)| Percentile {
            percentile,
            us: latencies.value_at_quantile(*quantile),
        })
        .collect()
}

fn statuses(meter: &Meter) -> Vec<Status> {
    let counted = meter.statuses.iter();
    counted
        .map(|(status, count)| Status {
            status: *status,
            count: *count,
        })
        .collect()
}

fn most_frequent_failures(meter: &Meter) -> Vec<Counted> {
    let mut counted: Vec<Counted> = meter
        .failures
        .iter()
        .map(|(what, count)| Counted {
            what: what.clone(),
            count: *count,
        })
        .collect();
    counted.sort_by_key(|counted| std::cmp::Reverse(counted.count));
    counted.truncate(FAILURES_MAX);
    counted
}

/// A sum over wallets, for the eye.
pub(crate) fn clamped(minor: i128) -> i64 {
    i64::try_from(minor).unwrap_or(i64::MAX)
}
