//! What a session tells Postgres' planner: which plans it may make, and that it makes them once.
//!
//! The statements of both services look up by key, and are prepared while tables may be empty. A plan made then would be a
//! sequential scan and stay one; so each kind of session has a list of planner settings that pins it to index look-ups.
//! Another engine behind the same protocol (a distributed Postgres, say) may need other ones: the lists are settings.

use sqlx::postgres::PgConnectOptions;

use super::{PostgresError, START_CONNECT_DEADLINE, closed, connect_with_retry};
use crate::server::{
    postgres_error::is_state,
    settings::{SettingError, SettingsReader},
};

/// The word that leaves everything as the server has it.
const AS_SERVER: &str = "server";

/// What the server says to a setting that it does not have, and to a value that the setting does not take.
const UNKNOWN_NAME: &str = "42704";
const WRONG_VALUE: &str = "22023";

/// The families of settings that choose plans. No others are taken: time-outs and the like are limits of this service.
const PREFIXES: [&str; 5] = ["citus.", "enable_", "geqo", "jit", "max_parallel_"];
const SUFFIXES: [&str; 2] = ["_collapse_limit", "_cost"];
const NAMES: [&str; 7] = [
    "constraint_exclusion",
    "cursor_tuple_fraction",
    "effective_cache_size",
    "effective_io_concurrency",
    "hash_mem_multiplier",
    "plan_cache_mode",
    "work_mem",
];

/// Planner settings of one kind of session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlannerSettings {
    /// The variable they come from.
    variable: &'static str,
    pairs: Vec<(String, String)>,
    /// What the variable holds, when it is set.
    given: Option<String>,
}

impl PlannerSettings {
    /// Reads `variable`: `name=value` pairs with commas between them, or `server`. `default` counts when it is not set.
    pub fn from_settings(
        settings: &SettingsReader<'_>,
        variable: &'static str,
        default: &[(&str, &str)],
    ) -> Self {
        let read = |text: &str| {
            let pairs = if text == AS_SERVER {
                Ok(Vec::new())
            } else {
                text.split(',').map(pair).collect()
            };
            pairs.map(|pairs| Self {
                variable,
                pairs,
                given: Some(text.to_owned()),
            })
        };
        settings
            .checked(variable, read)
            .unwrap_or_else(|| Self::fixed(variable, default))
    }

    /// What counts when `variable` is not set.
    pub fn fixed(variable: &'static str, pairs: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self {
            variable,
            pairs: pairs.iter().map(owned).collect(),
            given: None,
        }
    }

    /// Options for sessions that are pinned.
    pub fn pin(&self, options: PgConnectOptions) -> PgConnectOptions {
        options.options(self.pairs.iter().map(|(name, value)| (name, value)))
    }

    /// Asks the server whether it knows what was set, so that a wrong value stops the start and not the first session.
    /// Nothing is asked when nothing was set.
    ///
    /// # Errors
    /// When the server refuses it, or cannot be reached within the time that a start waits for it.
    pub async fn verify(&self, options: &PgConnectOptions) -> Result<(), PostgresError> {
        let Some(given) = &self.given else {
            return Ok(());
        };
        match connect_with_retry(&self.pin(options.clone()), START_CONNECT_DEADLINE).await {
            Ok(connection) => {
                closed(connection).await;
                Ok(())
            }
            Err(PostgresError::Connect { source, .. })
                if is_state(&source, UNKNOWN_NAME) || is_state(&source, WRONG_VALUE) =>
            {
                Err(SettingError::invalid(self.variable, given, source).into())
            }
            Err(error) => Err(error),
        }
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let Some((name, value)) = text.split_once('=') else {
        return Err(format!(
            "{text:?} is no name=value of the planner; {AS_SERVER:?} alone leaves everything as the server has it"
        ));
    };
    let (name, value) = (name.trim(), value.trim());
    if !chooses_plans(name) {
        return Err(format!(
            "{name:?} is no setting of the planner, as enable_seqscan or work_mem are"
        ));
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if value.is_empty() || !value.bytes().all(plain) {
        return Err(format!("{value:?} is no plain value for {name}"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

fn chooses_plans(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.".contains(&byte))
        && (NAMES.contains(&name)
            || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
            || SUFFIXES.iter().any(|suffix| name.ends_with(suffix)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::settings::{Settings, SettingsError};

    const DEFAULT: &[(&str, &str)] = &[("plan_cache_mode", "force_generic_plan")];

    fn read(value: &str) -> Result<PlannerSettings, SettingsError> {
        let settings = Settings::from_pairs([("WRITER_PLANNER_SETTINGS", value)]);
        settings.read(|settings| {
            PlannerSettings::from_settings(settings, "WRITER_PLANNER_SETTINGS", DEFAULT)
        })
    }

    fn pairs(value: &str) -> Vec<(String, String)> {
        read(value).unwrap().pairs
    }

    #[test]
    fn the_default_counts_until_something_else_is_said() {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        assert_eq!(
            pairs(""),
            DEFAULT.iter().copied().map(owned).collect::<Vec<_>>()
        );
        assert_eq!(pairs("server"), []);
        assert_eq!(
            pairs(
                "enable_seqscan=off, random_page_cost=1.1,citus.enable_fast_path_router_planner=on"
            ),
            [
                ("enable_seqscan", "off"),
                ("random_page_cost", "1.1"),
                ("citus.enable_fast_path_router_planner", "on"),
            ]
            .map(owned)
        );
    }

    #[test]
    fn what_is_no_planner_setting_is_refused_by_name() {
        for value in [
            "off",
            "enable_seqscan",
            "statement_timeout=0",
            "default_transaction_read_only=off",
            "search_path=public",
            "enable_seqscan=",
            "enable_seqscan=off -c role=postgres",
            "enable_seqscan=off,",
            "jit off=1",
        ] {
            let error = read(value).unwrap_err().to_string();
            assert!(error.starts_with("WRITER_PLANNER_SETTINGS="), "{error}");
        }
    }
}
