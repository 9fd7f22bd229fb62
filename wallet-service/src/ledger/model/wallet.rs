//! A wallet at one version, and the one rule that lets money in or out of it.

use serde::{Deserialize, Serialize};
use shared::{Balance, Change, Currency, Hash, Sequence, Timestamp, UserId, WalletId};

/// A wallet as it is after the event numbered `version`. A new field joins here, in the schema and in
/// [`crate::ledger::store::wallets`].
#[derive(Clone, PartialEq, Eq, Debug, sqlx::FromRow)]
pub struct Wallet {
    pub id: WalletId,
    pub user_id: UserId,
    pub currency: Currency,
    pub status: Status,
    pub balance: Balance,
    /// Money set aside: part of the balance that cannot be spent.
    pub held: Balance,
    /// The lowest available balance allowed; none for settlement wallets.
    pub floor: Option<Balance>,
    pub version: Sequence,
    pub head_hash: Hash,
    pub created_at: Timestamp,
    /// When the latest event occurred.
    pub updated_at: Timestamp,
}

/// What a caller says of a wallet to be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NewWallet {
    pub user_id: UserId,
    pub currency: Currency,
}

#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum Status {
    Active,
    /// No money moves until it is active again.
    Frozen,
    /// No money moves any more.
    Closed,
}

shared::sql_text!(Status);

impl Status {
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }
}

/// Why a wallet does not take a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BalanceError {
    Frozen,
    Closed,
    /// The change would take the available balance below the floor; this much may go.
    BelowFloor {
        available: Balance,
    },
    /// The balance would leave the range of 64 bits.
    Overflow,
}

impl Wallet {
    /// A wallet before its first event.
    pub fn before_first_event(id: WalletId, new: NewWallet, now: Timestamp) -> Self {
        let NewWallet { user_id, currency } = new;
        Self {
            id,
            user_id,
            currency,
            status: Status::Active,
            balance: Balance::ZERO,
            held: Balance::ZERO,
            floor: Some(Balance::ZERO),
            version: Sequence::ZERO,
            head_hash: Hash::ZERO,
            created_at: now,
            updated_at: now,
        }
    }

    /// A settlement wallet before its first event: the outside world, which may owe any sum.
    pub fn settlement_before_first_event(id: WalletId, currency: Currency, now: Timestamp) -> Self {
        let new = NewWallet {
            user_id: UserId::settlement(),
            currency,
        };
        Self {
            floor: None,
            ..Self::before_first_event(id, new, now)
        }
    }

    /// Settlement wallets move only as the other side of a fund or withdrawal.
    pub fn is_settlement(&self) -> bool {
        self.floor.is_none()
    }

    /// What may be spent: the balance without what is held.
    pub const fn available(&self) -> Balance {
        // `held` is never negative and a settlement wallet holds nothing, so this ends at the range only in theory.
        Balance::new(self.balance.minor().saturating_sub(self.held.minor()))
    }

    /// The balance after `change`, if the wallet takes it.
    pub fn balance_after(&self, change: Change) -> Result<Balance, BalanceError> {
        match self.status {
            Status::Active => {}
            Status::Frozen => return Err(BalanceError::Frozen),
            Status::Closed => return Err(BalanceError::Closed),
        }
        let after = self.balance.after(change).ok_or(BalanceError::Overflow)?;
        let available_after = after
            .minor()
            .checked_sub(self.held.minor())
            .ok_or(BalanceError::Overflow)?;
        match self.floor {
            // Money that comes in is welcome also where the floor is already broken.
            Some(floor) if change.minor() < 0 && available_after < floor.minor() => {
                let spendable = self.available().minor().saturating_sub(floor.minor());
                Err(BalanceError::BelowFloor {
                    available: Balance::new(spendable),
                })
            }
            _ => Ok(after),
        }
    }
}
