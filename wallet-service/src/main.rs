//! The wallet-service process.

use std::process::ExitCode;

use shared::server::command_line::Service;
use wallet_service::{
    app::{self, App},
    config::{Config, SETTINGS},
};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const SERVICE: Service = Service {
    name: "wallet-service",
    about: "The only writer of money: decides commands, keeps the ledger, and brings its events to Kafka",
    version: env!("CARGO_PKG_VERSION"),
    settings: SETTINGS,
    other_names: &[
        ("DATABASE_URL", "WALLET_DATABASE_URL"),
        ("PORT", "WALLET_PORT"),
    ],
};

fn main() -> ExitCode {
    SERVICE.run(Config::read, app::migrate_only, async |config, shutdown| {
        let app = App::start(config).await?;
        tracing::info!(address = %app.addr(), "wallet-service is listening");
        app.run(shutdown).await
    })
}
