//! The operator's hand, as a command.

use std::{io, process::ExitCode};

use tokio::runtime::Builder;
use walletctl::cli::{Cli, Command};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> io::Result<ExitCode> {
    let cli = Cli::read();
    // One thread carries more load than the services that share the machine with it; several would spend a good part of
    // it on waking each other.
    let mut threads = if matches!(cli.command, Command::Load(_)) {
        Builder::new_current_thread()
    } else {
        Builder::new_multi_thread()
    };
    Ok(threads.enable_all().build()?.block_on(walletctl::run(cli)))
}
