//! The history-service process.

use std::process::ExitCode;

use history_service::{
    app::{self, App},
    config::{Config, SETTINGS},
};
use shared::server::command_line::Service;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const SERVICE: Service = Service {
    name: "history-service",
    about: "Keeps what happened to wallets for ever, and answers questions about it",
    version: env!("CARGO_PKG_VERSION"),
    settings: SETTINGS,
    other_names: &[
        ("DATABASE_URL", "HISTORY_DATABASE_URL"),
        ("KAFKA_GROUP_ID", "KAFKA_GROUP"),
        ("PORT", "HISTORY_PORT"),
    ],
};

fn main() -> ExitCode {
    SERVICE.run(Config::read, app::migrate_only, async |config, shutdown| {
        App::start(config).await?.run(shutdown).await
    })
}
