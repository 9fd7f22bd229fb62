//! The commands that show something and change nothing.

use clap::Args;
use shared::{Timestamp, UserId, WalletId};

use super::argument::{kind, moment, number, wallet_id};

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
    /// Entries of one page, at most 500.
    #[arg(long, value_parser = number::<u16>(1..=500))]
    pub limit: Option<u16>,
    /// Only this kind, such as wallet.funded; may be given several times, or several with commas between them.
    #[arg(long, value_delimiter = ',', value_parser = kind)]
    pub kind: Vec<String>,
    /// Not before this moment: RFC 3339, or a date in UTC.
    #[arg(long, value_parser = moment)]
    pub from: Option<Timestamp>,
    /// Only before this moment.
    #[arg(long, value_parser = moment)]
    pub to: Option<Timestamp>,
    /// Wait until history is at this number at least, for 20 s at most, whatever --timeout-ms is: the wallet's version after the
    /// change that is to be seen.
    #[arg(long, value_parser = number::<i64>(1..=i64::MAX))]
    pub min_sequence: Option<i64>,
    /// Oldest first.
    #[arg(long)]
    pub asc: bool,
    /// All pages, not only the first.
    #[arg(long)]
    pub all: bool,
}

impl History {
    /// What is wrong between flags that are right on their own.
    pub(super) fn conflict(&self) -> Option<String> {
        let (from, to) = (self.from?, self.to?);
        (from >= to).then(|| {
            format!("no moment is not before --from {from} and before --to {to}: --from is the earlier one")
        })
    }
}

#[derive(Args, Debug)]
pub struct Explain {
    /// The wallet's id.
    #[arg(value_parser = wallet_id)]
    pub wallet: WalletId,
    /// How many of the latest events to show, at most 500.
    #[arg(long, short = 'n', default_value_t = 10, value_parser = number::<u16>(1..=500))]
    pub movements: u16,
}

#[derive(Args, Debug)]
pub struct Refusals {
    /// The wallet's id.
    #[arg(value_parser = wallet_id)]
    pub wallet: WalletId,
    /// How many of the latest, at most 500.
    #[arg(long, default_value_t = 50, value_parser = number::<u16>(1..=500))]
    pub limit: u16,
}

#[derive(Args, Debug)]
pub struct Tail {
    #[command(flatten)]
    pub of: Shown,
    /// How many of the latest entries to begin with, at most 500.
    #[arg(long, short = 'n', default_value_t = 10, value_parser = number::<u16>(0..=500))]
    pub lines: u16,
    /// Go on after the id that it ended with before, in place of the latest entries; 0 is before the first event.
    #[arg(long, value_name = "ID", conflicts_with = "lines")]
    pub after: Option<String>,
}
