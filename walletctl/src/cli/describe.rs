//! The commands about a wallet itself: a user's main wallet, and what is noted on any.

use clap::Args;
use shared::{Currency, UserId, WalletId};

use super::{
    argument::{currency, new_user, version, wallet_id},
    money::{Attempt, Metadata},
};

#[derive(Args, Debug)]
pub struct Main {
    /// Who owns it.
    #[arg(value_parser = new_user)]
    pub user: UserId,
    /// An ISO 4217 code.
    #[arg(value_parser = currency)]
    pub currency: Currency,
    #[command(flatten)]
    pub attempt: Attempt,
}

#[derive(Args, Debug)]
pub struct Describe {
    /// The wallet's id.
    #[arg(value_parser = wallet_id)]
    pub wallet: WalletId,
    /// What people read about it.
    #[arg(long, conflicts_with = "no_label")]
    pub label: Option<String>,
    /// Remove the label.
    #[arg(long)]
    pub no_label: bool,
    #[command(flatten)]
    pub metadata: Metadata,
    /// A key to remove from the metadata; may be given several times.
    #[arg(long, value_name = "KEY")]
    pub remove: Vec<String>,
    /// Refuse unless the wallet is still at this version.
    #[arg(long, value_name = "VERSION", value_parser = version)]
    pub if_match: Option<u64>,
    #[command(flatten)]
    pub attempt: Attempt,
}

impl Describe {
    /// What is missing between flags that are right on their own.
    pub(super) fn missing(&self) -> Option<String> {
        let says_nothing = self.label.is_none()
            && !self.no_label
            && self.metadata.0.is_empty()
            && self.remove.is_empty();
        says_nothing.then(|| {
            "nothing would change: say --label, --no-label, --metadata or --remove".to_owned()
        })
    }
}
