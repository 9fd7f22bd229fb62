//! Settings: the one place that reads the process environment, once, at start.
//!
//! Every error names the variable, what was found in it (unless it is a secret) and what is allowed there.
//! An empty value counts as not set, so that `${X:-}` in a compose file means "use the default".

mod error;
mod secret;

use std::{
    collections::BTreeMap,
    fmt::{self, Display},
    ops::RangeInclusive,
    str::FromStr,
    time::Duration,
};

pub use self::{
    error::{EnvFileError, SettingError},
    secret::Secret,
};

/// All settings of the process, by name.
#[derive(Clone)]
pub struct Settings {
    values: BTreeMap<String, String>,
}

impl fmt::Debug for Settings {
    /// Names only: any value might be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.values.keys()).finish()
    }
}

impl Settings {
    /// Reads the process environment, and below it the file `.env` of the working directory or a folder above it, if
    /// there is one.
    ///
    /// # Errors
    /// When `.env` exists and cannot be read or parsed.
    pub fn from_env() -> Result<Self, SettingError> {
        let mut values = BTreeMap::new();
        match dotenvy::dotenv_iter() {
            Ok(pairs) => {
                for pair in pairs {
                    let (name, value) = pair.map_err(env_file_error)?;
                    values.insert(name, value);
                }
            }
            Err(error) if error.not_found() => {}
            Err(error) => return Err(env_file_error(error)),
        }
        // `vars` would panic on a variable that is not UTF-8, also on one that is none of ours.
        for (name, value) in std::env::vars_os() {
            if let (Ok(name), Ok(value)) = (name.into_string(), value.into_string()) {
                values.insert(name, value);
            }
        }
        Ok(Self { values })
    }

    /// Settings for tests: nothing but these.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let values = pairs
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Self { values }
    }

    /// The value, or nothing when it is not set or empty.
    pub fn optional(&self, name: &str) -> Option<&str> {
        self.values
            .get(name)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    }

    /// # Errors
    /// When it is not set or empty.
    pub fn required(&self, name: &str) -> Result<String, SettingError> {
        self.optional(name)
            .map(str::to_owned)
            .ok_or_else(|| missing(name))
    }

    pub fn text(&self, name: &str, default: &str) -> String {
        self.optional(name).unwrap_or(default).to_owned()
    }

    /// # Errors
    /// When the value does not parse.
    pub fn parsed<T>(&self, name: &str, default: T) -> Result<T, SettingError>
    where
        T: FromStr,
        T::Err: Display,
    {
        match self.optional(name) {
            None => Ok(default),
            Some(value) => value
                .parse()
                .map_err(|error| SettingError::invalid(name, value, error)),
        }
    }

    /// # Errors
    /// When the value is neither `true` nor `false`.
    pub fn flag(&self, name: &str, default: bool) -> Result<bool, SettingError> {
        match self.optional(name) {
            None => Ok(default),
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(other) => Err(SettingError::invalid(
                name,
                other,
                "allowed are true and false",
            )),
        }
    }

    /// # Errors
    /// When the value does not parse or lies outside `allowed`.
    pub fn ranged<T>(
        &self,
        name: &str,
        default: T,
        allowed: RangeInclusive<T>,
    ) -> Result<T, SettingError>
    where
        T: FromStr + PartialOrd + Display,
    {
        let Some(value) = self.optional(name) else {
            return Ok(default);
        };
        match value.parse() {
            Ok(number) if allowed.contains(&number) => Ok(number),
            _ => {
                let reason = format!(
                    "allowed is a number from {} to {}",
                    allowed.start(),
                    allowed.end()
                );
                Err(SettingError::invalid(name, value, reason))
            }
        }
    }

    /// A length of time given in whole milliseconds, 1 ms to one day.
    ///
    /// # Errors
    /// When the value is not a number of milliseconds in that range.
    pub fn millis(&self, name: &str, default: Duration) -> Result<Duration, SettingError> {
        const DAY_MS: u64 = 24 * 60 * 60 * 1000;
        match self.optional(name) {
            None => Ok(default),
            Some(_) => self.ranged(name, 1, 1..=DAY_MS).map(Duration::from_millis),
        }
    }

    /// # Errors
    /// When it is not set or empty.
    pub fn secret(&self, name: &str) -> Result<Secret, SettingError> {
        self.required(name).map(Secret::new)
    }

    pub fn optional_secret(&self, name: &str) -> Option<Secret> {
        self.optional(name).map(Secret::new)
    }
}

fn missing(name: &str) -> SettingError {
    SettingError::Missing {
        name: name.to_owned(),
        hint: "it has no default (see .env.example)".to_owned(),
    }
}

/// Without the line it happened on, which may hold a secret.
fn env_file_error(error: dotenvy::Error) -> SettingError {
    let reason = match error {
        dotenvy::Error::LineParse(_, position) => {
            format!("a line does not parse at its character {position}")
        }
        dotenvy::Error::Io(error) => error.to_string(),
        dotenvy::Error::EnvVar(_) | _ => "it is not a list of NAME=value lines".to_owned(),
    };
    SettingError::EnvFile(EnvFileError(reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings::from_pairs([
            ("PORT", "70000"),
            ("EMPTY", ""),
            ("FLAG", "yes"),
            ("POOL", "8"),
            ("DATABASE_URL", "postgres://wallet:hunter2@db/wallet"),
        ])
    }

    #[test]
    fn an_error_names_the_variable_its_value_and_what_is_allowed() {
        let error = settings().ranged("PORT", 3000_u32, 0..=65_535).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"PORT="70000" cannot be used: allowed is a number from 0 to 65535"#
        );
        let error = settings().flag("FLAG", false).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"FLAG="yes" cannot be used: allowed are true and false"#
        );
        let error = settings().required("KAFKA").unwrap_err();
        assert_eq!(
            error.to_string(),
            "KAFKA is not set; it has no default (see .env.example)"
        );
    }

    #[test]
    fn an_empty_value_counts_as_not_set() {
        let settings = settings();
        assert_eq!(settings.text("EMPTY", "fallback"), "fallback");
        assert_eq!(settings.parsed("EMPTY", 7_u16), Ok(7));
        assert!(settings.required("EMPTY").is_err());
    }

    #[test]
    fn a_good_value_wins_over_the_default() {
        assert_eq!(settings().ranged("POOL", 2_u32, 1..=100), Ok(8));
        assert_eq!(
            settings().millis("POOL", Duration::from_secs(9)),
            Ok(Duration::from_millis(8))
        );
    }

    #[test]
    fn a_secret_is_printed_by_nothing() {
        let settings = settings();
        let secret = settings.secret("DATABASE_URL").unwrap();
        for printed in [
            format!("{secret}"),
            format!("{secret:?}"),
            format!("{settings:?}"),
        ] {
            assert!(!printed.contains("hunter2"), "{printed}");
        }
        assert!(secret.expose().contains("hunter2"));
    }
}
