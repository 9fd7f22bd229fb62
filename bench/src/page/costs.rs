//! The sections about what a transfer costs: CPU, memory, WAL and statements.

use std::collections::BTreeSet;

use walletctl::format::thousands;

use super::{Section, Table};
use crate::{
    costs::{self, Costs},
    load::Run,
    numbers::{megabytes, millis, ratio, times},
    results::Results,
    targets,
};

/// None without a run whose costs are known.
pub(super) fn of_a_transfer(runs: &[(&'static str, &Costs)]) -> Option<Section> {
    if runs.is_empty() {
        return None;
    }
    let names: Vec<&str> = runs.iter().map(|(name, _)| *name).collect();
    let mut table = Table::new(&[&[""][..], &names].concat());
    let mut line = |name: String, cell: &dyn Fn(&Costs) -> String| {
        let cells = runs.iter().map(|(_, costs)| cell(costs));
        table
            .rows
            .push(std::iter::once(name).chain(cells).collect());
    };
    let groups: BTreeSet<&String> = runs
        .iter()
        .flat_map(|(_, costs)| costs.cpu_ns.keys())
        .collect();
    for group in groups {
        line(format!("CPU, {group}"), &|costs| {
            let used = costs.cpu_ns.get(group);
            used.map_or_else(String::new, |ns| micros(*ns))
        });
    }
    line("**CPU, all**".to_owned(), &|costs| {
        micros(costs.cpu_total())
    });
    line("WAL, bytes".to_owned(), &|costs| thousands(costs.wal_bytes));
    line(
        "commits that write, in both databases, for 1,000 transfers".to_owned(),
        &|costs| thousands(costs.commits_per_thousand),
    );
    for service in ["wallet-service", "history-service"] {
        line(
            format!("resident memory of {service}: start, max, end"),
            &|costs| {
                let found = costs.memory.iter().find(|memory| memory.service == service);
                found.map_or_else(String::new, |memory| {
                    [memory.start, memory.max, memory.end]
                        .map(megabytes)
                        .join(", ")
                })
            },
        );
    }
    Some(table.under("Costs of a transfer"))
}

/// Nanoseconds as `43.2 µs`.
fn micros(ns: u64) -> String {
    format!("{}.{} µs", ns / 1_000, ns % 1_000 / 100)
}

/// None without a run whose statements were counted.
pub(super) fn statements(results: &Results) -> Option<Section> {
    let wallet = results.wallet.as_ref().map(|found| &found.counted);
    let everything = results.everything.as_ref().map(|found| &found.counted);
    let mut table = Table::new(&[
        "run",
        "transfers per commit",
        "in the wallet database",
        "in the history database",
        "per commit that writes",
    ]);
    for run in [wallet, everything].into_iter().flatten() {
        let Some(found) = &run.costs else { continue };
        let statements = &found.statements_per_thousand;
        let of = |group: &str| {
            let found = statements.get(group);
            found.map_or_else(|| "–".to_owned(), |count| thousands(*count))
        };
        table.row([
            run.label.clone(),
            run.transfers_per_commit.unwrap_or_default().to_string(),
            of(costs::POSTGRES_WALLET),
            of(costs::POSTGRES_HISTORY),
            times(ratio(statements.values().sum(), found.commits_per_thousand)),
        ]);
    }
    let title = "Statements for 1,000 transfers, counted in Postgres' log";
    (!table.rows.is_empty()).then(|| table.under(title))
}

pub(super) fn soak(soak: &Run) -> Section {
    let mut table = Table::new(&["resident memory", "start", "max", "end"]);
    for memory in targets::services(soak) {
        let [start, max, end] = [memory.start, memory.max, memory.end].map(megabytes);
        table.row([memory.service.clone(), start, max, end]);
    }
    let intro = format!(
        "{} transfers a second, first third {}, last third {}; HTTP p99 {}.",
        thousands(soak.per_second),
        thousands(soak.first_third),
        thousands(soak.last_third),
        millis(soak.p99_us)
    );
    Section {
        intro: Some(intro),
        ..table.under(format!("Soak: {} s at half of the rate", soak.seconds))
    }
}
