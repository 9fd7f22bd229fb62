//! What operators do to a wallet: freeze it, lift the freeze, close it.

use clap::Args;
use shared::{Timestamp, WalletId, event::FreezeDirection};

use super::{
    argument::{moment, version, wallet_id},
    money::Trial,
};

#[derive(Args, Debug)]
pub struct Freeze {
    #[command(flatten)]
    pub order: Order,
    /// Which way no money moves: debit (none leaves), credit (none comes in), or all.
    #[arg(long, default_value = "all", value_parser = direction)]
    pub direction: FreezeDirection,
    /// When it ends by itself, such as 2026-12-01T00:00:00Z; without it, it stands until it is lifted.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<Timestamp>,
}

#[derive(Args, Debug)]
pub struct Unfreeze {
    #[command(flatten)]
    pub order: Order,
}

#[derive(Args, Debug)]
pub struct Close {
    #[command(flatten)]
    pub order: Order,
    /// The id of the wallet that takes what is in it; without it, it must be empty.
    #[arg(long, value_name = "WALLET", value_parser = wallet_id)]
    pub drain_to: Option<WalletId>,
}

/// What each of them is told.
#[derive(Args, Debug)]
pub struct Order {
    /// The wallet's id.
    #[arg(value_parser = wallet_id)]
    pub wallet: WalletId,
    /// Why. The owner of the wallet can read it.
    #[arg(long)]
    pub reason: String,
    /// Refuse unless the wallet is still at this version.
    #[arg(long, value_name = "VERSION", value_parser = version)]
    pub if_match: Option<u64>,
    #[command(flatten)]
    pub trial: Trial,
}

impl Close {
    /// What is wrong between arguments that are right on their own.
    pub(super) fn conflict(&self) -> Option<String> {
        (self.drain_to == Some(self.order.wallet))
            .then(|| "--drain-to is the wallet that is closed: name another one".to_owned())
    }
}

fn direction(text: &str) -> Result<FreezeDirection, String> {
    text.parse()
        .map_err(|_| "there are debit, credit and all".to_owned())
}
