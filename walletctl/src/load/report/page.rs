//! The report as one page, from `templates/load_report.html`: nothing is loaded from anywhere, it follows the reader's
//! choice of light or dark, and can be read on a phone. What it is filled with is text already.

use askama::Template;

use crate::{
    format::{bytes, duration_us, thousands},
    load::{
        measure::latency::Quantiles,
        report::{Report, charts, clamped},
    },
};

#[derive(Template)]
#[template(path = "load_report.html")]
struct Page<'report> {
    report: &'report Report,
    summary: String,
    /// Name, computed, found.
    proof: Vec<[String; 3]>,
    proof_says: String,
    origin: Vec<(&'static str, String)>,
    tiles: Vec<(&'static str, String)>,
    drawings: Vec<Drawing>,
    operations: Vec<Operation<'report>>,
    answers: Vec<(String, String)>,
}

struct Drawing {
    title: String,
    /// Name and colour of each series.
    legend: Vec<(String, String)>,
    svg: String,
}

struct Operation<'report> {
    name: &'report str,
    /// Counts, then latencies.
    cells: Vec<String>,
}

/// # Errors
/// When a chart cannot be drawn.
pub(crate) fn html(report: &Report) -> anyhow::Result<String> {
    let page = Page {
        report,
        summary: summary(report),
        proof: proof(report),
        proof_says: proof_says(report),
        origin: origin(report),
        tiles: tiles(report),
        drawings: drawings(report)?,
        operations: operations(report),
        answers: answers(report),
    };
    Ok(page.render()?)
}

fn summary(report: &Report) -> String {
    let settings = &report.settings;
    let seconds = thousands((report.duration_ms + 500) / 1_000);
    let workers = thousands(u64::from(settings.workers));
    let wallets = thousands(settings.accounts as u64);
    let rate = match settings.rate {
        Some(rate) => format!("{} arrivals a second", thousands(u64::from(rate))),
        None => "as fast as answers come".to_owned(),
    };
    let interrupted = if report.interrupted {
        ", interrupted"
    } else {
        ""
    };
    format!("{workers} workers on {wallets} wallets for {seconds} s, {rate}{interrupted}")
}

fn proof(report: &Report) -> Vec<[String; 3]> {
    let proof = &report.proof;
    let money = |minor| report.settings.currency.display(clamped(minor));
    let events = |number: i128| thousands(u64::try_from(number).unwrap_or_default());
    let row = |name: &str, computed, found| [name.to_owned(), computed, found];
    vec![
        row(
            "money in all wallets",
            money(proof.money_expected),
            money(proof.money_found),
        ),
        row(
            "events",
            events(proof.events_expected),
            events(proof.events_found),
        ),
    ]
}

fn proof_says(report: &Report) -> String {
    let proof = &report.proof;
    let mut said = format!(
        "{} wallets were read from {} and compared one by one.",
        thousands(proof.wallets as u64),
        proof.read_from()
    );
    if proof.resolved > 0 {
        said.push_str(&format!(
            " {} operations were settled after the load, under their keys.",
            thousands(proof.resolved)
        ));
    }
    if !proof.exact {
        said.push_str(&format!(
            " {} operations have no answer, so {} wallets are unknown.",
            thousands(proof.unresolved),
            thousands(proof.wallets_unknown as u64)
        ));
    }
    if proof.faults_total > 0 {
        said.push_str(&format!(" {} faults.", proof.faults_total));
    }
    said
}

fn origin(report: &Report) -> Vec<(&'static str, String)> {
    let origin = &report.origin;
    let machine = &origin.machine;
    let mut told = vec![
        ("wallet-service", origin.wallet_url.clone()),
        ("walletctl", origin.build()),
        (
            "load from",
            format!(
                "{} cores ({}), {}, {}",
                machine.cores,
                machine.cpu,
                bytes(machine.memory_bytes),
                machine.kernel
            ),
        ),
        ("command", origin.command.clone()),
        ("started", report.started_at.clone()),
        ("measured from", report.measured_from.clone()),
        ("seed", report.seed.to_string()),
    ];
    if let Some(history) = &origin.history_url {
        told.insert(1, ("history-service", history.clone()));
    }
    told
}

fn tiles(report: &Report) -> Vec<(&'static str, String)> {
    let mut tiles = vec![
        ("operations", thousands(report.total)),
        ("a second", thousands(report.throughput_per_second)),
        ("p50", duration_us(report.latency.p50_us)),
        ("p99", duration_us(report.latency.p99_us)),
        ("refused, as expected", thousands(report.refused)),
        ("failed", thousands(report.failed)),
    ];
    if let Some(freshness) = &report.freshness {
        tiles.push(("history lag p50", duration_us(freshness.p50_us)));
        tiles.push(("history lag p99", duration_us(freshness.p99_us)));
    }
    tiles
}

fn drawings(report: &Report) -> anyhow::Result<Vec<Drawing>> {
    let drawn = charts::all(report).into_iter().map(|chart| {
        let legend = chart.legend().into_iter();
        Ok(Drawing {
            legend: legend
                .map(|(name, colour)| (name.to_owned(), colour))
                .collect(),
            svg: chart.inline_lines()?,
            title: chart.title,
        })
    });
    drawn.collect()
}

fn operations(report: &Report) -> Vec<Operation<'_>> {
    let row = |name, counts: [u64; 3], latency: &Quantiles| Operation {
        name,
        cells: counts
            .map(thousands)
            .into_iter()
            .chain(latency.spans())
            .collect(),
    };
    let each = report.operations.iter().map(|operation| {
        let counts = [operation.completed, operation.refused, operation.failed];
        row(operation.operation, counts, &operation.latency)
    });
    let counts = [report.completed, report.refused, report.failed];
    each.chain([row("all", counts, &report.latency)]).collect()
}

fn answers(report: &Report) -> Vec<(String, String)> {
    let statuses = report.status_codes.iter();
    let statuses = statuses.map(|counted| (counted.status.to_string(), thousands(counted.count)));
    let errors = report.errors.iter();
    let errors = errors.map(|counted| (counted.what.clone(), thousands(counted.count)));
    let resent = ("sent again".to_owned(), thousands(report.resent));
    let missed = report.missed.map(|missed| {
        let name = "arrivals without a worker".to_owned();
        (name, thousands(missed))
    });
    statuses
        .chain(errors)
        .chain([resent])
        .chain(missed)
        .collect()
}
