//! What a token is asked to say, as arguments.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use shared::{UserId, access::Scope, server::auth::mint::ActFor};

use super::argument::new_user;

/// A token without an end is one that is found in ten years.
const DAYS_MAX: u64 = 366;

#[derive(Args, Debug)]
pub struct Token {
    /// Who calls with it: a user, or the name of a service.
    #[arg(value_parser = caller)]
    pub subject: UserId,
    /// What it grants: wallets:read, wallets:write, money:move, history:read, reports:read, metrics:read, admin. Several with spaces or repeated.
    #[arg(long, required = true, value_delimiter = ' ', value_parser = scope)]
    pub scope: Vec<Scope>,
    /// Whom a service acts for: `*` for everyone, or users with commas between them. Without it the token is a user's own.
    #[arg(long, value_name = "USERS", value_parser = act_for)]
    pub act_for: Option<ActFor>,
    /// How long it is good, such as 15m, 12h or 90d.
    #[arg(long, default_value = "1h", value_parser = lasting)]
    pub expires_in: Duration,
    /// The services' `AUTH_ISSUER`.
    #[arg(long, env = "AUTH_ISSUER")]
    pub issuer: Option<String>,
    /// The services' `AUTH_AUDIENCE`.
    #[arg(long, env = "AUTH_AUDIENCE")]
    pub audience: Option<String>,
    #[command(flatten)]
    pub key: SigningKey,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub struct SigningKey {
    /// The PEM of a private key, as `walletctl key` or openssl makes one.
    #[arg(long, value_name = "FILE", env = "WALLET_SIGNING_KEY_FILE")]
    pub key_file: Option<PathBuf>,
    /// The services' `AUTH_JWT_SECRET`, in a file.
    #[arg(long, value_name = "FILE", env = "AUTH_JWT_SECRET_FILE")]
    pub secret_file: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub struct Key {
    /// Where the private key goes, which signs tokens. Nothing is written over.
    pub private: PathBuf,
    /// Where the public key goes, which is the services' `AUTH_PUBLIC_KEY_FILE`.
    pub public: PathBuf,
}

impl Token {
    /// What a token has to say and is not named. Not for the parser, which would show as required what the environment may
    /// say.
    pub(super) fn missing(&self) -> Option<String> {
        let named = [
            (&self.issuer, "--issuer or set AUTH_ISSUER"),
            (&self.audience, "--audience or set AUTH_AUDIENCE"),
        ];
        let mut missing = named.into_iter().filter(|(value, _)| value.is_none());
        missing
            .next()
            .map(|(_, how)| format!("a token says from whom and for whom it is: give {how}"))
    }
}

fn scope(text: &str) -> Result<Scope, String> {
    text.parse().map_err(|_| {
        let names: Vec<_> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
        format!("it is one of {}", names.join(", "))
    })
}

/// No token is believed that is of the system or acts for it.
fn caller(text: &str) -> Result<UserId, String> {
    let caller = new_user(text)?;
    if caller.is_system() {
        return Err("names that begin with @ are of the system".to_owned());
    }
    Ok(caller)
}

fn act_for(text: &str) -> Result<ActFor, String> {
    if text == "*" {
        return Ok(ActFor::Everyone);
    }
    let users = text.split(',').map(|user| {
        let user = caller(user)?;
        if user.as_str() == "*" {
            return Err("* stands alone: it is everyone".to_owned());
        }
        Ok(user)
    });
    users.collect::<Result<_, _>>().map(ActFor::Users)
}

/// A whole number of seconds, minutes, hours or days.
fn lasting(text: &str) -> Result<Duration, String> {
    const MINUTE: u64 = 60;
    const DAY: u64 = 24 * 60 * MINUTE;
    let rule = || format!("it looks like 30s, 15m, 12h or 90d, and is {DAYS_MAX}d at most");
    let (number, unit) = text
        .split_at_checked(text.len().saturating_sub(1))
        .ok_or_else(rule)?;
    let unit = match unit {
        "s" => 1,
        "m" => MINUTE,
        "h" => 60 * MINUTE,
        "d" => DAY,
        _ => return Err(rule()),
    };
    let number: u64 = number.parse().map_err(|_| rule())?;
    let seconds = number.checked_mul(unit).ok_or_else(rule)?;
    if (1..=DAYS_MAX * DAY).contains(&seconds) {
        Ok(Duration::from_secs(seconds))
    } else {
        Err(rule())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit_and_an_end() {
        for (text, seconds) in [
            ("30s", 30),
            ("15m", 900),
            ("12h", 43_200),
            ("366d", 31_622_400),
        ] {
            assert_eq!(lasting(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "",
            "h",
            "0s",
            "-1h",
            "1",
            "1w",
            "1.5h",
            "367d",
            "99999999999999999999d",
            "é",
        ] {
            assert!(lasting(text).is_err(), "{text}");
        }
    }

    #[test]
    fn who_is_acted_for_is_everyone_or_named() {
        assert_eq!(act_for("*"), Ok(ActFor::Everyone));
        let users = ["alice", "bob"].map(|user| user.parse().unwrap());
        assert_eq!(act_for("alice,bob"), Ok(ActFor::Users(users.into())));
        for text in ["", "alice,", "*,alice", "@settlement", "alice, bob"] {
            assert!(act_for(text).is_err(), "{text}");
        }
    }
}
