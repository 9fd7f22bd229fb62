//! The benchmark, as a command.

use std::process::ExitCode;

use bench::{Cli, carry_out};
use clap::Parser;
use shared::server::shutdown;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[tokio::main]
async fn main() -> ExitCode {
    shutdown::exit_code("bench", carry_out(Cli::parse()).await)
}
