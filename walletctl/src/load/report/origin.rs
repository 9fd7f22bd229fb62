//! Where a report comes from: which services, which build, which machine, which command.

use serde::Serialize;

use crate::{load::http::services::Services, machine::Machine};

#[derive(Serialize, Debug)]
pub(crate) struct Origin {
    pub(crate) wallet_url: String,
    /// None where there is no history-service.
    pub(crate) history_url: Option<String>,
    pub(crate) version: &'static str,
    /// Of the build; none when it was not made from a checkout.
    pub(crate) commit: Option<&'static str>,
    /// From which the load came: the services' only if they share it.
    pub(crate) machine: Machine,
    pub(crate) command: String,
}

impl Origin {
    pub(crate) fn of(services: &Services) -> Self {
        let commit = env!("WALLETCTL_COMMIT");
        Self {
            wallet_url: without_credentials(&services.wallet.to_string()),
            history_url: services
                .history
                .as_ref()
                .map(|history| without_credentials(&history.to_string())),
            version: env!("CARGO_PKG_VERSION"),
            commit: (!commit.is_empty()).then_some(commit),
            machine: Machine::this(),
            command: command(std::env::args().skip(1)),
        }
    }

    /// `0.1.0, commit 0123456789ab`.
    pub(crate) fn build(&self) -> String {
        match self.commit {
            Some(commit) => format!("{}, commit {commit}", self.version),
            None => self.version.to_owned(),
        }
    }
}

/// As it could be typed again, but for credentials.
fn command(arguments: impl Iterator<Item = String>) -> String {
    let mut line = String::from("walletctl");
    for argument in arguments {
        line.push(' ');
        line.push_str(&quoted(&without_credentials(&argument)));
    }
    line
}

/// As a shell wants it.
fn quoted(argument: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=.,:/@%+*".contains(c);
    if !argument.is_empty() && argument.chars().all(plain) {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', r"'\''"))
}

/// A URL without the name and password in it; any other text as it is.
fn without_credentials(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let authority = rest.find('/').unwrap_or(rest.len());
    match rest[..authority].rfind('@') {
        Some(at) => format!("{scheme}://***{}", &rest[at..]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_can_be_typed_again_and_holds_no_password() {
        let arguments = [
            "load",
            "--base-url=http://ops:hunter2@wallet:3000/v1",
            "--report-html",
            "it's here.html",
        ];
        assert_eq!(
            command(arguments.into_iter().map(str::to_owned)),
            r"walletctl load --base-url=http://***@wallet:3000/v1 --report-html 'it'\''s here.html'"
        );
        assert_eq!(
            without_credentials("http://127.0.0.1:3000/"),
            "http://127.0.0.1:3000/"
        );
        assert_eq!(without_credentials("http://h/a@b"), "http://h/a@b");
    }
}
