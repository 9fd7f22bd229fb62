//! What a run is told as: tables for people, one JSON document for programs. [`super::html`] makes a page of it.

use std::{fmt, time::Duration};

use serde::Serialize;
use shared::{Currency, Timestamp};

use super::{
    freshness::Seen,
    measure::{Latencies, Meter, Moment, Quantiles, micros, per_second},
    proof::Proof,
    settings::{Load, Weights},
    site::Site,
    values::Exponent,
    workload::Kind,
};
use crate::output::{Align, Table};

/// So many kinds of trouble are told, the most frequent first.
const TROUBLES_TOLD_MAX: usize = 20;
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

/// How a run went, apart from what its site has kept.
pub(super) struct Course {
    pub(super) started_at: Timestamp,
    pub(super) measured_from: Timestamp,
    pub(super) seed: u64,
    pub(super) span: Duration,
    pub(super) interrupted: bool,
    pub(super) missed: Option<u64>,
    pub(super) moments: Vec<Moment>,
}

/// The outcome of a run. Latencies are microseconds, money is minor units.
#[derive(Serialize, Debug)]
pub struct Report {
    /// Whether the run ends well.
    pub(super) passed: bool,
    pub(super) run: String,
    pub(super) started_at: String,
    /// When the wallets were there and the warm-up was over.
    pub(super) measured_from: String,
    pub(super) seed: u64,
    pub(super) settings: Settings,
    pub(super) duration_ms: u64,
    pub(super) interrupted: bool,
    pub(super) total: u64,
    pub(super) throughput_per_second: u64,
    pub(super) completed: u64,
    pub(super) refused: u64,
    pub(super) failed: u64,
    /// Requests that were sent once more because no answer came.
    pub(super) resent: u64,
    /// Arrivals that found no free worker until the end; none without a rate.
    pub(super) missed: Option<u64>,
    pub(super) latency: Quantiles,
    pub(super) operations: Vec<Row>,
    pub(super) status_codes: Vec<Status>,
    pub(super) errors: Vec<Counted>,
    /// None where there is no history-service.
    pub(super) freshness: Option<Freshness>,
    pub(super) proof: Proof,
    pub(super) timeline: Vec<Moment>,
}

#[derive(Serialize, Debug)]
pub(super) struct Settings {
    pub(super) duration_seconds: u64,
    pub(super) warm_up_seconds: u64,
    pub(super) workers: u16,
    pub(super) accounts: usize,
    pub(super) rate: Option<u32>,
    pub(super) currency: Currency,
    pub(super) initial_deposit: i64,
    pub(super) min_amount: i64,
    pub(super) max_amount: i64,
    pub(super) weights: Weights,
    /// Of Zipf's law, if wallets are chosen by it.
    pub(super) zipf: Option<f64>,
    pub(super) keyed: bool,
    pub(super) batch_size: u16,
    pub(super) history: bool,
    pub(super) fail_on_unexpected: bool,
}

#[derive(Serialize, Debug)]
pub(super) struct Row {
    pub(super) operation: &'static str,
    pub(super) completed: u64,
    pub(super) refused: u64,
    pub(super) failed: u64,
    pub(super) latency: Quantiles,
    pub(super) distribution: Vec<Percentile>,
}

#[derive(Serialize, Debug)]
pub(super) struct Percentile {
    pub(super) percentile: &'static str,
    pub(super) us: u64,
}

#[derive(Serialize, Debug)]
pub(super) struct Status {
    pub(super) status: u16,
    pub(super) count: u64,
}

#[derive(Serialize, Debug)]
pub(super) struct Counted {
    pub(super) what: String,
    pub(super) count: u64,
}

/// From an acknowledged write to its being visible in history.
#[derive(Serialize, Debug)]
pub(super) struct Freshness {
    pub(super) samples: u64,
    pub(super) not_seen: u64,
    pub(super) p50_us: u64,
    pub(super) p99_us: u64,
    pub(super) max_us: u64,
}

impl Freshness {
    fn of(seen: &Seen) -> Self {
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
    pub(super) fn new(
        load: &Load,
        site: &Site,
        course: Course,
        proof: Proof,
    ) -> anyhow::Result<Self> {
        let meter = site.meters.merged()?;
        let all = meter.all()?;
        let counts = all.counts;
        let duration_ms = micros(course.span) / 1_000;
        let unexpected = counts.failed > 0 && load.fail_on_unexpected;
        Ok(Self {
            passed: proof.holds && !unexpected,
            run: site.run.clone(),
            started_at: course.started_at.to_string(),
            measured_from: course.measured_from.to_string(),
            seed: course.seed,
            settings: Settings::of(load, site.currency),
            duration_ms,
            interrupted: course.interrupted,
            total: counts.total(),
            throughput_per_second: per_second(counts.total(), duration_ms),
            completed: counts.completed,
            refused: counts.refused,
            failed: counts.failed,
            resent: meter.resent,
            missed: course.missed,
            latency: Quantiles::of(&all.latencies),
            operations: rows(&meter),
            status_codes: statuses(&meter),
            errors: troubles(&meter),
            freshness: (!load.without_history).then(|| site.sampler.seen(Freshness::of)),
            proof,
            timeline: course.moments,
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
    pub(super) fn verdict(&self) -> &'static str {
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
    let told = meter.statuses.iter();
    told.map(|(status, count)| Status {
        status: *status,
        count: *count,
    })
    .collect()
}

fn troubles(meter: &Meter) -> Vec<Counted> {
    let mut told: Vec<Counted> = meter
        .troubles
        .iter()
        .map(|(what, count)| Counted {
            what: what.clone(),
            count: *count,
        })
        .collect();
    told.sort_by_key(|counted| std::cmp::Reverse(counted.count));
    told.truncate(TROUBLES_TOLD_MAX);
    told
}

/// `850 µs`, `12.3 ms`, `4.56 s`.
pub(super) fn span(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{}.{} ms", us / 1_000, us % 1_000 / 100),
        _ => format!("{}.{:02} s", us / 1_000_000, us % 1_000_000 / 10_000),
    }
}

const LATENCY_COLUMNS: [&str; 5] = ["P50", "P95", "P99", "P99.9", "MAX"];

impl Quantiles {
    pub(super) fn spans(&self) -> [String; 5] {
        [
            self.p50_us,
            self.p95_us,
            self.p99_us,
            self.p99_9_us,
            self.max_us,
        ]
        .map(span)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.duration_ms / 1_000;
        write!(
            f,
            "{} operations in {seconds} s, {}/s; seed {}",
            self.total, self.throughput_per_second, self.seed
        )?;
        if self.interrupted {
            write!(f, "; interrupted")?;
        }
        writeln!(f, "\n")?;
        f.write_str(&text(&self.operations_table()).map_err(|_| fmt::Error)?)?;
        let statuses = self.status_codes.iter();
        let statuses: Vec<String> = statuses
            .map(|told| format!("{} × {}", told.status, told.count))
            .collect();
        writeln!(f, "\nstatus codes  {}", statuses.join(", "))?;
        if self.resent > 0 {
            writeln!(f, "sent again    {} requests", self.resent)?;
        }
        if let Some(missed) = self.missed.filter(|missed| *missed > 0) {
            writeln!(
                f,
                "missed        {missed} arrivals found no free worker until the end: more --workers, or a lower --rate"
            )?;
        }
        for counted in &self.errors {
            writeln!(f, "error         {} × {}", counted.what, counted.count)?;
        }
        self.write_freshness(f)?;
        self.write_proof(f)
    }
}

impl Report {
    fn operations_table(&self) -> Table {
        let mut columns = vec![("OPERATION", Align::Left)];
        columns.extend(["COMPLETED", "REFUSED", "FAILED"].map(|title| (title, Align::Right)));
        columns.extend(LATENCY_COLUMNS.map(|title| (title, Align::Right)));
        let mut table = Table::new(&columns);
        let mut row = |name: &str, counts: [u64; 3], latency: &Quantiles| {
            let cells = std::iter::once(name.to_owned())
                .chain(counts.map(|count| count.to_string()))
                .chain(latency.spans());
            table.row(cells);
        };
        for told in &self.operations {
            let counts = [told.completed, told.refused, told.failed];
            row(told.operation, counts, &told.latency);
        }
        let counts = [self.completed, self.refused, self.failed];
        row("all", counts, &self.latency);
        table
    }

    fn write_freshness(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(freshness) = &self.freshness else {
            return Ok(());
        };
        write!(
            f,
            "freshness     p50 {}, p99 {}, max {} from the answer to history ({} samples",
            span(freshness.p50_us),
            span(freshness.p99_us),
            span(freshness.max_us),
            freshness.samples,
        )?;
        if freshness.not_seen > 0 {
            write!(f, ", {} of them not seen", freshness.not_seen)?;
        }
        writeln!(f, ")")
    }

    fn write_proof(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let proof = &self.proof;
        writeln!(
            f,
            "proof         {} wallets, read from {}: {} of {}, {} of {} events",
            proof.wallets,
            proof.read_from(),
            self.settings.currency.display(clamped(proof.money_found)),
            self.settings
                .currency
                .display(clamped(proof.money_expected)),
            proof.events_found,
            proof.events_expected,
        )?;
        if proof.resolved > 0 {
            writeln!(
                f,
                "              {} operations were settled after the load, under their keys",
                proof.resolved
            )?;
        }
        if !proof.exact {
            writeln!(
                f,
                "              only as exact as the answers: {} operations have none, so {} wallets are unknown",
                proof.unresolved, proof.wallets_unknown
            )?;
        }
        for fault in &proof.faults {
            let wallet = fault.wallet.as_deref().unwrap_or("all");
            writeln!(f, "FAULT         {wallet}: {}", fault.what)?;
        }
        write!(f, "\n{}", self.verdict())
    }
}

/// A sum over wallets, for the eye.
pub(super) fn clamped(minor: i128) -> i64 {
    i64::try_from(minor).unwrap_or(i64::MAX)
}

fn text(table: &Table) -> std::io::Result<String> {
    let mut out = Vec::new();
    table.write(&mut out)?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_told_in_the_unit_that_fits() {
        assert_eq!(span(850), "850 µs");
        assert_eq!(span(12_345), "12.3 ms");
        assert_eq!(span(4_567_890), "4.56 s");
    }
}
