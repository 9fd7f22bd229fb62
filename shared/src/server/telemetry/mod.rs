//! Logs: one line per thing that happened, on standard output, as text for people or JSON for machines.

mod one_line;

use std::io::{IsTerminal, stdout};

use tracing_subscriber::{EnvFilter, util::SubscriberInitExt};

use self::one_line::OneLine;
use super::settings::{SettingError, Settings};

/// What is logged when `RUST_LOG` says nothing: the libraries only when something is wrong.
pub const DEFAULT_FILTER: &str = "info,rdkafka=warn,librdkafka=warn,sqlx=warn";

/// Starts logging for the whole process. `RUST_LOG` chooses what, `LOG_FORMAT` (`text` or `json`) how.
///
/// # Errors
/// When one of the two variables cannot be used, or logging was started before.
pub fn init(settings: &Settings) -> Result<(), SettingError> {
    let filter = filter(settings)?;
    // For people at a terminal, not for files.
    let colours = stdout().is_terminal() && matches!(format(settings)?, Format::Text);
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        .with_writer(move || OneLine::new(stdout(), colours))
        .with_target(true);
    let started = match format(settings)? {
        Format::Text => lines.finish().try_init(),
        Format::Json => lines
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .finish()
            .try_init(),
    };
    started.map_err(|error| {
        SettingError::invalid("LOG_FORMAT", settings.text("LOG_FORMAT", "text"), error)
    })
}

/// Whether [`init`] would start, without starting anything.
///
/// # Errors
/// When one of the two variables cannot be used.
pub fn check(settings: &Settings) -> Result<(), SettingError> {
    filter(settings)?;
    format(settings)?;
    Ok(())
}

#[derive(Debug)]
enum Format {
    Text,
    Json,
}

fn format(settings: &Settings) -> Result<Format, SettingError> {
    match settings.text("LOG_FORMAT", "text").as_str() {
        "text" => Ok(Format::Text),
        "json" => Ok(Format::Json),
        other => Err(SettingError::invalid(
            "LOG_FORMAT",
            other,
            "allowed are text and json",
        )),
    }
}

fn filter(settings: &Settings) -> Result<EnvFilter, SettingError> {
    let directives = settings.text("RUST_LOG", DEFAULT_FILTER);
    EnvFilter::try_new(&directives)
        .map_err(|error| SettingError::invalid("RUST_LOG", directives, error))
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

    #[test]
    fn a_wrong_log_format_is_refused_by_name() {
        let error = format(&Settings::from_pairs([("LOG_FORMAT", "xml")])).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"LOG_FORMAT="xml" cannot be used: allowed are text and json"#
        );
    }

    #[test]
    fn a_wrong_filter_is_refused_by_name() {
        let error = filter(&Settings::from_pairs([("RUST_LOG", "wallet=loud")])).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with(r#"RUST_LOG="wallet=loud" cannot be used"#),
            "{error}"
        );
    }

    #[test]
    fn the_default_filter_is_a_filter() {
        assert!(filter(&Settings::from_pairs([])).is_ok());
    }
}
