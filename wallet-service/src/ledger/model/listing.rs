//! Which part of a listing is asked for.

use shared::{Currency, UserId, access::Reach, page::Order};

use super::wallet::Status;

/// Whose wallets: the users', those that stand for the outside world, or both.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, strum::EnumString, strum::IntoStaticStr, strum::VariantNames,
)]
#[strum(serialize_all = "snake_case", const_into_str, parse_err_ty = UnknownWalletKind, parse_err_fn = UnknownWalletKind::of)]
pub enum WalletKind {
    User,
    Settlement,
    All,
}

shared::closed_set_schema!(WalletKind, "WalletKind");

impl WalletKind {
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("must be user, settlement or all")]
pub struct UnknownWalletKind;

impl UnknownWalletKind {
    const fn of(_: &str) -> Self {
        Self
    }
}

/// A caller's own name of a wallet: each caller gives a name once.
#[derive(Clone, Debug)]
pub struct Named {
    pub owner: String,
    pub external_id: String,
}

/// Which wallets are listed. What is not said does not matter.
#[derive(Clone, Debug)]
pub struct WalletFilter {
    pub kind: WalletKind,
    pub named: Option<Named>,
    pub user_id: Option<UserId>,
    pub currency: Option<Currency>,
    pub status: Option<Status>,
    /// Of those that the caller reaches.
    pub reach: Reach,
}

impl WalletFilter {
    /// Binds a cursor to the listing that made it.
    pub fn listing(&self, order: Order) -> String {
        let listing = format!(
            "wallets/{}/{}/{}/{}/{}",
            order,
            self.kind.as_str(),
            self.currency.map_or("", Currency::code),
            self.status.map_or("", Status::as_str),
            self.user_id.as_ref().map_or("", UserId::as_str),
        );
        // No name holds a line's end.
        let listing = match &self.named {
            None => listing,
            Some(Named { owner, external_id }) => {
                format!("{listing}\n{owner}\n{external_id}\n")
            }
        };
        match self.reach.users() {
            None => listing,
            Some(users) => users
                .iter()
                .fold(listing, |listing, user| format!("{listing}\n{user}")),
        }
    }
}
