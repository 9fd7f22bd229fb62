//! The benchmark: ours beside its baselines, in one run on one machine, on a stack that `scripts/bench` has started.
//!
//! - `run`: stage after stage; `stages` are what is measured, `plan` how long and how much, `results` what was found.
//! - `load`: runs of `walletctl load`, proved; `costs`: what they cost, watched from outside.
//! - `set_floor`, `baseline`, `serve`: what ours is compared with. `dataset` and `rows` make their data.
//! - `targets`, `page`, `pictures`, `charts`: how the results are told.
//!
//! Nothing here may make a figure better by making it less durable or less proved.

mod baseline;
mod charts;
mod closed_loop;
mod costs;
mod dataset;
mod load;
mod machine;
mod numbers;
mod output;
mod page;
mod pictures;
mod plan;
mod proc;
mod process;
mod results;
mod rows;
mod run;
mod serve;
mod set_floor;
mod stack;
mod stages;
mod targets;

use std::{path::PathBuf, process::ExitCode};

use anyhow::bail;
use clap::{Parser, Subcommand};
use shared::server::shutdown;

#[derive(Parser, Debug)]
#[command(about, version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Measures; scripts/bench calls it.
    Run(run::Run),
    /// Makes page and charts again from results that were kept.
    Render { results: PathBuf, folder: PathBuf },
    /// Serves requests that do nothing.
    ServeNoop(serve::Serve),
    /// Serves the baseline.
    ServeBaseline(serve::ServeBaseline),
}

#[tokio::main]
async fn main() -> ExitCode {
    shutdown::exit_code("bench", carry_out(Cli::parse().command).await)
}

async fn carry_out(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Run(run) => {
            let stop = shutdown::signal_token()?;
            // Dropping the run kills what it has started.
            match stop.run_until_cancelled(Box::pin(run::run(run))).await {
                Some(ended) => ended,
                None => bail!("interrupted"),
            }
        }
        Command::Render { results, folder } => run::render(&results, &folder),
        Command::ServeNoop(serve) => serve::noop(&serve).await,
        Command::ServeBaseline(serve) => serve::baseline(&serve).await,
    }
}
