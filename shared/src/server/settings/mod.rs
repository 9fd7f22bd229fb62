//! Settings: the one place that reads the process environment, once, at start.
//!
//! All faults are told at once, each with the variable's name, what was found in it (unless it is a secret) and what is
//! allowed there. An empty value counts as not set, so that `${X:-}` in a compose file means "use the default".

mod address;
mod error;
mod names;
mod reader;
mod secret;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

pub use self::{
    address::{is_host, listening_address, service_url},
    error::{EnvFileError, SettingError, SettingsError},
    names::OtherName,
    reader::SettingsReader,
    secret::Secret,
};

/// All settings of the process, by name.
#[derive(Clone)]
pub struct Settings {
    values: BTreeMap<String, String>,
    /// Variables whose values are not UTF-8.
    not_text: BTreeSet<String>,
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
        let mut not_text = BTreeSet::new();
        // `vars` would panic on a variable that is not UTF-8, also on one that is none of ours.
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else {
                continue;
            };
            match value.into_string() {
                Ok(value) => {
                    values.insert(name, value);
                }
                Err(_) => {
                    not_text.insert(name);
                }
            }
        }
        Ok(Self { values, not_text })
    }

    /// Settings for tests: nothing but these.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let values = pairs
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Self {
            values,
            not_text: BTreeSet::new(),
        }
    }

    /// The value, or nothing when it is not set or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values
            .get(name)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
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
