//! Starts history-service and reports how it ended.

use std::process::ExitCode;

use history_service::{app::App, config::Config};
use shared::server::{settings::Settings, shutdown, telemetry};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The last resort: logging itself may be what failed.
            #[expect(
                clippy::print_stderr,
                reason = "the process is about to end, and somebody has to be told why"
            )]
            {
                eprintln!("history-service: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let settings = Settings::from_env()?;
    telemetry::init(&settings)?;
    let config = Config::from_settings(&settings)?;
    let shutdown = shutdown::signal_token()?;
    let app = App::start(config).await?;
    app.run(shutdown).await
}
