//! Why settings cannot be used: each fault by the name of its variable, and all of them at once.

use std::fmt::{self, Display};

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
    /// As above, for a value that is a secret or no text.
    #[error("{name} cannot be used (what it holds is not shown): {reason}")]
    Hidden { name: String, reason: String },
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

    pub(super) fn hidden(name: &str, reason: impl Display) -> Self {
        Self::Hidden {
            name: name.to_owned(),
            reason: reason.to_string(),
        }
    }

    pub(super) fn missing(name: &str) -> Self {
        Self::Missing {
            name: name.to_owned(),
            hint: "it has no default (see .env.example)".to_owned(),
        }
    }

    /// The variable that it is about.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Missing { name, .. } | Self::Invalid { name, .. } | Self::Hidden { name, .. } => {
                Some(name)
            }
            Self::EnvFile(_) => None,
        }
    }
}

/// Everything that is wrong with the settings of a process, so that it is mended in one go.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub struct SettingsError {
    /// In the order in which they were met; never empty.
    pub(super) faults: Vec<SettingError>,
}

impl SettingsError {
    pub fn faults(&self) -> &[SettingError] {
        &self.faults
    }
}

impl Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [fault] = self.faults.as_slice() {
            return fault.fmt(f);
        }
        write!(f, "{} settings cannot be used:", self.faults.len())?;
        for fault in &self.faults {
            write!(f, "\n  {fault}")?;
        }
        Ok(())
    }
}
