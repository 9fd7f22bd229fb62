//! wallet-service on real servers.

#![expect(
    clippy::unwrap_used,
    reason = "the lint knows test functions, not the helpers of a test binary"
)]

mod app;
mod clock;
mod command_line;
mod constraints;
mod database;
mod frozen;
mod hostile;
mod http;
mod ledger;
mod logs;
mod metrics;
mod next_schema;
mod outbox;
mod process;
mod rate_limits;
mod redaction;
mod siege;
mod views;
