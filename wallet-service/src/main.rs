//! The wallet-service process: what it is started for, settings, logs, then the application until it is told to stop.

use std::{io::Write, process::ExitCode};

use shared::server::{
    command_line::{Service, Task},
    settings::Settings,
    shutdown, telemetry,
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
    let settings = Settings::from_env()?;
    match task {
        Task::Serve => serve(&settings).await,
        Task::Migrate => {
            telemetry::init(&settings)?;
            app::migrate_only(&Config::from_settings(&settings)?).await
        }
        Task::CheckConfig => check_config(&settings),
    }
}

fn check_config(settings: &Settings) -> anyhow::Result<()> {
    telemetry::check(settings)?;
    app::check(&Config::from_settings(settings)?)?;
    writeln!(
        std::io::stdout(),
        "{}: the settings can be used",
        SERVICE.name
    )?;
    Ok(())
}

async fn serve(settings: &Settings) -> anyhow::Result<()> {
    telemetry::init(settings)?;
    let config = Config::from_settings(settings)?;
    let shutdown = shutdown::signal_token()?;
    let app = App::start(config).await?;
    tracing::info!(address = %app.addr(), "wallet-service is listening");
    app.run(shutdown).await
}
