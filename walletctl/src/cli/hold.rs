//! Money that is set aside: placed, captured, released, for more or longer, and looked at.

use clap::{Args, Subcommand};
use shared::{HoldId, Timestamp, WalletId, money::DecimalAmount};

use super::{
    argument::{amount, hold_id, moment, number, version, wallet_id},
    money::{Details, Notes, Trial},
};

#[derive(Subcommand, Debug)]
pub enum Hold {
    /// Set money of a wallet aside.
    Place(Place),
    /// Take what was set aside out of the wallet: all that is left, or a part of it.
    Capture(Capture),
    /// Give it back: all that is left, or a part of it.
    Release(Release),
    /// Set more aside.
    Increase(Increase),
    /// Set it aside for longer.
    Extend(Extend),
    /// Show a hold.
    Show {
        /// The hold's id.
        #[arg(value_parser = hold_id)]
        hold: HoldId,
    },
    /// List the holds of a wallet, newest first.
    List(ListHolds),
}

#[derive(Args, Debug)]
pub struct Place {
    /// The wallet's id.
    #[arg(value_parser = wallet_id)]
    pub wallet: WalletId,
    /// In major units, such as 100.00.
    #[arg(value_parser = amount)]
    pub amount: DecimalAmount,
    /// The id of the wallet that captures go to; without it they leave the system.
    #[arg(long, value_name = "WALLET", value_parser = wallet_id)]
    pub to: Option<WalletId>,
    #[command(flatten)]
    pub end: End,
    #[command(flatten)]
    pub details: Details,
}

/// When a hold ends by itself.
#[derive(Args, Clone, Copy, Debug)]
pub struct End {
    /// In so many seconds from now.
    #[arg(long, value_name = "SECONDS", value_parser = number::<i64>(1..=i64::MAX))]
    pub expires_in: Option<i64>,
    /// At that time, such as 2026-12-01T00:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = moment, conflicts_with = "expires_in")]
    pub expires_at: Option<Timestamp>,
}

/// What is said of any change of a hold.
#[derive(Args, Debug)]
pub struct OfHold {
    /// The hold's id.
    #[arg(value_parser = hold_id)]
    pub hold: HoldId,
    /// Refuse unless the hold's wallet is still at this version.
    #[arg(long, value_name = "VERSION", value_parser = version)]
    pub if_match: Option<u64>,
    #[command(flatten)]
    pub trial: Trial,
}

#[derive(Args, Debug)]
pub struct Capture {
    #[command(flatten)]
    pub of: OfHold,
    /// How much, in major units; without it all that is left.
    #[arg(long, value_parser = amount)]
    pub amount: Option<DecimalAmount>,
    /// Keep what is left then set aside; without it, it is released.
    #[arg(long)]
    pub keep_rest: bool,
    /// The id of the wallet the money goes to, where the hold names none.
    #[arg(long, value_name = "WALLET", value_parser = wallet_id)]
    pub to: Option<WalletId>,
    #[command(flatten)]
    pub notes: Notes,
}

#[derive(Args, Debug)]
pub struct Release {
    #[command(flatten)]
    pub of: OfHold,
    /// How much, in major units; without it all that is left.
    #[arg(long, value_parser = amount)]
    pub amount: Option<DecimalAmount>,
}

#[derive(Args, Debug)]
pub struct Increase {
    #[command(flatten)]
    pub of: OfHold,
    /// How much more, in major units.
    #[arg(value_parser = amount)]
    pub amount: DecimalAmount,
}

#[derive(Args, Debug)]
pub struct Extend {
    #[command(flatten)]
    pub of: OfHold,
    #[command(flatten)]
    pub end: End,
}

#[derive(Args, Debug)]
pub struct ListHolds {
    /// The wallet's id.
    #[arg(value_parser = wallet_id)]
    pub wallet: WalletId,
    /// Only those: open, captured, released or expired.
    #[arg(long, value_parser = ["open", "captured", "released", "expired"])]
    pub status: Option<String>,
}

impl Hold {
    /// What is missing of arguments that are right on their own.
    pub(super) fn missing(&self) -> Option<String> {
        let Self::Extend(Extend { end, .. }) = self else {
            return None;
        };
        (end.expires_in.is_none() && end.expires_at.is_none())
            .then(|| "the new end is missing: give --expires-in or --expires-at".to_owned())
    }
}
