//! The commands and their flags, by subject. What can be seen to be wrong without asking a service is refused here, with
//! code 2.

mod archive;
pub(crate) mod argument;
mod describe;
mod health;
mod hold;
mod limits;
mod money;
mod orders;
mod quarantine;
mod reading;
mod report;
mod statement;
mod status;
#[cfg(test)]
mod tests;
mod token;
mod transactions;
mod verify;

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, error::ErrorKind};
use reqwest::Url;
use shared::server::{http_client::Trusted, settings::service_url};

use self::argument::{number, trusted};
pub use self::{
    archive::{Archive, CheckArchive, ForgetArchive, HistoryDatabase, LookAtArchives, Restore},
    describe::{Describe, Main},
    health::Health,
    hold::{Capture, End, Hold, ListHolds, OfHold, Place},
    limits::{Cap, Count, Limits, SetLimits, Stretch, Sum},
    money::{Attempt, Create, Details, Metadata, Notes, Payment, Transfer, Trial},
    orders::{Rebuild, Repair, Republish, RepublishTarget},
    quarantine::{Chosen, Discard, Only, Quarantine, QuarantineList, Replay},
    reading::{Explain, History, Refusals, Shown, Tail},
    report::Report,
    statement::{Form, Statement},
    status::{Close, Freeze, Order, Unfreeze},
    token::{Key, SigningKey, Token},
    transactions::{Leg, Part, Party, Post, Reverse, Split, TransactionShown, Whose},
    verify::Verify,
};
use crate::load::settings::Load;

/// Moves money, reads it back, and proves that both services agree.
///
/// Exit codes: 0 done, 1 refused or failed, 2 wrong usage.
#[derive(Parser, Debug)]
#[command(name = "walletctl", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    pub options: Options,
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Reads the arguments; ends the process when they are wrong, or when they only ask for help.
    pub fn read() -> Self {
        Self::try_read(std::env::args_os()).unwrap_or_else(|error| error.exit())
    }

    fn try_read<Word: Into<OsString> + Clone>(
        words: impl IntoIterator<Item = Word>,
    ) -> Result<Self, clap::Error> {
        let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
        let mut command = argument::prepared(Self::command());
        command.build();
        let mut matches = command.try_get_matches_from_mut(&words).map_err(|error| {
            let error = argument::with_its_variable(error, &command);
            argument::with_plain_usage(error, &command, &words)
        })?;
        let cli =
            Self::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))?;
        match cli.wrong() {
            Some((kind, message)) => Err(argument::meant(&command, &words).error(kind, message)),
            None => Ok(cli),
        }
    }

    /// What the parser cannot see: arguments that are right one by one.
    fn wrong(&self) -> Option<(ErrorKind, String)> {
        let conflict = match &self.command {
            Command::Load(load) => load.conflict(),
            Command::Transfer(transfer) => transfer.conflict(),
            Command::Close(close) => close.conflict(),
            Command::Post(post) => post.conflict(),
            Command::Split(split) => split.conflict(),
            Command::History(history) => history.conflict(),
            Command::Quarantine(order) => order.conflict(),
            Command::Verify(verify) => {
                if let Some(missing) = verify.missing() {
                    return Some((ErrorKind::MissingRequiredArgument, missing));
                }
                return Some((ErrorKind::ValueValidation, verify.unusable()?));
            }
            Command::Hold(hold) => {
                return Some((ErrorKind::MissingRequiredArgument, hold.missing()?));
            }
            Command::Describe(describe) => {
                return Some((ErrorKind::MissingRequiredArgument, describe.missing()?));
            }
            Command::Token(token) => {
                return Some((ErrorKind::MissingRequiredArgument, token.missing()?));
            }
            Command::Archive(archive) => {
                return Some((ErrorKind::MissingRequiredArgument, archive.wrong()?));
            }
            Command::Restore(restore) => {
                return Some((ErrorKind::MissingRequiredArgument, restore.wrong()?));
            }
            Command::Create(_)
            | Command::Main(_)
            | Command::Fund(_)
            | Command::Withdraw(_)
            | Command::Transaction(_)
            | Command::Reverse(_)
            | Command::Freeze(_)
            | Command::Unfreeze(_)
            | Command::Limits(_)
            | Command::Wallet(_)
            | Command::Explain(_)
            | Command::Refusals(_)
            | Command::Consistency
            | Command::Statement(_)
            | Command::Report(_)
            | Command::Tail(_)
            | Command::Health(_)
            | Command::ShowProjection
            | Command::Republish(_)
            | Command::Rebuild(_)
            | Command::Repair(_)
            | Command::Key(_) => None,
        };
        Some((ErrorKind::ArgumentConflict, conflict?))
    }
}

#[derive(Args, Debug)]
pub struct Options {
    /// Where wallet-service listens.
    #[arg(long, global = true, env = "WALLET_URL", default_value = "http://127.0.0.1:3000", value_parser = service_url)]
    pub wallet_url: Url,
    /// Where history-service listens.
    #[arg(long, global = true, env = "HISTORY_URL", default_value = "http://127.0.0.1:3001", value_parser = service_url)]
    pub history_url: Url,
    /// A file with the token that the services let in; it is read again when it changes.
    #[arg(long, global = true, value_name = "FILE", env = "WALLET_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// A file of the certificates to trust instead of the system's, in PEM, for services whose certificate a private
    /// authority has signed.
    #[arg(long, global = true, value_name = "FILE", env = "WALLET_CA_FILE", value_parser = trusted)]
    pub ca_file: Option<Trusted>,
    /// How long one request may take, in milliseconds.
    #[arg(long, global = true, env = "WALLETCTL_TIMEOUT_MS", default_value_t = 15_000, value_parser = number::<u64>(1..=600_000))]
    pub timeout_ms: u64,
    /// Print the services' JSON as it came, one document, for programs.
    #[arg(long, global = true, env = "WALLETCTL_JSON")]
    pub json: bool,
    /// How wide tables may be, in characters; without it as wide as the terminal, and as they are where there is none.
    #[arg(long, global = true, env = "WALLETCTL_WIDTH", value_parser = number::<u16>(40..=1_000))]
    pub width: Option<u16>,
}

impl Options {
    /// What tables have to fit.
    pub fn width(&self) -> Option<usize> {
        let terminal = || Some(terminal_size::terminal_size_of(std::io::stdout())?.0.0);
        self.width.or_else(terminal).map(usize::from)
    }

    /// Who asks, for an order that is kept with a name. The services know who shows them a token, and take no other name.
    pub fn actor<'said>(&self, said: Option<&'said str>) -> Option<&'said str> {
        said.filter(|_| self.token_file.is_none())
    }

    pub const fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Create a wallet.
    Create(Create),
    /// Make a user's main wallet of a currency, unless it is there.
    Main(Main),
    /// Change what is noted on a wallet: its label and its metadata.
    Describe(Describe),
    /// Put money into a wallet.
    Fund(Payment),
    /// Take money out of a wallet.
    Withdraw(Payment),
    /// Move money from one wallet to another.
    Transfer(Transfer),
    /// Move money between any wallets, and from and to the outside world: all of it or nothing.
    Post(Post),
    /// Divide an amount among several by amounts and percentages, so that nothing is lost to rounding: show it, or pay it.
    Split(Split),
    /// Show a transaction with its legs, and what was taken back of it.
    Transaction(TransactionShown),
    /// Take a transaction back, whole or in part: the money goes the way it came.
    Reverse(Reverse),
    /// Set money aside, and take it, give it back, or look at it.
    #[command(subcommand)]
    Hold(Hold),
    /// Keep money from leaving a wallet, from coming in, or both. A freeze that stands is replaced.
    Freeze(Freeze),
    /// Lift the freeze of a wallet.
    Unfreeze(Unfreeze),
    /// Limit what may move in and out of a wallet, or look at what is left of it.
    #[command(subcommand)]
    Limits(Limits),
    /// Close a wallet for ever. It must be empty, or be told where its money goes.
    Close(Close),
    /// Show a wallet, or all wallets of a user.
    Wallet(Shown),
    /// Say on a page why a wallet's balance is what it is: what moved last and who did it, what is set aside, what stands in
    /// the way, what was refused. Ends with 1 when it does not add up.
    Explain(Explain),
    /// Show what was asked of a wallet and refused, newest first.
    Refusals(Refusals),
    /// Have wallet-service check its ledger against itself, all of it; ends with 1 when something does not hold.
    Consistency,
    /// Show what happened to a wallet, newest first.
    History(History),
    /// Save a statement of a wallet: what moved in a month or another period, between two balances.
    Statement(Statement),
    /// Show what all wallets come to, on a day or at a moment, and what one did month by month.
    #[command(subcommand)]
    Report(Report),
    /// Follow a wallet or a user: show what happens as it happens, until Ctrl-C.
    Tail(Tail),
    /// Show what the services say about themselves, part by part. It fails when one of them takes no requests.
    Health(Health),
    /// Show how far history is behind the topic, what waits, when it was proved, and the wallets that are not as they should be.
    #[command(name = "projection")]
    ShowProjection,
    /// Look at the messages that history could not use, and settle them.
    #[command(subcommand)]
    Quarantine(Quarantine),
    /// Read both databases and prove that every promise holds; the first offender of each fault is named.
    #[command(
        after_help = "The databases are read without the services: --wallet-url, --history-url and --timeout-ms change \
                            nothing here."
    )]
    Verify(Verify),
    /// Send stored events to Kafka once more, in order, and wait until it has them.
    Republish(Republish),
    /// Bring history to the ledger's state: all wallets, or one. Nothing that can be read goes away meanwhile.
    Rebuild(Rebuild),
    /// Let the ledger win where history has other events: they are set aside, and the ledger's come in their place.
    Repair(Repair),
    /// Move the first events of all wallets away to signed files, or look at such archives. Reports and balances stay whole.
    #[command(
        after_help = "The database is read and written without the services: --wallet-url, --history-url and --timeout-ms change \
                            nothing here."
    )]
    Archive(Archive),
    /// Put the events of an archive back, the newest archive first.
    #[command(
        after_help = "The database is read and written without the services: --wallet-url, --history-url and --timeout-ms change \
                            nothing here."
    )]
    Restore(Restore),
    /// Put an installation under a mixed load, measure it, and prove that nothing was lost or doubled.
    Load(Box<Load>),
    /// Make a token with a key of your own: for development, and for services where no issuer makes them.
    Token(Token),
    /// Make a pair of keys for tokens.
    Key(Key),
}
