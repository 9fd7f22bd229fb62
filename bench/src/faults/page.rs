//! A fault run for people: lines while it runs, and a Markdown document from `templates/faults.md`.

use askama::Template;

use super::report::{Report, Row};
use crate::numbers::megabytes;

#[derive(Template)]
#[template(path = "faults.md")]
struct Page<'report> {
    report: &'report Report,
    machine: Vec<(&'static str, String)>,
    /// What callers did, and how often.
    counts: Vec<(&'static str, u64)>,
    verify: Vec<&'report str>,
}

/// What was measured of a fault, a line each, and what is wrong.
pub fn lines(row: &Row) -> Vec<String> {
    let measured = row.measured.iter().map(|measured| {
        format!(
            "  {:<58} {:>9}  {:<10} {}",
            measured.what,
            measured.took(),
            measured.allowed(),
            measured.verdict().replace('*', "")
        )
    });
    let operator = row.operator.iter();
    let operator = operator.map(|word| format!("  an operator's decision: {word}"));
    let wrong = row.wrong.iter().map(|wrong| format!("  WRONG: {wrong}"));
    measured.chain(operator).chain(wrong).collect()
}

/// The whole page.
///
/// # Errors
/// Never, for what a page is made of.
pub fn markdown(report: &Report) -> anyhow::Result<String> {
    let page = Page {
        report,
        machine: machine(report),
        counts: counts(report),
        verify: report.verify.trim_end().lines().collect(),
    };
    let mut text = page.render()?;
    text.push('\n');
    Ok(text)
}

fn counts(report: &Report) -> Vec<(&'static str, u64)> {
    let Report {
        counts, streamed, ..
    } = report;
    let mut all = vec![
        ("commands that were acknowledged", counts.acknowledged),
        ("refused for want of money", counts.refused),
        ("commands sent again under their key", counts.sent_again),
        (
            "acknowledged, and gone with the ledger that was restored",
            counts.given_up,
        ),
        ("reads of history", counts.reads),
        ("reads that failed and were made again", counts.reads_failed),
    ];
    // Reports of before had none.
    if streamed.streams > 0 {
        all.extend([
            ("events that streams told", streamed.events),
            ("streams that were asked for again", streamed.again),
            (
                "times that a stream told of events that were replaced",
                streamed.replaced,
            ),
        ]);
    }
    all
}

fn machine(report: &Report) -> Vec<(&'static str, String)> {
    let machine = &report.machine;
    vec![
        ("begun", report.started_at.clone()),
        ("ended", report.finished_at.clone()),
        (
            "machine",
            format!("{} cores, {}", machine.cores, machine.cpu),
        ),
        (
            "what else it did",
            format!(
                "load average {} before anything of the run ran",
                report.load_before
            ),
        ),
        ("memory", megabytes(machine.memory_bytes)),
        ("kernel", machine.kernel.clone()),
        ("disk", machine.disk.clone()),
        ("this project", format!("commit {}", machine.commit)),
        ("compiler", machine.rustc.clone()),
        ("Postgres", report.postgres.version.clone()),
        ("Kafka", machine.kafka.clone()),
    ]
}

#[cfg(test)]
mod tests {
    use std::{path::Path, time::Duration};

    use super::*;
    use crate::{
        faults::report::{RELAY_RESUMES, WRITES_RESUME},
        machine::Machine,
        stack::Postgres,
    };

    fn report(faults: Vec<Row>) -> Report {
        Report {
            started_at: String::new(),
            finished_at: String::new(),
            seconds: 600,
            whole: true,
            machine: Machine::look(Path::new("/")),
            postgres: Postgres {
                version: "18".to_owned(),
                fsync: "on".to_owned(),
                synchronous_commit: "on".to_owned(),
                full_page_writes: "on".to_owned(),
                settings: Vec::new(),
            },
            load_before: "0.10".to_owned(),
            faults,
            counts: Default::default(),
            streamed: Default::default(),
            failures: Default::default(),
            verify: "clean".to_owned(),
            wrong: Vec::new(),
        }
    }

    #[test]
    fn a_page_has_a_row_for_each_time_and_says_what_does_not_hold() {
        let mut row = Row::new("broker", "killed");
        row.measure("writes", Duration::from_secs(5), WRITES_RESUME);
        let page = markdown(&report(vec![row.clone()])).unwrap();
        let said = "| `broker` | killed | writes | 5.0 s | ≤ 5.0 s | holds |";
        assert!(page.contains(said), "{page}");
        assert!(page.contains("**Everything holds**"), "{page}");

        row.measure("relay", Duration::from_secs(16), RELAY_RESUMES);
        let page = markdown(&report(vec![row.clone()])).unwrap();
        let said = "| | | relay | 16.0 s | ≤ 15.0 s | **does not hold** |";
        assert!(page.contains(said), "{page}");
        assert!(page.contains("**Not everything holds**"), "{page}");
        assert_eq!(lines(&row).len(), 2);

        let mut report = report(Vec::new());
        report.wrong.push("3 commands are lost".to_owned());
        let page = markdown(&report).unwrap();
        assert!(page.contains("> 3 commands are lost"), "{page}");
        assert!(!page.contains("`walletctl verify` is clean"), "{page}");
    }

    #[test]
    fn the_published_page_is_made_of_the_published_report() {
        let report = include_str!("../../../docs/performance/faults.json");
        let page = markdown(&serde_json::from_str(report).unwrap()).unwrap();
        let published = include_str!("../../../docs/performance/faults.md");
        for (made, published) in page.lines().zip(published.lines()) {
            assert_eq!(
                made, published,
                "`bench render-faults` writes the page again"
            );
        }
        assert_eq!(page.len(), published.len());
    }
}
