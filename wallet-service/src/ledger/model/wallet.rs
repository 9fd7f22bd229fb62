//! A wallet at one version, and the one rule that lets money in or out of it.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use shared::{
    Amount, Balance, Change, Currency, Hash, Sequence, Timestamp, UserId, WalletId,
    event::{EventBody, FreezeDirection},
    limits::WalletLimits,
};

use super::{
    description::Description,
    freeze::{Freeze, blocks},
};

/// A wallet as it is after the event numbered `version`. A new field joins here, in the schema and in
/// [`crate::ledger::store::wallets`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wallet {
    pub id: WalletId,
    pub user_id: UserId,
    pub currency: Currency,
    pub status: Status,
    /// Of a frozen wallet: how it is frozen. None when it was frozen by hand, and then no money moves at all.
    pub freeze: Option<Box<Freeze>>,
    pub balance: Balance,
    /// Money set aside: part of the balance that cannot be spent.
    pub held: Balance,
    /// The lowest available balance allowed; none for settlement wallets.
    pub floor: Option<Balance>,
    /// What else limits what moves, with what was counted of it; none where nothing does, and in an answer that is read again.
    pub limits: Option<Arc<WalletLimits>>,
    /// By how much an operator had it taken below the floor, for as long as it is there.
    pub overdrawn: Balance,
    pub version: Sequence,
    pub head_hash: Hash,
    pub created_at: Timestamp,
    /// When the latest event occurred.
    pub updated_at: Timestamp,
    /// How it is described, when it is: it goes along with every state of the wallet.
    pub description: Option<Arc<Description>>,
}

/// What a caller says of a wallet to be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NewWallet {
    pub user_id: UserId,
    #[serde(skip_serializing_if = "WalletCurrency::is_default")]
    pub currency: WalletCurrency,
    /// The caller's own name of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

impl NewWallet {
    /// With nothing said that may be left out.
    pub const fn new(user_id: UserId, currency: WalletCurrency) -> Self {
        Self {
            user_id,
            currency,
            external_id: None,
            label: None,
            metadata: BTreeMap::new(),
        }
    }
}

/// The currency of a wallet to be. One that the caller did not name is no part of the request: what is sent again stays the
/// same request when the default has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(untagged)]
pub enum WalletCurrency {
    Named(Currency),
    Default(Currency),
}

impl WalletCurrency {
    pub const fn get(self) -> Currency {
        match self {
            Self::Named(currency) | Self::Default(currency) => currency,
        }
    }

    const fn is_default(&self) -> bool {
        matches!(self, Self::Default(_))
    }
}

/// A wallet's row that this build cannot read, or decide anything on: of a later build, or changed by hand. It fails the
/// commands that need it, and no others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnreadableWallet {
    pub id: WalletId,
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
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str, parse_err_ty = UnknownStatus, parse_err_fn = UnknownStatus::of)]
pub enum Status {
    Active,
    /// No money moves the way that its freeze says, until it is active again.
    Frozen,
    /// Nothing changes of it any more.
    Closed,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("must be active, frozen or closed")]
pub struct UnknownStatus;

impl UnknownStatus {
    const fn of(_: &str) -> Self {
        Self
    }
}

shared::sql_text!(Status);
shared::closed_set_schema!(Status, "WalletStatus");

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
    /// The change would take the available balance below the floor.
    BelowFloor {
        available: Balance,
        floor: Balance,
    },
    /// The balance would leave the range of 64 bits.
    Overflow,
}

/// No installation lets one command move more: a tenth of the range of 64 bits, so that a settlement wallet has given way
/// long before it is full.
pub const AMOUNT_MAX_LIMIT: Amount = match Amount::try_new(1_000_000_000_000_000_000) {
    Some(amount) => amount,
    None => unreachable!(),
};

impl Wallet {
    /// A wallet before its first event.
    pub fn before_first_event(id: WalletId, new: NewWallet, now: Timestamp) -> Self {
        let description = Description::of_new(&new);
        Self {
            id,
            user_id: new.user_id,
            currency: new.currency.get(),
            status: Status::Active,
            freeze: None,
            balance: Balance::ZERO,
            held: Balance::ZERO,
            floor: Some(Balance::ZERO),
            limits: None,
            overdrawn: Balance::ZERO,
            version: Sequence::ZERO,
            head_hash: Hash::ZERO,
            created_at: now,
            updated_at: now,
            description: description.map(Arc::new),
        }
    }

    /// A settlement wallet before its first event: the outside world, which may owe any sum.
    pub fn settlement_before_first_event(id: WalletId, currency: Currency, now: Timestamp) -> Self {
        let new = NewWallet::new(UserId::settlement(), WalletCurrency::Named(currency));
        Self {
            floor: None,
            ..Self::before_first_event(id, new, now)
        }
    }

    /// What its first event says of it.
    pub fn creation(&self) -> EventBody {
        EventBody::WalletCreated(Description::created(self.description.as_deref()))
    }

    /// Settlement wallets move only as the other side of a fund or withdrawal.
    pub fn is_settlement(&self) -> bool {
        self.floor.is_none()
    }

    /// Whether a settlement wallet gives way to the next of its shard: what one command may move at most
    /// ([`AMOUNT_MAX_LIMIT`]) must always find room.
    pub const fn is_near_end(&self) -> bool {
        self.balance.minor().unsigned_abs() > (i64::MAX - AMOUNT_MAX_LIMIT.minor()).unsigned_abs()
    }

    /// Whether a settlement wallet can be the other side of any payment in `currency`. One that was frozen, closed or
    /// changed by hand gives way to the next of its shard, so that no caller is refused for it.
    pub fn can_settle(&self, currency: Currency) -> bool {
        self.status == Status::Active
            && self.is_settlement()
            && self.held == Balance::ZERO
            && self.currency == currency
            && self.version.for_next_event().is_some()
            && !self.is_near_end()
    }

    /// What may be spent: the balance without what is held.
    pub const fn available(&self) -> Balance {
        // `held` is never negative and a settlement wallet holds nothing, so this ends at the range only in theory.
        Balance::new(self.balance.minor().saturating_sub(self.held.minor()))
    }

    /// How much is missing to the floor.
    pub const fn shortfall(&self) -> Balance {
        let Some(floor) = self.floor else {
            return Balance::ZERO;
        };
        let missing = floor.minor().saturating_sub(self.available().minor());
        Balance::new(if missing > 0 { missing } else { 0 })
    }

    /// Whether it is frozen still, and would not be if its freeze's end were looked at.
    pub fn freeze_has_ended(&self, now: Timestamp) -> bool {
        let freeze = self.freeze.as_ref();
        self.status == Status::Frozen && freeze.is_some_and(|freeze| freeze.has_ended(now))
    }

    /// As it is when its freeze is over.
    #[must_use]
    pub fn unfrozen(self) -> Self {
        Self {
            status: Status::Active,
            freeze: None,
            ..self
        }
    }

    /// Which way no money moves of a frozen wallet.
    fn frozen_direction(&self) -> FreezeDirection {
        let freeze = self.freeze.as_ref();
        freeze.map_or(FreezeDirection::All, |freeze| freeze.direction)
    }

    /// The balance after `change`, if the wallet takes it. Of a freeze that has ended it takes no notice by itself: it is
    /// lifted before.
    pub fn balance_after(&self, change: Change) -> Result<Balance, BalanceError> {
        match self.status {
            Status::Active => {}
            Status::Frozen if !blocks(self.frozen_direction(), change) => {}
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
                let available = self.available();
                Err(BalanceError::BelowFloor { available, floor })
            }
            _ => Ok(after),
        }
    }
}
