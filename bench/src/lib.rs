//! The benchmark: ours beside its baselines, in one run on one machine, on a stack that `scripts/bench` has started.
//!
//! - `run`: stage after stage; `stages` are what is measured, `plan` how long and how much, `results` what was found.
//! - `load`: runs of `walletctl load`, proved; `costs` and `statements`: what they cost, watched from outside.
//! - `set_floor`, `baseline`, `serve`: what ours is compared with. `dataset` and `rows` make their data.
//! - `targets`, `page`, `figures`: how the results are told; `walletctl` draws the charts.
//! - `faults`: not speed but bad days, on a stack that `scripts/faults` has started.
//!
//! Nothing here may make a figure better by making it less durable or less proved.

pub mod baseline;
pub mod closed_loop;
pub mod costs;
pub mod dataset;
pub mod faults;
pub mod figures;
pub mod load;
pub mod machine;
pub mod numbers;
pub mod output;
pub mod page;
pub mod plan;
pub mod proc;
pub mod process;
pub mod results;
pub mod rows;
pub mod run;
pub mod serve;
pub mod set_floor;
pub mod stack;
pub mod stages;
pub mod statements;
pub mod targets;

use std::path::PathBuf;

use anyhow::bail;
use clap::{Parser, Subcommand};
use shared::server::{
    settings::Settings,
    shutdown,
    telemetry::{self, LogSettings},
};

#[derive(Parser, Debug)]
#[command(about, version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Measures; scripts/bench calls it.
    Run(run::Run),
    /// Makes page and charts again from results that were kept.
    Render { results: PathBuf, folder: PathBuf },
    /// Breaks everything in turn while money moves; scripts/faults calls it.
    Faults(faults::Faults),
    /// Makes the page of a fault run again from a report that was kept.
    RenderFaults { report: PathBuf, folder: PathBuf },
    /// Serves requests that do nothing.
    ServeNoop(serve::Serve),
    /// Serves the baseline.
    ServeBaseline(serve::ServeBaseline),
}

/// Carries out a command.
///
/// # Errors
/// When it fails, or is interrupted.
pub async fn carry_out(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Run(run) => until_told_to_stop(run::run(run)).await,
        Command::Render { results, folder } => run::render(&results, &folder),
        Command::Faults(faults) => until_told_to_stop(faults::run(faults)).await,
        Command::RenderFaults { report, folder } => faults::render(&report, &folder),
        Command::ServeNoop(serve) => serve::noop(&serve).await,
        Command::ServeBaseline(serve) => serve::baseline(&serve).await,
    }
}

/// Dropping a run kills what it has started.
async fn until_told_to_stop(run: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let _written = telemetry::init(Settings::from_env()?.read(LogSettings::from_settings)?)?;
    let stop = shutdown::signal_token()?;
    match stop.run_until_cancelled(Box::pin(run)).await {
        Some(ended) => ended,
        None => bail!("interrupted"),
    }
}
