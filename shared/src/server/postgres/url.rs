//! The URL of a database, looked at before anything connects to it. What is said about a wrong one never repeats a part
//! that may hold the password: a password with a `/` or an `@` in it turns up anywhere in a URL.

use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;
use url::{ParseError, Url};

use crate::server::settings::is_host;

const LOOKS_LIKE: &str = "it looks like postgres://user:password@host:5432/database, where characters such as / : @ # ? % in user and \
                    password are written as %2F %3A %40 %23 %3F %25";

/// What the driver knows. Others it would ignore: a misspelt `sslmode` would turn encryption off.
const PARAMETERS: [&str; 19] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
    "options[",
];
const FILES: [&str; 7] = [
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslrootcert",
];
const SSL_MODES: [&str; 6] = [
    "disable",
    "allow",
    "prefer",
    "require",
    "verify-ca",
    "verify-full",
];

/// Whether sessions can be made of it.
///
/// # Errors
/// With the reason, which does not repeat the URL.
pub fn check(text: &str) -> Result<(), String> {
    parse(text).map(drop)
}

/// Options for sessions.
///
/// # Errors
/// With the reason, which does not repeat the URL.
pub(super) fn parse(text: &str) -> Result<PgConnectOptions, String> {
    // The driver takes any scheme: of `user:secret@host` it would make a database named `secret@host`.
    if !["postgres://", "postgresql://"]
        .iter()
        .any(|scheme| text.starts_with(scheme))
    {
        return Err(LOOKS_LIKE.to_owned());
    }
    let url = Url::parse(text).map_err(|error| {
        if error == ParseError::InvalidPort {
            format!("its port is no number from 1 to 65535; {LOOKS_LIKE}")
        } else {
            LOOKS_LIKE.to_owned()
        }
    })?;
    if let Some(reason) = wrong_place(&url) {
        return Err(format!("{reason}; {LOOKS_LIKE}"));
    }
    for (name, value) in url.query_pairs() {
        parameter(&name, &value)?;
    }
    PgConnectOptions::from_str(text)
        .map_err(|_| format!("a part of it cannot be read; {LOOKS_LIKE}"))
}

/// What is wrong with where it leads.
fn wrong_place(url: &Url) -> Option<&'static str> {
    let says = |names: &[&str]| {
        url.query_pairs()
            .any(|(name, value)| names.contains(&&*name) && !value.is_empty())
    };
    let host = url.host_str().unwrap_or_default();
    let is_folder = host.starts_with("%2F") || host.starts_with("%2f");
    let is_address = host.starts_with('[');
    if host.is_empty() && !says(&["host", "hostaddr"]) {
        Some("it names no host")
    } else if !host.is_empty() && !is_folder && !is_address && !is_host(host) {
        Some("its host is no name and no address of a machine")
    } else if url.port() == Some(0) {
        Some("its port is no number from 1 to 65535")
    } else if url.fragment().is_some() {
        Some("there is a # in it")
    } else {
        match url.path().trim_start_matches('/') {
            "" if says(&["dbname"]) => None,
            "" => Some("it names no database"),
            database if database.contains(['/', '@']) => {
                Some("there is a / or an @ in the name of its database")
            }
            _ => None,
        }
    }
}

fn parameter(name: &str, value: &str) -> Result<(), String> {
    let is_option = name.starts_with("options[") && name.ends_with(']');
    if !is_option && !PARAMETERS.contains(&name) {
        return Err(format!(
            "a parameter behind its ? is not known; known are {}",
            PARAMETERS.join(", ").replace("options[", "options[name]")
        ));
    }
    if matches!(name, "sslmode" | "ssl-mode") && !SSL_MODES.contains(&value) {
        return Err(format!("its {name} is none of {}", SSL_MODES.join(", ")));
    }
    if FILES.contains(&name)
        && let Err(error) = std::fs::File::open(value)
    {
        return Err(format!("the file of its {name} cannot be opened: {error}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_lead_to_a_database_are_taken() {
        for url in [
            "postgres://wallet:p%40ss@127.0.0.1:15432/wallet",
            "postgresql://w@db.example.com/wallet?sslmode=verify-full&application_name=x",
            "postgres://w@[::1]:5432/wallet",
            "postgres://w@%2Frun%2Fpostgresql/wallet",
            "postgres:///wallet?host=/run/postgresql",
            "postgres://w@db?dbname=wallet&options[search_path]=x",
            "postgres://w@my_db/wallet?sslrootcert=/dev/null",
        ] {
            assert_eq!(check(url), Ok(()), "{url}");
        }
    }

    #[test]
    fn a_bad_url_is_refused_with_its_reason_and_without_its_password() {
        for (url, reason) in [
            ("wallet:hunter2@db", "it looks like"),
            ("mysql://w:hunter2@db/wallet", "it looks like"),
            ("postgres://wallet:hunter2@db:port/wallet", "its port"),
            ("postgres://wallet:hunter2@db:99999/wallet", "its port"),
            ("postgres://wallet:hunter2@db:0/wallet", "its port"),
            ("postgres://w:hunter2@db", "no database"),
            ("postgres://w:hunter2@db/", "no database"),
            ("postgres://w:hunter2@/wallet", "it looks like"),
            ("postgres:///wallet", "no host"),
            ("postgres://w:hunter2@d b/wallet", "it looks like"),
            ("postgres://w:hunter2@10.0.0.256/wallet", "its host"),
            ("postgres://w:hunter2@db/a/b", "its database"),
            ("postgres://w:hunter2@d/x?sslmode=no", "its sslmode"),
            ("postgres://w:hunter2@d/x?sslmod=require", "a parameter"),
            ("postgres://w:hunter2@d/x?port=many", "cannot be read"),
            (
                "postgres://w:hunter2@d/x?sslrootcert=/none",
                "its sslrootcert cannot be opened",
            ),
            ("postgres://w:hun/ter2@db/wallet", "its port"),
            ("postgres://w:12/hunter2@db", "its database"),
            ("postgres://w:12#hunter2@db/wallet", "there is a #"),
            ("postgres://w:hun?ter2@db/wallet", "its port"),
            ("postgres://w:12?hunter2@db/wallet", "no database"),
        ] {
            let said = check(url).unwrap_err();
            assert!(said.contains(reason), "{url}: {said}");
            for part in ["hunter2", "hun", "ter2"] {
                assert!(!said.contains(part), "{url}: {said}");
            }
        }
    }
}
