//! A service as a process, from its arguments to its exit code: what it is started for, settings, logs, then what it does
//! until it is told to stop.

use std::{
    io::{self, Write},
    process::ExitCode,
    time::SystemTime,
};

use anyhow::ensure;
use tokio::runtime::{self, Runtime};
use tokio_util::sync::CancellationToken;

use super::{
    command_line::{Service, Task},
    http::date,
    settings::{Settings, SettingsReader},
    shutdown,
    telemetry::{self, LogSettings},
    traces::{self, TraceSettings},
};

impl Service {
    /// All that `main` does. `serve` migrates as well, and ends when the token is cancelled.
    pub fn run<C>(
        self,
        read: impl FnOnce(&SettingsReader<'_>) -> C,
        migrate: impl AsyncFnOnce(&C) -> anyhow::Result<()>,
        serve: impl AsyncFnOnce(C, CancellationToken) -> anyhow::Result<()>,
    ) -> ExitCode {
        // Before anything else: what is not known must not start, and help must not either.
        let task = self.task();
        let ended = runtime()
            .and_then(|runtime| runtime.block_on(self.carry_out(task, read, migrate, serve)));
        shutdown::exit_code(self.name, ended)
    }

    async fn carry_out<C>(
        self,
        task: Task,
        read: impl FnOnce(&SettingsReader<'_>) -> C,
        migrate: impl AsyncFnOnce(&C) -> anyhow::Result<()>,
        serve: impl AsyncFnOnce(C, CancellationToken) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut settings = Settings::from_env()?;
        let mut said = settings.take_other_names(self.other_names);
        said.extend(settings.unknown(self.settings, self.other_names));
        let settings = settings.read(|settings| {
            let logs = LogSettings::from_settings(settings);
            let traces = TraceSettings::from_settings(settings);
            (logs, traces, read(settings))
        });
        if settings.is_err() {
            // A name that is misspelt may be all that is wrong.
            for said in &said {
                writeln!(io::stderr(), "{}: {said}", self.name)?;
            }
        }
        let (logs, traces, config) = settings?;
        if task == Task::CheckConfig {
            for said in said {
                writeln!(io::stdout(), "{}: {said}", self.name)?;
            }
            writeln!(io::stdout(), "{}: the settings can be used", self.name)?;
            return Ok(());
        }
        let _written = telemetry::init(logs)?;
        for said in said {
            tracing::warn!("{said}");
        }
        check_clock(SystemTime::now())?;
        let _flush = traces::init(&traces, self.name)?;
        match task {
            Task::Migrate => migrate(&config).await,
            Task::Serve | Task::CheckConfig => serve(config, shutdown::signal_token()?).await,
        }
    }
}

/// Threads that serve whatever the clock does meanwhile.
fn runtime() -> anyhow::Result<Runtime> {
    let mut threads = runtime::Builder::new_multi_thread();
    threads.enable_all().on_thread_start(date::prepare_thread);
    Ok(threads.build()?)
}

/// A clock before 1970 has no date for an answer over HTTP. One that jumps there later is a clock skew like any other.
fn check_clock(now: SystemTime) -> anyhow::Result<()> {
    ensure!(
        now >= SystemTime::UNIX_EPOCH,
        "the clock of this machine is before 1970: mend its time service and start again"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_start_with_a_clock_before_1970_ends_with_what_mends_it() {
        assert!(check_clock(SystemTime::UNIX_EPOCH).is_ok());
        let before = check_clock(SystemTime::UNIX_EPOCH - Duration::from_secs(1));
        assert!(before.unwrap_err().to_string().contains("before 1970"));
    }
}
