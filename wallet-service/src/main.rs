//! The wallet-service process: what it is started for, settings, logs, then the application until it is told to stop.

use std::process::ExitCode;

use shared::server::{
    command_line::{Service, Task},
    settings::Settings,
    shutdown,
    telemetry::{self, LogSettings},
};
use wallet_service::{
    app::{self, App},
    config::{Config, SETTINGS},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SERVICE: Service = Service {
    name: "wallet-service",
    about: "The only writer of money: decides commands, keeps the ledger, and brings its events to Kafka",
    version: env!("CARGO_PKG_VERSION"),
    settings: SETTINGS,
};

fn main() -> ExitCode {
    // Before anything else: what is not known must not start, and help must not either.
    let task = SERVICE.task();
    shutdown::exit_code(SERVICE.name, run(task))
}

#[tokio::main]
async fn run(task: Task) -> anyhow::Result<()> {
    let (logs, config) = Settings::from_env()?
        .read(|settings| (LogSettings::from_settings(settings), Config::read(settings)))?;
    if task == Task::CheckConfig {
        return Ok(SERVICE.say_that_settings_can_be_used()?);
    }
    telemetry::init(logs)?;
    match task {
        Task::Migrate => app::migrate_only(&config).await,
        Task::Serve | Task::CheckConfig => serve(config).await,
    }
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let shutdown = shutdown::signal_token()?;
    let app = App::start(config).await?;
    tracing::info!(address = %app.addr(), "wallet-service is listening");
    app.run(shutdown).await
}
