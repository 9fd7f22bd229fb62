//! Why a setting cannot be used.

use std::fmt::Display;

/// A setting that is missing or holds something that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SettingError {
    #[error("{name} is not set; {hint}")]
    Missing { name: String, hint: String },
    #[error("{name}={value:?} cannot be used: {reason}")]
    Invalid {
        name: String,
        value: String,
        reason: String,
    },
    #[error("the file .env cannot be read")]
    EnvFile(#[source] EnvFileError),
}

/// Why `.env` was refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct EnvFileError(pub(super) String);

impl SettingError {
    /// For a value that has the right form and still cannot be used.
    pub fn invalid(name: &str, value: impl Display, reason: impl Display) -> Self {
        Self::Invalid {
            name: name.to_owned(),
            value: value.to_string(),
            reason: reason.to_string(),
        }
    }
}
