//! Reading settings. A reader that meets something that cannot be used notes it and gives a value to go on with, so that
//! all faults are found at once. What was read comes out of [`Settings::read`] only when there was no fault: no value that
//! stands in for a wrong one is ever used.

use std::{cell::RefCell, fmt::Display, fs, ops::RangeInclusive, str::FromStr, time::Duration};

use super::{Secret, SettingError, Settings, SettingsError};

/// What a variable's name ends in that names the file of a secret.
const SECRET_FILE: &str = "_FILE";

/// See the module.
#[derive(Debug)]
pub struct SettingsReader<'a> {
    settings: &'a Settings,
    faults: RefCell<Vec<SettingError>>,
}

impl Settings {
    /// Reads settings, all of them or none.
    ///
    /// # Errors
    /// With every variable that is missing or cannot be used.
    pub fn read<T>(&self, read: impl FnOnce(&SettingsReader<'_>) -> T) -> Result<T, SettingsError> {
        let reader = SettingsReader {
            settings: self,
            faults: RefCell::default(),
        };
        let value = read(&reader);
        let faults = reader.faults.into_inner();
        if faults.is_empty() {
            Ok(value)
        } else {
            Err(SettingsError { faults })
        }
    }
}

impl SettingsReader<'_> {
    /// A variable may be read more than once; its fault is told once.
    pub(in crate::server) fn note(&self, fault: SettingError) {
        let mut faults = self.faults.borrow_mut();
        if faults.iter().all(|noted| noted.name() != fault.name()) {
            faults.push(fault);
        }
    }

    /// The value, or nothing when it is not set or empty.
    pub fn optional(&self, name: &str) -> Option<&str> {
        if self.settings.not_text.contains(name) {
            self.note(SettingError::hidden(name, "it is not UTF-8"));
        }
        self.settings.get(name)
    }

    pub fn required(&self, name: &str) -> String {
        let value = self.optional(name);
        if value.is_none() {
            self.note(SettingError::missing(name));
        }
        value.unwrap_or_default().to_owned()
    }

    pub fn text(&self, name: &str, default: &str) -> String {
        self.optional(name).unwrap_or(default).to_owned()
    }

    /// What `check` makes of the value, if it is set. The error of `check` says what is allowed.
    pub fn checked<T, E: Display>(
        &self,
        name: &str,
        check: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let value = self.optional(name)?;
        match check(value) {
            Ok(value) => Some(value),
            Err(allowed) => {
                // A URL may hold a password, also where none belongs.
                let may_hold_secret = value.contains('@');
                self.note(if may_hold_secret {
                    SettingError::hidden(name, allowed)
                } else {
                    SettingError::invalid(name, value, allowed)
                });
                None
            }
        }
    }

    /// A value of a type that reads itself; `allowed` says what it reads.
    pub fn parsed<T: FromStr>(&self, name: &str, default: T, allowed: &str) -> T {
        self.checked(name, |value| value.parse().map_err(|_| allowed))
            .unwrap_or(default)
    }

    pub fn flag(&self, name: &str, default: bool) -> bool {
        self.parsed(name, default, "allowed are true and false")
    }

    pub fn ranged<T>(&self, name: &str, default: T, allowed: RangeInclusive<T>) -> T
    where
        T: FromStr + PartialOrd + Display,
    {
        self.checked(name, |value| match value.parse() {
            Ok(number) if allowed.contains(&number) => Ok(number),
            _ => Err(format!(
                "allowed is a number from {} to {}",
                allowed.start(),
                allowed.end()
            )),
        })
        .unwrap_or(default)
    }

    /// A length of time in whole milliseconds, 1 ms to one day.
    pub fn millis(&self, name: &str, default: Duration) -> Duration {
        const DAY_MS: u64 = 24 * 60 * 60 * 1000;
        match self.optional(name) {
            None => default,
            Some(_) => Duration::from_millis(self.ranged(name, 1, 1..=DAY_MS)),
        }
    }

    /// As [`Self::optional_secret`], for a value that is required.
    pub fn secret<E: Display>(
        &self,
        name: &str,
        check: impl FnOnce(&str) -> Result<(), E>,
    ) -> Secret {
        let value = self.secret_text(name).unwrap_or_else(|fault| {
            self.note(fault);
            // Said already: that it is missing would be no news.
            Some(String::new())
        });
        if value.is_none() {
            self.note(SettingError::missing(name));
        }
        self.checked_secret(name, value.unwrap_or_default(), check)
    }

    /// A value that is never shown: of the variable, or of the file that the variable with `_FILE` at its end names, where
    /// those do not see it who see a process' environment. White space at the end of the file is not part of it. The error
    /// of `check` must not repeat it.
    pub fn optional_secret<E: Display>(
        &self,
        name: &str,
        check: impl FnOnce(&str) -> Result<(), E>,
    ) -> Option<Secret> {
        let value = self.secret_text(name).unwrap_or_else(|fault| {
            self.note(fault);
            None
        });
        Some(self.checked_secret(name, value?, check))
    }

    fn checked_secret<E: Display>(
        &self,
        name: &str,
        value: String,
        check: impl FnOnce(&str) -> Result<(), E>,
    ) -> Secret {
        if !value.is_empty()
            && let Err(reason) = check(&value)
        {
            self.note(SettingError::hidden(name, reason));
        }
        Secret::new(value)
    }

    fn secret_text(&self, name: &str) -> Result<Option<String>, SettingError> {
        let named = format!("{name}{SECRET_FILE}");
        let Some(path) = self.optional(&named) else {
            return Ok(self.optional(name).map(str::to_owned));
        };
        let invalid = |reason: &dyn Display| SettingError::invalid(&named, path, reason);
        if self.optional(name).is_some() {
            return Err(invalid(&format_args!("{name} is set as well: say it once")));
        }
        let text = fs::read_to_string(path).map_err(|error| invalid(&error))?;
        match text.trim_end() {
            "" => Err(invalid(&"the file is empty")),
            text => Ok(Some(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said<T: std::fmt::Debug>(
        pairs: &[(&str, &str)],
        read: impl FnOnce(&SettingsReader<'_>) -> T,
    ) -> String {
        let settings = Settings::from_pairs(pairs.iter().copied());
        settings.read(read).unwrap_err().to_string()
    }

    #[test]
    fn a_fault_names_the_variable_its_value_and_what_is_allowed() {
        for (value, said_of_it) in [
            (
                said(&[("PORT", "70000")], |settings| {
                    settings.ranged("PORT", 3000_u16, 0..=u16::MAX)
                }),
                r#"PORT="70000" cannot be used: allowed is a number from 0 to 65535"#,
            ),
            (
                said(&[("FLAG", "yes")], |settings| settings.flag("FLAG", false)),
                r#"FLAG="yes" cannot be used: allowed are true and false"#,
            ),
            (
                said(&[], |settings| settings.required("KAFKA")),
                "KAFKA is not set; it has no default (see .env.example)",
            ),
        ] {
            assert_eq!(value, said_of_it);
        }
    }

    #[test]
    fn all_faults_are_told_at_once_and_each_once() {
        let said = said(&[("A", "x"), ("C", "1")], |settings| {
            settings.flag("A", true);
            settings.required("B");
            settings.flag("C", true);
            settings.millis("A", Duration::ZERO)
        });
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines.len(), 4, "{said}");
        assert_eq!(lines[0], "3 settings cannot be used:");
        for (line, name) in lines[1..].iter().zip(["A=", "B is not set", "C="]) {
            assert!(line.starts_with(&format!("  {name}")), "{said}");
        }
    }

    #[test]
    fn an_empty_value_counts_as_not_set() {
        let settings = Settings::from_pairs([("EMPTY", "")]);
        let read = settings.read(|settings| {
            (
                settings.text("EMPTY", "fallback"),
                settings.ranged("EMPTY", 7_u16, 0..=9),
            )
        });
        assert_eq!(read, Ok(("fallback".to_owned(), 7)));
        assert!(
            settings
                .read(|settings| settings.required("EMPTY"))
                .is_err()
        );
    }

    #[test]
    fn a_good_value_wins_over_the_default() {
        let settings = Settings::from_pairs([("POOL", " 8 ")]);
        let read = settings.read(|settings| {
            (
                settings.ranged("POOL", 2_u32, 1..=100),
                settings.millis("POOL", Duration::from_secs(9)),
            )
        });
        assert_eq!(read, Ok((8, Duration::from_millis(8))));
    }

    #[test]
    fn a_secret_may_be_in_a_file() {
        let folder = std::env::temp_dir().join(format!("secrets-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let any = |_: &str| Ok::<_, String>(());
        let good = file("good", "hunter2\n");
        let settings = Settings::from_pairs([("PASSWORD_FILE", good.as_str())]);
        let secret = settings.read(|settings| settings.secret("PASSWORD", any));
        assert_eq!(secret.unwrap().expose(), "hunter2");
        let unset = Settings::from_pairs([]);
        let unset = unset.read(|settings| settings.optional_secret("PASSWORD", any));
        assert_eq!(unset.unwrap(), None);
        let empty = file("empty", "\n");
        for (wrong, reason) in [
            (
                &[("PASSWORD_FILE", good.as_str()), ("PASSWORD", "x")][..],
                "PASSWORD is set as well",
            ),
            (&[("PASSWORD_FILE", empty.as_str())], "the file is empty"),
            (&[("PASSWORD_FILE", "/no/such/file")], "No such file"),
        ] {
            let error = said(wrong, |settings| settings.secret("PASSWORD", any));
            assert!(
                error.starts_with("PASSWORD_FILE=") && error.contains(reason),
                "{error}"
            );
            assert!(!error.contains("hunter2"), "{error}");
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_secret_is_printed_by_nothing() {
        let settings = Settings::from_pairs([("URL", "postgres://wallet:hunter2@db/wallet")]);
        let secret = |check: Result<(), &'static str>| {
            settings.read(|settings| settings.secret("URL", |_| check))
        };
        let (usable, refused) = (secret(Ok(())).unwrap(), secret(Err("why")).unwrap_err());
        for printed in [
            format!("{usable} {usable:?}"),
            format!("{refused} {refused:?}"),
            format!("{settings:?}"),
        ] {
            assert!(!printed.contains("hunter2"), "{printed}");
        }
        assert!(usable.expose().contains("hunter2"));
        let shown = settings.read(|settings| settings.checked("URL", |_| Err::<(), _>("why")));
        assert!(!shown.unwrap_err().to_string().contains("hunter2"));
        assert!(refused.to_string().ends_with("why"), "{refused}");
    }

    #[test]
    fn what_is_no_text_is_refused_and_not_taken_for_unset() {
        let mut settings = Settings::from_pairs([]);
        settings.not_text.insert("CELL".to_owned());
        let error = settings
            .read(|settings| settings.ranged("CELL", 0, 0..=9))
            .unwrap_err();
        assert!(error.to_string().contains("it is not UTF-8"), "{error}");
    }
}
