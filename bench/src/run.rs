//! The benchmark from beginning to end: stage after stage, each result kept as soon as it is there.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, ensure};
use clap::Args;
use shared::Timestamp;

use walletctl::format::thousands;

use crate::{
    figures,
    machine::Machine,
    output, page,
    plan::Plan,
    results::{Results, SetFloorRate, Stage},
    set_floor::SetFloor,
    stack::{Place, Schema, Stack},
    stages::{
        baseline, commands, everything, floors, guarded, reads, storage, streams, two_instances,
        wallet,
    },
    targets,
};

/// Where the page of a full run goes.
const PUBLISHED: &str = "docs/performance";

#[derive(Args, Clone, Debug)]
pub struct Run {
    /// Every stage in a few seconds, to try it out; the figures are not to be published.
    #[arg(long)]
    pub quick: bool,
    /// The stages to run; all when none is named.
    #[arg(value_enum)]
    pub stages: Vec<Stage>,
    /// Where results are kept while the benchmark runs.
    #[arg(long, default_value = "target/bench", value_name = "FOLDER")]
    pub keep: PathBuf,
    #[command(flatten)]
    pub place: Place,
}

/// Runs the stages. A stage that fails is told, and the others go on.
///
/// # Errors
/// When the stack is not as it must be, results cannot be kept, or a stage has failed.
pub async fn run(run: Run) -> anyhow::Result<()> {
    let plan = if run.quick {
        Plan::quick()
    } else {
        Plan::full()
    };
    let stages = chosen(&run.stages);
    let stack = Stack::find(run.place)?;
    let postgres = stack.postgres().await?;
    ensure!(
        postgres.is_durable() || run.quick,
        "fsync, full_page_writes or synchronous_commit is off: what is measured then is not this system"
    );
    stack.warm_up_wal(plan.wal_warm_up_mb).await?;
    let mut bench = Bench {
        results: Results {
            started_at: Timestamp::now().to_string(),
            finished_at: None,
            publishable: false,
            machine: Machine::look(&stack.data_disk()),
            postgres,
            plan,
            floors: None,
            set_floor: BTreeMap::new(),
            baseline: None,
            wallet: None,
            two_instances: None,
            commands: None,
            everything: None,
            guarded: None,
            reads: None,
            storage: None,
            streams: None,
            soak: None,
            failures: BTreeMap::new(),
        },
        stack,
        keep: run.keep,
        set_floor: None,
    };
    bench.stages(&stages).await?;
    bench.end(&stages)
}

/// In their own order, each once.
fn chosen(named: &[Stage]) -> Vec<Stage> {
    let all = Stage::ALL.into_iter();
    all.filter(|stage| named.is_empty() || named.contains(stage))
        .collect()
}

/// What is compared with the set-based floor. It is measured before and after: the machine drifts.
const BESIDE_FLOOR: [Stage; 2] = [Stage::Wallet, Stage::Everything];
/// What events go through Kafka in.
const WITH_KAFKA: [Stage; 4] = [
    Stage::Everything,
    Stage::Guarded,
    Stage::Streams,
    Stage::Soak,
];

struct Bench {
    stack: Stack,
    results: Results,
    keep: PathBuf,
    set_floor: Option<SetFloor>,
}

impl Bench {
    async fn stages(&mut self, stages: &[Stage]) -> anyhow::Result<()> {
        let with_floor = stages.contains(&Stage::Floors);
        let mut kafka_is_cold = true;
        for stage in stages {
            output::line(&format!("{}:", stage.name()))?;
            if kafka_is_cold && WITH_KAFKA.contains(stage) {
                Box::pin(everything::warm_up_kafka(&self.stack, &self.results.plan)).await?;
                kafka_is_cold = false;
            }
            let beside_floor = with_floor && BESIDE_FLOOR.contains(stage);
            if beside_floor || *stage == Stage::Floors {
                self.measure_floor(*stage).await;
            }
            if let Err(error) = Box::pin(self.stage(*stage)).await {
                self.failed(*stage, &error)?;
            }
            if beside_floor {
                self.measure_floor(*stage).await;
            }
            keep(&self.results, &self.keep)?;
        }
        if with_floor {
            self.stack.forget("bench_set_floor").await;
        }
        Ok(())
    }

    fn failed(&mut self, stage: Stage, error: &anyhow::Error) -> anyhow::Result<()> {
        let why = format!("{error:#}");
        output::line(&format!("  FAILED: {why}"))?;
        self.results.failures.insert(stage, why);
        Ok(())
    }

    async fn stage(&mut self, stage: Stage) -> anyhow::Result<()> {
        let Self { stack, results, .. } = self;
        let plan = &results.plan;
        match stage {
            Stage::Floors => results.floors = Some(floors::run(stack, plan).await?),
            Stage::Baseline => results.baseline = Some(baseline::run(stack, plan).await?),
            Stage::Wallet => results.wallet = Some(wallet::run(stack, plan).await?),
            Stage::TwoInstances => {
                results.two_instances = Some(two_instances::run(stack, plan).await?);
            }
            Stage::Commands => results.commands = Some(commands::run(stack, plan).await?),
            Stage::Everything => results.everything = Some(everything::run(stack, plan).await?),
            Stage::Guarded => results.guarded = Some(guarded::run(stack, plan).await?),
            Stage::Reads => results.reads = Some(reads::run(stack, plan).await?),
            Stage::Storage => results.storage = Some(storage::run(stack, plan).await?),
            Stage::Streams => results.streams = Some(streams::run(stack, plan).await?),
            Stage::Soak => {
                let rate = results.everything.as_ref().map(|found| found.rate);
                results.soak = Some(everything::soak(stack, plan, rate).await?);
            }
        }
        Ok(())
    }

    /// Part of the stage `floors`, whenever it happens.
    async fn measure_floor(&mut self, beside: Stage) {
        let measured = match self.floor().await {
            Ok(rate) => {
                let rates = self.results.set_floor.entry(beside);
                rates.or_default().push(rate);
                let (whole, statements) = (rate.per_second, rate.statements_per_second);
                let (whole, statements) = (thousands(whole), thousands(statements));
                let told =
                    format!("  set-based floor: {whole}/s, its statements alone {statements}/s");
                output::line(&told).map_err(anyhow::Error::from)
            }
            Err(error) => self.failed(Stage::Floors, &error.context("the set-based floor")),
        };
        // Standard output is gone: the next line fails as well, and ends the run.
        drop(measured);
    }

    async fn floor(&mut self) -> anyhow::Result<SetFloorRate> {
        let plan = &self.results.plan;
        let mut floor = match self.set_floor.take() {
            Some(floor) => floor,
            None => {
                let database = self
                    .stack
                    .database("bench_set_floor", Schema::Wallet)
                    .await?;
                SetFloor::new(database.options, plan.wallets).await?
            }
        };
        let rate = floor
            .measure(Duration::from_secs(plan.set_floor_seconds))
            .await?;
        self.set_floor = Some(floor);
        Ok(rate)
    }

    /// Tells how it went, and publishes what may be.
    fn end(mut self, stages: &[Stage]) -> anyhow::Result<()> {
        let results = &mut self.results;
        results.finished_at = Some(Timestamp::now().to_string());
        results.publishable = !results.plan.quick
            && stages.len() == Stage::ALL.len()
            && results.failures.is_empty()
            && results.postgres.is_durable();
        keep(results, &self.keep)?;
        output::line("")?;
        for target in targets::all(results) {
            output::line(&format!(
                "{:<58} {:<16} {:<16} {}",
                target.what,
                target.wanted,
                target.measured,
                target.verdict().replace('*', "")
            ))?;
        }
        output::line(&format!("\nresults: {}", self.keep.display()))?;
        if results.publishable {
            keep(results, Path::new(PUBLISHED))?;
            output::line(&format!("published: {PUBLISHED}"))?;
        }
        let failed = results.failures.len();
        ensure!(failed == 0, "{failed} of {} stages failed", stages.len());
        Ok(())
    }
}

/// Writes document, page and charts.
///
/// # Errors
/// When the folder cannot be written.
pub fn keep(results: &Results, folder: &Path) -> anyhow::Result<()> {
    let write = |file: &str, text: &str| {
        let path = folder.join(file);
        fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))
    };
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let document = serde_json::to_string_pretty(results)?;
    write("results.json", &format!("{document}\n"))?;
    let figures = figures::all(results)?;
    write("README.md", &page::markdown(results, &figures)?)?;
    for figure in &figures {
        write(figure.file, &figure.svg)?;
    }
    Ok(())
}

/// Makes page and charts again from results that were kept.
///
/// # Errors
/// When the file cannot be read, or the folder cannot be written.
pub fn render(results: &Path, folder: &Path) -> anyhow::Result<()> {
    let json =
        fs::read(results).with_context(|| format!("{} cannot be read", results.display()))?;
    keep(&serde_json::from_slice(&json)?, folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_run_in_their_own_order_and_all_when_none_is_named() {
        assert_eq!(chosen(&[]), Stage::ALL);
        assert_eq!(
            chosen(&[Stage::Wallet, Stage::Floors, Stage::Wallet]),
            [Stage::Floors, Stage::Wallet]
        );
    }
}
