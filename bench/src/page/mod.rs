//! The page for people: a Markdown document from `templates/performance.md`, made of the results and nothing else.

mod costs;
mod rates;
mod storage;

use askama::Template;

use crate::{
    figures::{self, Figure},
    numbers::megabytes,
    results::Results,
    targets::{self, Target},
};

#[derive(Template)]
#[template(path = "performance.md")]
struct Page<'results> {
    publishable: bool,
    targets: Vec<Target>,
    /// Stage and reason.
    failures: Vec<(&'static str, String)>,
    sections: Vec<Section>,
    figures: &'results [Figure],
    machine: Vec<(&'static str, String)>,
    /// Of Postgres.
    settings: Vec<String>,
    kafka_warm_up_seconds: u64,
    plan: String,
}

/// A table under a title, with a sentence before or after it.
struct Section {
    title: String,
    intro: Option<String>,
    table: Table,
    remark: Option<String>,
}

/// What is measured stands in the first column, numbers in all others.
struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn new(head: &[&str]) -> Self {
        Self {
            head: head.iter().map(|name| (*name).to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    fn row<const CELLS: usize>(&mut self, cells: [String; CELLS]) {
        self.rows.push(cells.into());
    }

    fn under(self, title: impl Into<String>) -> Section {
        Section {
            title: title.into(),
            intro: None,
            table: self,
            remark: None,
        }
    }
}

/// The whole page.
///
/// # Errors
/// Never, for what a page is made of.
pub fn markdown(results: &Results, figures: &[Figure]) -> anyhow::Result<String> {
    let failures = results.failures.iter();
    let settings = results.postgres.settings.iter();
    let page = Page {
        publishable: results.publishable,
        targets: targets::all(results),
        failures: failures
            .map(|(stage, why)| (stage.name(), why.replace('\n', " ")))
            .collect(),
        sections: sections(results),
        figures,
        machine: machine(results),
        settings: settings
            .map(|(name, value)| format!("`{name}={value}`"))
            .collect(),
        kafka_warm_up_seconds: results.plan.kafka_warm_up_seconds,
        plan: serde_json::to_string(&results.plan)?,
    };
    let mut text = page.render()?;
    text.push('\n');
    Ok(text)
}

fn sections(results: &Results) -> Vec<Section> {
    let everything = results.everything.as_ref();
    [
        results
            .floors
            .as_ref()
            .map(|floors| rates::floors(results, floors)),
        results.baseline.as_ref().map(rates::baseline),
        results
            .wallet
            .as_ref()
            .map(|wallet| rates::wallet(results, wallet)),
        results.two_instances.as_ref().map(rates::two_instances),
        results.commands.as_ref().map(rates::commands),
        everything.map(|found| rates::everything(results, found)),
        results.guarded.as_ref().map(rates::guarded),
        results.streams.as_ref().map(rates::streams),
        costs::of_a_transfer(&figures::costed(results)),
        costs::statements(results),
        results.reads.as_ref().map(rates::reads),
        results
            .reads
            .as_ref()
            .and_then(|reads| reads.at_scale.as_ref())
            .map(rates::at_scale),
        results
            .storage
            .as_ref()
            .map(|found| storage::bytes(&found.footprints)),
        results.storage.as_ref().map(storage::archive),
        results.soak.as_ref().map(costs::soak),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn machine(results: &Results) -> Vec<(&'static str, String)> {
    let machine = &results.machine;
    let ended = results.finished_at.clone();
    vec![
        ("begun", results.started_at.clone()),
        ("ended", ended.unwrap_or_else(|| "–".to_owned())),
        (
            "machine",
            format!("{} cores, {}", machine.cores, machine.cpu),
        ),
        ("memory", megabytes(machine.memory_bytes)),
        ("kernel", machine.kernel.clone()),
        ("disk", machine.disk.clone()),
        ("writeback", machine.writeback.clone()),
        ("this project", format!("commit {}", machine.commit)),
        ("compiler", machine.rustc.clone()),
        ("Postgres", results.postgres.version.clone()),
        ("Kafka", machine.kafka.clone()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_page_is_made_of_the_published_results() {
        let results = include_str!("../../../docs/performance/results.json");
        let results: Results = serde_json::from_str(results).unwrap();
        let page = markdown(&results, &figures::all(&results).unwrap()).unwrap();
        let published = include_str!("../../../docs/performance/README.md");
        for (made, published) in page.lines().zip(published.lines()) {
            assert_eq!(made, published, "`bench render` writes the page again");
        }
        assert_eq!(page.len(), published.len());
    }
}
