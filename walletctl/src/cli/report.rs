//! `report`: what all wallets come to, and what one did.

use clap::{Args, Subcommand};
use shared::{Currency, Timestamp, WalletId};

use super::argument::{moment, wallet_id};

#[derive(Subcommand, Debug)]
pub enum Report {
    /// What moved in a currency on a day, between opening and closing.
    Daily(Daily),
    /// What all wallets have, in each currency: comes to zero with the world outside.
    TrialBalance(TrialBalance),
    /// What a wallet did, month by month.
    Summary(Summary),
}

#[derive(Args, Debug)]
pub struct Daily {
    /// The currency.
    pub currency: Currency,
    /// The day, such as 2026-11-27.
    pub date: String,
    /// Whose calendar the day is of; UTC when it is not given.
    #[arg(long, value_name = "ZONE")]
    pub time_zone: Option<String>,
}

#[derive(Args, Debug)]
pub struct TrialBalance {
    /// Before this moment, at which a quarter of an hour begins; now, when it is not given.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub at: Option<Timestamp>,
}

#[derive(Args, Debug)]
pub struct Summary {
    /// The wallet's id.
    #[arg(value_parser = wallet_id)]
    pub wallet: WalletId,
    /// The first month, such as 2026-01.
    #[arg(long, requires = "to", value_name = "MONTH")]
    pub from: Option<String>,
    /// The last month.
    #[arg(long, requires = "from", value_name = "MONTH")]
    pub to: Option<String>,
}
