//! The commands that change something: wallets are made, and money moves.

use std::collections::BTreeMap;

use clap::{ArgMatches, Args, FromArgMatches, error::ErrorKind};
use shared::{Currency, IdempotencyKey, UserId, WalletId, money::DecimalAmount};

use super::argument::{amount, currency, new_user, pair, version, wallet_id};

#[derive(Args, Debug)]
pub struct Create {
    /// Who owns it.
    #[arg(value_parser = new_user)]
    pub user: UserId,
    /// An ISO 4217 code; without it the service's default.
    #[arg(long, value_parser = currency)]
    pub currency: Option<Currency>,
    /// Your own name of it; you can give it to one wallet.
    #[arg(long)]
    pub external_id: Option<String>,
    /// What people read about it.
    #[arg(long)]
    pub label: Option<String>,
    #[command(flatten)]
    pub metadata: Metadata,
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

/// How a change is asked for that the service can also be asked about first.
#[derive(Args, Debug)]
pub struct Trial {
    #[command(flatten)]
    pub attempt: Attempt,
    /// Only show what it would come to: nothing is done.
    #[arg(long)]
    pub dry_run: bool,
}

/// What is written on a transaction.
#[derive(Args, Debug)]
pub struct Notes {
    /// Your own id of the transaction; it can be used once.
    #[arg(long)]
    pub reference: Option<String>,
    /// What it is for, in words.
    #[arg(long)]
    pub description: Option<String>,
    #[command(flatten)]
    pub metadata: Metadata,
}

#[derive(Args, Debug)]
pub struct Payment {
    /// The wallet's id.
    #[arg(value_parser = wallet_id)]
    pub wallet: WalletId,
    /// In major units, such as 100.00.
    #[arg(value_parser = amount)]
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
    #[arg(value_parser = amount)]
    pub amount: DecimalAmount,
    #[command(flatten)]
    pub details: Details,
}

#[derive(Args, Debug)]
pub struct Details {
    /// Refuse unless the wallet has this currency.
    #[arg(long, value_parser = currency)]
    pub currency: Option<Currency>,
    #[command(flatten)]
    pub notes: Notes,
    /// Refuse unless the wallet is still at this version.
    #[arg(long, value_name = "VERSION", value_parser = version)]
    pub if_match: Option<u64>,
    #[command(flatten)]
    pub trial: Trial,
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

impl Transfer {
    /// What is wrong between arguments that are right on their own.
    pub(super) fn conflict(&self) -> Option<String> {
        (self.from == self.to)
            .then(|| "FROM and TO are the same wallet: nothing would move".to_owned())
    }
}
