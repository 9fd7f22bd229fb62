//! `archive` and `restore`: which database, which folder, and what proves that it is right.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use shared::{
    Timestamp, WalletId,
    server::{postgres::check_url, settings::Secret},
};

use super::argument::{moment, number, secret, secret_in_file, wallet_id};
use crate::archive::FILE_EVENTS;

/// history-service's database, as the owner of its tables.
#[derive(Args, Debug)]
pub struct HistoryDatabase {
    /// history-service's database, as the owner of its tables.
    #[arg(long, env = "HISTORY_DATABASE_URL", hide_env_values = true, value_parser = secret)]
    pub history_database_url: Option<Secret>,
    /// A file with it.
    #[arg(long, value_name = "FILE", env = "HISTORY_DATABASE_URL_FILE", value_parser = secret_in_file, conflicts_with = "history_database_url")]
    pub history_database_url_file: Option<Secret>,
}

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Archive {
    /// Look at archives in place of making one.
    #[command(subcommand)]
    pub look: Option<LookAtArchives>,
    /// Events before this moment: RFC 3339, or a date in UTC. A wallet's last event stays in any case.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub before: Option<Timestamp>,
    /// The folder of this archive, which is made.
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
    /// The PEM of the private key that signs it, as `walletctl key` makes one.
    #[arg(long, value_name = "FILE", env = "WALLET_ARCHIVE_KEY_FILE")]
    pub key: Option<PathBuf>,
    /// Why; kept with the archive.
    #[arg(long)]
    pub reason: Option<String>,
    /// Who archives; kept as well.
    #[arg(long, env = "USER")]
    pub actor: Option<String>,
    /// Say what would be archived, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// How many events a file holds.
    #[arg(long, value_name = "COUNT", default_value_t = FILE_EVENTS, value_parser = number::<u64>(1..=100_000_000))]
    pub file_events: u64,
    #[command(flatten)]
    pub database: HistoryDatabase,
}

#[derive(Subcommand, Debug)]
pub enum LookAtArchives {
    /// Show the archives that the database knows.
    List(ListArchives),
    /// Look through all files of an archive: its signature, their sums, and each wallet's chain.
    Check(CheckArchive),
    /// Give an archive up whose files are lost: a rebuild then fetches its events from the ledger.
    Forget(ForgetArchive),
}

#[derive(Args, Debug)]
pub struct ListArchives {
    #[command(flatten)]
    pub database: HistoryDatabase,
}

#[derive(Args, Debug)]
pub struct CheckArchive {
    /// The folder of the archive.
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// The PEM of the public key that belongs to the one it was signed with.
    #[arg(long, value_name = "FILE")]
    pub public_key: PathBuf,
}

#[derive(Args, Debug)]
pub struct ForgetArchive {
    /// The number of the archive, as `walletctl archive list` shows it.
    #[arg(value_name = "ID", value_parser = number::<i64>(1..=i64::MAX))]
    pub id: i64,
    /// Why; kept with the archive.
    #[arg(long)]
    pub reason: String,
    /// Who says so; kept as well.
    #[arg(long, env = "USER")]
    pub actor: Option<String>,
    #[command(flatten)]
    pub database: HistoryDatabase,
}

#[derive(Args, Debug)]
pub struct Restore {
    /// The folder of the archive.
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// The PEM of the public key that belongs to the one it was signed with.
    #[arg(long, value_name = "FILE")]
    pub public_key: PathBuf,
    /// Only this wallet.
    #[arg(long, value_name = "ID", value_parser = wallet_id)]
    pub wallet: Option<WalletId>,
    #[command(flatten)]
    pub database: HistoryDatabase,
}

impl HistoryDatabase {
    /// From wherever it was said.
    pub fn url(&self) -> Option<&Secret> {
        let own = self.history_database_url.as_ref();
        own.or(self.history_database_url_file.as_ref())
    }

    /// What is wrong with it, without a word of it. Not for the parser, which would show as required what the environment may
    /// say.
    fn wrong(&self) -> Option<String> {
        let Some(url) = self.url() else {
            return Some(
                "no database: give --history-database-url or set HISTORY_DATABASE_URL".to_owned(),
            );
        };
        let reason = check_url(url.expose()).err()?;
        Some(format!(
            "the URL of --history-database-url or HISTORY_DATABASE_URL cannot be used: {reason}"
        ))
    }
}

impl Archive {
    /// What is missing or cannot be meant.
    pub(super) fn wrong(&self) -> Option<String> {
        match &self.look {
            Some(LookAtArchives::List(list)) => return list.database.wrong(),
            Some(LookAtArchives::Check(_)) => return None,
            Some(LookAtArchives::Forget(forget)) if forget.reason.is_empty() => {
                return Some("--reason must not be empty".to_owned());
            }
            Some(LookAtArchives::Forget(forget)) => return forget.database.wrong(),
            None => {}
        }
        let is_made = !self.dry_run;
        let missing = [
            (self.before.is_none(), "--before TIME"),
            (is_made && self.to.is_none(), "--to DIR"),
            (is_made && self.key.is_none(), "--key FILE"),
            (
                is_made && self.reason.as_deref().is_none_or(str::is_empty),
                "--reason TEXT",
            ),
        ];
        let missing = missing.into_iter().find(|(is_missing, _)| *is_missing);
        match missing {
            Some((_, flag)) => Some(format!("an archive needs {flag}")),
            None => self.database.wrong(),
        }
    }
}

impl Restore {
    pub(super) fn wrong(&self) -> Option<String> {
        self.database.wrong()
    }
}
