//! The report for people: tables on standard output.

use std::fmt;

use crate::{
    format::duration_us,
    load::{
        measure::latency::Quantiles,
        report::{Report, clamped},
    },
    output::{Align, Table},
};

const LATENCY_COLUMNS: [&str; 5] = ["P50", "P95", "P99", "P99.9", "MAX"];

impl Quantiles {
    pub(crate) fn spans(&self) -> [String; 5] {
        [
            self.p50_us,
            self.p95_us,
            self.p99_us,
            self.p99_9_us,
            self.max_us,
        ]
        .map(duration_us)
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
            .map(|counted| format!("{} × {}", counted.status, counted.count))
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
        for operation in &self.operations {
            let counts = [operation.completed, operation.refused, operation.failed];
            row(operation.operation, counts, &operation.latency);
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
            duration_us(freshness.p50_us),
            duration_us(freshness.p99_us),
            duration_us(freshness.max_us),
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

fn text(table: &Table) -> std::io::Result<String> {
    let mut out = Vec::new();
    table.write(&mut out)?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}
