//! Which part of a listing is asked for.

use std::str::FromStr;

use shared::{Currency, UserId, page::Order};

use super::wallet::Status;

/// Whose wallets: the users', those that stand for the outside settlement, or both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WalletKind {
    User,
    Settlement,
    All,
}

impl WalletKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Settlement => "settlement",
            Self::All => "all",
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("must be user, settlement or all")]
pub struct UnknownWalletKind;

impl FromStr for WalletKind {
    type Err = UnknownWalletKind;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::User, Self::Settlement, Self::All]
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or(UnknownWalletKind)
    }
}

/// Which wallets are listed. What is not said does not matter.
#[derive(Clone, Debug)]
pub struct WalletFilter {
    pub kind: WalletKind,
    pub user_id: Option<UserId>,
    pub currency: Option<Currency>,
    pub status: Option<Status>,
}

impl WalletFilter {
    /// Binds a cursor to the listing that made it.
    pub fn listing(&self, order: Order) -> String {
        format!(
            "wallets/{}/{}/{}/{}/{}",
            order,
            self.kind.as_str(),
            self.currency.map_or("", Currency::code),
            self.status.map_or("", Status::as_str),
            self.user_id.as_ref().map_or("", UserId::as_str),
        )
    }
}
