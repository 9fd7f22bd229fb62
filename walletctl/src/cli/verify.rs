//! `verify`: which databases are read.

use clap::Args;
use shared::server::{postgres::check_url, settings::Secret};

use super::argument::{number, secret, secret_in_file};

#[derive(Args, Debug)]
pub struct Verify {
    /// wallet-service's database.
    #[arg(long, env = "WALLET_DATABASE_URL", hide_env_values = true, value_parser = secret)]
    pub wallet_database_url: Option<Secret>,
    /// A file with it.
    #[arg(long, value_name = "FILE", env = "WALLET_DATABASE_URL_FILE", value_parser = secret_in_file, conflicts_with = "wallet_database_url")]
    pub wallet_database_url_file: Option<Secret>,
    /// history-service's database.
    #[arg(long, env = "HISTORY_DATABASE_URL", hide_env_values = true, value_parser = secret)]
    pub history_database_url: Option<Secret>,
    /// A file with it.
    #[arg(long, value_name = "FILE", env = "HISTORY_DATABASE_URL_FILE", value_parser = secret_in_file, conflicts_with = "history_database_url")]
    pub history_database_url_file: Option<Secret>,
    /// Verify the ledger alone.
    #[arg(long)]
    pub wallet_only: bool,
    /// Seconds history may take to get any further; what is missing then is lost. 0 does not wait and does not judge that.
    #[arg(long, env = "WALLETCTL_WAIT_SECONDS", default_value_t = 30, value_parser = number::<u64>(0..=86_400))]
    pub wait: u64,
}

impl Verify {
    /// Of wallet-service's database, from wherever it was said.
    pub fn wallet_url(&self) -> Option<&Secret> {
        let own = self.wallet_database_url.as_ref();
        own.or(self.wallet_database_url_file.as_ref())
    }

    /// The same of history-service's.
    pub fn history_url(&self) -> Option<&Secret> {
        let own = self.history_database_url.as_ref();
        own.or(self.history_database_url_file.as_ref())
    }

    /// Which database cannot be meant, without a word of its URL.
    pub(super) fn unusable(&self) -> Option<String> {
        let named = [
            (
                self.wallet_url(),
                "--wallet-database-url or WALLET_DATABASE_URL",
            ),
            (
                self.history_url(),
                "--history-database-url or HISTORY_DATABASE_URL",
            ),
        ];
        named.into_iter().find_map(|(url, named_by)| {
            let reason = check_url(url?.expose()).err()?;
            Some(format!("the URL of {named_by} cannot be used: {reason}"))
        })
    }

    /// Which database is not named. Not for the parser, which would show as required what the environment may say.
    pub(super) fn missing(&self) -> Option<String> {
        let missing = |flag: &str, variable: &str| {
            Some(format!(
                "no database to read: give --{flag} or set {variable}"
            ))
        };
        if self.wallet_url().is_none() {
            missing("wallet-database-url", "WALLET_DATABASE_URL")
        } else if self.history_url().is_none() && !self.wallet_only {
            missing(
                "history-database-url",
                "HISTORY_DATABASE_URL, or verify the ledger alone with --wallet-only",
            )
        } else {
            None
        }
    }
}
