//! Logs: one line per thing that happened, on standard output, as text for people or JSON for machines.

mod one_line;
mod writer;

use std::{
    fs::File,
    io::{self, IsTerminal, stdout},
    os::fd::AsFd,
};

use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::{
    EnvFilter,
    util::{SubscriberInitExt, TryInitError},
};

use self::one_line::OneLine;
use super::settings::SettingsReader;

/// What is logged when `RUST_LOG` says nothing: the libraries only when something is wrong.
pub const DEFAULT_FILTER: &str =
    "info,rdkafka=warn,librdkafka=warn,sqlx=warn,sqlx::pool::acquire=error";

/// How a process logs.
#[derive(Debug)]
pub struct LogSettings {
    /// `RUST_LOG`: what is logged.
    filter: EnvFilter,
    /// `LOG_FORMAT`, `text`.
    format: LogFormat,
}

#[derive(Clone, Copy, Debug, strum::EnumString)]
#[strum(serialize_all = "snake_case")]
enum LogFormat {
    Text,
    Json,
}

impl LogSettings {
    /// Reads them.
    pub fn from_settings(settings: &SettingsReader<'_>) -> Self {
        let allowed = "allowed are levels (error, warn, info, debug, trace, off), alone or for a module, with commas between \
                       them, as in info,sqlx=warn";
        let filter = settings.checked("RUST_LOG", |text| {
            EnvFilter::try_new(text).map_err(|error| format!("{error}; {allowed}"))
        });
        Self {
            filter: filter.unwrap_or_else(|| EnvFilter::new(DEFAULT_FILTER)),
            format: settings.parsed("LOG_FORMAT", LogFormat::Text, "allowed are text and json"),
        }
    }
}

/// Why logging was not started.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    #[error("standard output cannot be used")]
    Output(#[from] io::Error),
    #[error(transparent)]
    Again(#[from] TryInitError),
}

/// Starts logging for the whole process. What waits to be written is, when the guard goes.
///
/// # Errors
/// When it was started before, or there is no standard output.
pub fn init(settings: LogSettings) -> Result<WorkerGuard, InitError> {
    // For people at a terminal, not for files.
    let colours = stdout().is_terminal() && matches!(settings.format, LogFormat::Text);
    // Beside the standard library's, which writes each line by itself and has all threads wait for it.
    let output = File::from(stdout().as_fd().try_clone_to_owned()?);
    let (written, guard) = writer::start(output, writer::WAITING_LINES_MAX, |lines| {
        tracing::warn!(
            lines,
            "lines of the log were left out: standard output was not read in time"
        );
    });
    let lines = tracing_subscriber::fmt()
        .with_env_filter(settings.filter)
        .with_ansi(colours)
        .with_writer(move || OneLine::new(written.clone(), colours))
        .with_target(true);
    match settings.format {
        LogFormat::Text => lines.finish().try_init(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .finish()
            .try_init(),
    }?;
    Ok(guard)
}

/// For tests: what is logged at `INFO` and above while `work` runs on this thread, one object for each line.
#[cfg(test)]
pub(in crate::server) async fn captured<T>(
    work: impl Future<Output = T>,
) -> (Vec<serde_json::Value>, T) {
    use std::{
        io::Write,
        sync::{Arc, Mutex},
    };

    struct Lines(Arc<Mutex<Vec<u8>>>);
    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let written = Arc::new(Mutex::new(Vec::new()));
    let writer = Arc::clone(&written);
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_max_level(tracing::Level::INFO)
        .with_writer(move || Lines(Arc::clone(&writer)))
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let done = work.await;
    drop(guard);
    let written = written.lock().unwrap().clone();
    let lines = String::from_utf8(written).unwrap();
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    (lines, done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::settings::Settings;

    #[test]
    fn wrong_settings_are_refused_by_name() {
        for (name, value, allowed) in [
            ("LOG_FORMAT", "xml", "text and json"),
            ("RUST_LOG", "wallet=loud", "info,sqlx=warn"),
        ] {
            let settings = Settings::from_pairs([(name, value)]);
            let error = settings.read(LogSettings::from_settings).unwrap_err();
            let said = error.to_string();
            let begin = format!("{name}={value:?} cannot be used");
            assert!(
                said.starts_with(&begin) && said.ends_with(allowed),
                "{said}"
            );
        }
    }

    #[test]
    fn the_default_filter_is_a_filter() {
        assert!(EnvFilter::try_new(DEFAULT_FILTER).is_ok());
    }
}
