//! The commands and their flags. What can be seen to be wrong without asking a service is refused here, with code 2.

use std::{collections::BTreeMap, time::Duration};

use clap::{
    ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, error::ErrorKind,
};
use reqwest::Url;
use shared::{
    Currency, IdempotencyKey, Timestamp, UserId, WalletId, money::DecimalAmount,
    server::settings::Secret,
};

use crate::{
    argument::{moment, new_user, pair, secret, service_url, wallet_id},
    load::settings::Load,
    orders::{Rebuild, Repair, Republish},
};

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
        let cli = Self::parse();
        if let Some((kind, message)) = cli.wrong() {
            Self::command().error(kind, message).exit();
        }
        cli
    }

    /// What the parser cannot see: arguments that are right one by one.
    fn wrong(&self) -> Option<(ErrorKind, String)> {
        if let Command::Load(load) = &self.command {
            return Some((ErrorKind::ArgumentConflict, load.conflict()?));
        }
        if let Command::Verify(verify) = &self.command {
            return Some((ErrorKind::MissingRequiredArgument, verify.missing()?));
        }
        None
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
    /// How long one request may take, in milliseconds.
    #[arg(long, global = true, env = "WALLETCTL_TIMEOUT_MS", default_value_t = 15_000, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub timeout_ms: u64,
    /// Print the services' JSON as it came, one document, for programs.
    #[arg(long, global = true, env = "WALLETCTL_JSON")]
    pub json: bool,
    /// How wide tables may be, in characters; without it as wide as the terminal, and as they are where there is none.
    #[arg(long, global = true, env = "WALLETCTL_WIDTH", value_parser = clap::value_parser!(u16).range(40..=1_000))]
    pub width: Option<u16>,
}

impl Options {
    /// What tables have to fit.
    pub fn width(&self) -> Option<usize> {
        let terminal = || Some(terminal_size::terminal_size_of(std::io::stdout())?.0.0);
        self.width.or_else(terminal).map(usize::from)
    }

    pub const fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Create a wallet.
    Create(Create),
    /// Put money into a wallet.
    Fund(Payment),
    /// Take money out of a wallet.
    Withdraw(Payment),
    /// Move money from one wallet to another.
    Transfer(Transfer),
    /// Show a wallet, or all wallets of a user.
    Wallet(Shown),
    /// Show what happened to a wallet, newest first.
    History(History),
    /// Follow a wallet or a user: show what happens as it happens, until Ctrl-C.
    Tail(Tail),
    /// Look at the messages that history could not use, and settle them.
    #[command(subcommand)]
    Quarantine(Quarantine),
    /// Read both databases and prove that every promise holds; the first offender of each fault is named.
    Verify(Verify),
    /// Send stored events to Kafka once more, in order, and wait until it has them.
    Republish(Republish),
    /// Bring history to the ledger's state: all wallets, or one. Nothing that can be read goes away meanwhile.
    Rebuild(Rebuild),
    /// Let the ledger win where history has other events: they are set aside, and the ledger's come in their place.
    Repair(Repair),
    /// Put an installation under a mixed load, measure it, and prove that nothing was lost or doubled.
    Load(Box<Load>),
}

#[derive(Args, Debug)]
pub struct Create {
    /// Who owns it.
    #[arg(value_parser = new_user)]
    pub user: UserId,
    /// An ISO 4217 code; without it the service's default.
    #[arg(long)]
    pub currency: Option<Currency>,
    #[command(flatten)]
    pub attempt: Attempt,
}

/// How a change is asked for once, however often it is sent.
#[derive(Args, Debug)]
pub struct Attempt {
    /// The Idempotency-Key of an earlier try, to learn its outcome or to complete it; a new one when left out.
    #[arg(long)]
    pub key: Option<IdempotencyKey>,
}

#[derive(Args, Debug)]
pub struct Payment {
    /// The wallet's id.
    #[arg(value_parser = wallet_id)]
    pub wallet: WalletId,
    /// In major units, such as 100.00.
    pub amount: DecimalAmount,
    #[command(flatten)]
    pub details: Details,
}

#[derive(Args, Debug)]
pub struct Transfer {
    /// The id of the wallet the money comes from.
    #[arg(value_parser = wallet_id)]
    pub from: WalletId,
    /// The id of the wallet the money goes to.
    #[arg(value_parser = wallet_id)]
    pub to: WalletId,
    /// In major units, such as 30.00.
    pub amount: DecimalAmount,
    #[command(flatten)]
    pub details: Details,
}

#[derive(Args, Debug)]
pub struct Details {
    /// Refuse unless the wallet has this currency.
    #[arg(long)]
    pub currency: Option<Currency>,
    /// Your own id of the transaction; it can be used once.
    #[arg(long)]
    pub reference: Option<String>,
    /// What it is for, in words.
    #[arg(long)]
    pub description: Option<String>,
    #[command(flatten)]
    pub metadata: Metadata,
    /// Refuse unless the wallet is still at this version.
    #[arg(long, value_name = "VERSION")]
    pub if_match: Option<u64>,
    #[command(flatten)]
    pub attempt: Attempt,
}

/// What a caller attaches, checked as it is read: a command that takes it need not ask.
#[derive(Debug)]
pub struct Metadata(pub BTreeMap<String, String>);

#[derive(Args)]
struct Pairs {
    /// A pair to attach; may be given several times.
    #[arg(long = "metadata", value_name = "KEY=VALUE", value_parser = pair)]
    metadata: Vec<(String, String)>,
}

impl FromArgMatches for Metadata {
    /// A key that is given twice: which value was meant is not for us to say.
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let Pairs { metadata } = Pairs::from_arg_matches(matches)?;
        let mut pairs = BTreeMap::new();
        for (key, value) in metadata {
            if pairs.contains_key(&key) {
                let message = format!("--metadata gives {key:?} twice");
                return Err(clap::Error::raw(ErrorKind::ArgumentConflict, message));
            }
            pairs.insert(key, value);
        }
        Ok(Self(pairs))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Metadata {
    fn augment_args(command: clap::Command) -> clap::Command {
        Pairs::augment_args(command)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Pairs::augment_args_for_update(command)
    }
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub struct Shown {
    /// The wallet's id.
    #[arg(value_parser = wallet_id)]
    pub wallet: Option<WalletId>,
    /// All wallets of this user.
    #[arg(long)]
    pub user: Option<UserId>,
}

#[derive(Args, Debug)]
pub struct History {
    /// The wallet's id.
    #[arg(value_parser = wallet_id)]
    pub wallet: WalletId,
    /// Entries of one page, at most 200.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=200))]
    pub limit: Option<u16>,
    /// Only this kind, such as wallet.funded; may be given several times.
    #[arg(long)]
    pub kind: Vec<String>,
    /// Not before this moment: RFC 3339, or a date in UTC.
    #[arg(long, value_parser = moment)]
    pub from: Option<Timestamp>,
    /// Only before this moment.
    #[arg(long, value_parser = moment)]
    pub to: Option<Timestamp>,
    /// Oldest first.
    #[arg(long)]
    pub asc: bool,
    /// All pages, not only the first.
    #[arg(long)]
    pub all: bool,
}

#[derive(Args, Debug)]
pub struct Tail {
    #[command(flatten)]
    pub of: Shown,
    /// How many of the latest entries to begin with, at most 200.
    #[arg(long, short = 'n', default_value_t = 10, value_parser = clap::value_parser!(u16).range(0..=200))]
    pub lines: u16,
}

#[derive(Subcommand, Debug)]
pub enum Quarantine {
    /// List messages, newest first: those on which nothing was decided.
    List(QuarantineList),
    /// Show a message with all its bytes.
    Show {
        /// The number of the message in the list.
        id: i64,
    },
    /// Decide a message once more, by the same rule, and say what came out.
    Replay(Replay),
    /// Do without a message. It is kept, with who decided it and why.
    Discard(Discard),
}

#[derive(Args, Debug)]
pub struct QuarantineList {
    /// Which ones: those that are open, all, or events that wait for a build which knows them.
    #[arg(long, default_value = "open", value_parser = ["open", "all", "waiting"])]
    pub status: String,
}

#[derive(Args, Debug)]
pub struct Replay {
    /// The number of the message in the list.
    pub id: i64,
    /// Why.
    #[arg(long)]
    pub reason: Option<String>,
    /// Who decides it.
    #[arg(long, env = "USER")]
    pub actor: Option<String>,
}

#[derive(Args, Debug)]
pub struct Discard {
    /// The number of the message in the list.
    pub id: i64,
    /// Why nothing is missing without it.
    #[arg(long)]
    pub reason: String,
    /// Who decides it.
    #[arg(long, env = "USER")]
    pub actor: Option<String>,
}

#[derive(Args, Debug)]
pub struct Verify {
    /// wallet-service's database.
    #[arg(long, env = "WALLET_DATABASE_URL", hide_env_values = true, value_parser = secret)]
    pub wallet_database_url: Option<Secret>,
    /// history-service's database.
    #[arg(long, env = "HISTORY_DATABASE_URL", hide_env_values = true, value_parser = secret)]
    pub history_database_url: Option<Secret>,
    /// Verify the ledger alone.
    #[arg(long)]
    pub wallet_only: bool,
    /// Seconds history may take to get any further; what is missing then is lost. 0 does not wait and does not judge that.
    #[arg(long, env = "WALLETCTL_WAIT_SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub wait: u64,
}

impl Verify {
    /// Which database is not named. Not for the parser, which would show as required what the environment may say.
    fn missing(&self) -> Option<String> {
        let missing = |flag: &str, variable: &str| {
            Some(format!(
                "no database to read: give --{flag} or set {variable}"
            ))
        };
        if self.wallet_database_url.is_none() {
            missing("wallet-database-url", "WALLET_DATABASE_URL")
        } else if self.history_database_url.is_none() && !self.wallet_only {
            missing(
                "history-database-url",
                "HISTORY_DATABASE_URL, or verify the ledger alone with --wallet-only",
            )
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01990000-0000-7000-8000-00000000000a";

    fn refused(arguments: &[&str]) -> ErrorKind {
        let words = std::iter::once("walletctl").chain(arguments.iter().copied());
        Cli::try_parse_from(words).unwrap_err().kind()
    }

    #[test]
    fn the_commands_and_flags_fit_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_cannot_be_right_is_refused_before_anything_is_sent() {
        for (arguments, kind) in [
            (vec!["fund", "no-id", "1.00"], ErrorKind::ValueValidation),
            (vec!["fund", ID, "1e3"], ErrorKind::ValueValidation),
            (vec!["fund", ID, "0.00"], ErrorKind::ValueValidation),
            (
                vec!["fund", ID, "1.00", "--metadata", "novalue"],
                ErrorKind::ValueValidation,
            ),
            (
                vec!["fund", ID, "1.00", "--key", "two words"],
                ErrorKind::ValueValidation,
            ),
            (
                vec!["create", "alice", "--currency", "usd"],
                ErrorKind::ValueValidation,
            ),
            (vec!["create", ""], ErrorKind::ValueValidation),
            (
                vec!["fund", ID, "1.00", "--metadata", "a=1", "--metadata", "a=2"],
                ErrorKind::ArgumentConflict,
            ),
            (vec!["wallet"], ErrorKind::MissingRequiredArgument),
            (
                vec!["wallet", ID, "--user", "alice"],
                ErrorKind::ArgumentConflict,
            ),
            (
                vec!["history", ID, "--limit", "0"],
                ErrorKind::ValueValidation,
            ),
            (
                vec!["history", ID, "--from", "yesterday"],
                ErrorKind::ValueValidation,
            ),
            (
                vec!["--wallet-url", "https://x", "wallet", ID],
                ErrorKind::ValueValidation,
            ),
            (
                vec!["--wallet-url", "localhost:3000", "wallet", ID],
                ErrorKind::ValueValidation,
            ),
        ] {
            assert_eq!(refused(&arguments), kind, "{arguments:?}");
        }
    }

    #[test]
    fn every_argument_of_every_command_has_a_help() {
        let cli = Cli::command();
        for command in std::iter::once(&cli).chain(cli.get_subcommands()) {
            for argument in command.get_arguments() {
                let (of, id) = (command.get_name(), argument.get_id());
                assert!(argument.get_help().is_some(), "{of}: {id}");
            }
        }
    }

    #[test]
    fn what_the_environment_may_say_is_not_shown_as_required() {
        for command in Cli::command().get_subcommands() {
            for argument in command
                .get_arguments()
                .filter(|argument| argument.get_env().is_some())
            {
                let (of, id) = (command.get_name(), argument.get_id());
                assert!(!argument.is_required_set(), "{of}: {id}");
            }
        }
    }

    #[test]
    fn the_variables_of_load_are_its_own() {
        let cli = Cli::command();
        let load = cli.find_subcommand("load").unwrap();
        for argument in load.get_arguments() {
            let variable = argument.get_env().and_then(|variable| variable.to_str());
            let name = argument.get_id().as_str();
            assert!(
                variable.is_some_and(|variable| variable.starts_with("LOAD_")),
                "{name}"
            );
        }
    }

    #[test]
    fn a_name_where_an_id_belongs_is_told_how_to_find_the_id() {
        let said = |name| {
            let words = ["walletctl", "fund", name, "5"];
            Cli::try_parse_from(words).unwrap_err().to_string()
        };
        assert!(
            said("alice").contains("walletctl wallet --user alice"),
            "{}",
            said("alice")
        );
        assert!(said("a b").contains("--user NAME"), "{}", said("a b"));
    }

    #[test]
    fn a_database_url_is_not_printed() {
        let words = [
            "walletctl",
            "verify",
            "--wallet-only",
            "--wallet-database-url",
            "postgres://w:hunter2@d/w",
        ];
        let cli = Cli::try_parse_from(words).unwrap();
        assert!(!format!("{cli:?}").contains("hunter2"));
    }
}
