//! The operator's hand, as a command.

use std::process::ExitCode;

use walletctl::cli::Cli;

#[tokio::main]
async fn main() -> ExitCode {
    walletctl::run(Cli::read()).await
}
