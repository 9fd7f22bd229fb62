//! Transactions of any legs, and those that take another back: what a caller says of them.

use std::{ops::Not, sync::Arc};

use serde::{Serialize, Serializer};
use shared::{
    Amount, Balance, Currency, Sequence, TransactionId, WalletId,
    event::Details,
    money::{AmountError, Change, DecimalBalance, as_minor},
};

use super::{answer::Transaction, command::AskedAmount};

/// A transaction of any legs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NewPosting {
    pub legs: Vec<NewLeg>,
    #[serde(flatten)]
    pub details: Details,
}

/// What is to happen to one wallet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NewLeg {
    #[serde(flatten)]
    pub side: LegSide,
    #[serde(flatten)]
    pub amount: AskedChange,
    /// Refused when the wallet's currency is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// Refused when less is in the wallet after it.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "normalized_option"
    )]
    pub min_balance: Option<DecimalBalance>,
    /// Refused when more is in the wallet after it.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "normalized_option"
    )]
    pub max_balance: Option<DecimalBalance>,
    /// Refused when the wallet has moved on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_version: Option<Sequence>,
}

/// Whose money.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(untagged)]
pub enum LegSide {
    Wallet {
        wallet_id: WalletId,
    },
    /// The outside world.
    Settlement {
        settlement: Currency,
    },
}

/// By how much a wallet changes, in its currency, which is known only once it is read. Never zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum AskedChange {
    #[serde(rename = "amount", serialize_with = "normalized")]
    Decimal(DecimalBalance),
    #[serde(rename = "amount_minor", with = "as_minor")]
    Minor(Change),
}

impl AskedChange {
    pub fn in_currency(self, currency: Currency) -> Result<Change, AmountError> {
        match self {
            Self::Decimal(amount) => {
                let change = Change::try_new(amount.in_currency(currency)?.minor());
                change.ok_or(AmountError::NotPositive)
            }
            Self::Minor(change) => Ok(change),
        }
    }

    /// Whether money leaves the wallet.
    pub fn is_debit(self) -> bool {
        match self {
            Self::Decimal(amount) => amount.is_negative(),
            Self::Minor(change) => change.minor() < 0,
        }
    }
}

impl NewLeg {
    pub const fn wallet_id(&self) -> Option<WalletId> {
        match self.side {
            LegSide::Wallet { wallet_id } => Some(wallet_id),
            LegSide::Settlement { .. } => None,
        }
    }

    const fn settlement(&self) -> Option<Currency> {
        match self.side {
            LegSide::Wallet { .. } => None,
            LegSide::Settlement { settlement } => Some(settlement),
        }
    }

    /// Whether it is asked what the wallet is like.
    pub const fn is_conditional(&self) -> bool {
        self.min_balance.is_some() || self.max_balance.is_some() || self.expected_version.is_some()
    }
}

impl NewPosting {
    /// The wallet that is answered with: the first that money leaves, else the first there is. None of a transaction that
    /// names no wallet.
    pub fn wallet_id(&self) -> Option<WalletId> {
        let named = || self.legs.iter().filter(|leg| leg.wallet_id().is_some());
        let debited = named().find(|leg| leg.amount.is_debit());
        debited.or_else(|| named().next())?.wallet_id()
    }

    pub fn wallets(&self) -> impl Iterator<Item = WalletId> {
        self.legs.iter().filter_map(NewLeg::wallet_id)
    }

    pub fn settled(&self) -> impl Iterator<Item = Currency> {
        self.legs.iter().filter_map(NewLeg::settlement)
    }
}

/// A transaction that takes another back, or a part of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NewReversal {
    pub transaction_id: TransactionId,
    /// Looked up before the command is sent, for it never changes. Without it there is no such transaction.
    #[serde(skip)]
    pub original: Option<Arc<Transaction>>,
    /// All that is left when it is not said.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub amount: Option<AskedAmount>,
    pub reason: String,
    /// Whether less than the floor may be left of the wallets it is taken from: an operator's word.
    #[serde(skip_serializing_if = "Not::not")]
    pub allow_negative: bool,
    #[serde(flatten)]
    pub details: Details,
}

impl NewReversal {
    /// The wallet that is answered with: the first that gives money back; where the outside world does, the one that gets it.
    pub fn wallet_id(&self) -> Option<WalletId> {
        let original = self.original.as_ref()?;
        let named = || original.legs.iter().filter(|leg| !leg.user_id.is_system());
        let credited = named().find(|leg| leg.amount.minor() > 0);
        let leg = credited.or_else(|| named().next())?;
        Some(leg.wallet_id)
    }

    pub fn wallets(&self) -> impl Iterator<Item = WalletId> {
        let legs = self.original.iter().flat_map(|original| &original.legs);
        let named = legs.filter(|leg| !leg.user_id.is_system());
        named.map(|leg| leg.wallet_id)
    }

    pub fn settled(&self) -> impl Iterator<Item = Currency> {
        let legs = self.original.iter().flat_map(|original| &original.legs);
        let settled = legs.filter(|leg| leg.user_id.is_system());
        settled.map(|leg| leg.currency)
    }
}

/// What was taken back of a transaction so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReversedSoFar {
    /// In how many parts.
    pub parts: i32,
    pub amount: Amount,
}

/// What a reversal takes back, and how far that is with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reverses {
    pub transaction_id: TransactionId,
    /// What that transaction moved.
    pub of: Amount,
    /// What was taken back of it, this included.
    pub so_far: ReversedSoFar,
    pub reason: String,
}

impl Reverses {
    /// What can be taken back still.
    pub const fn left(&self) -> Balance {
        Balance::new(self.of.minor().saturating_sub(self.so_far.amount.minor()))
    }
}

/// `-1.50` and `-1.5` are one request.
fn normalized<S: Serializer>(amount: &DecimalBalance, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&amount.normalized())
}

fn normalized_option<S: Serializer>(
    amount: &Option<DecimalBalance>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match amount {
        Some(amount) => normalized(amount, serializer),
        None => serializer.serialize_none(),
    }
}
