//! The history-service process: settings, logs, then the application until it is told to stop.

use std::process::ExitCode;

use history_service::{app::App, config::Config};
use shared::server::{settings::Settings, shutdown, telemetry};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    shutdown::exit_code("history-service", run().await)
}

async fn run() -> anyhow::Result<()> {
    let settings = Settings::from_env()?;
    telemetry::init(&settings)?;
    let config = Config::from_settings(&settings)?;
    let shutdown = shutdown::signal_token()?;
    let app = App::start(config).await?;
    app.run(shutdown).await
}
