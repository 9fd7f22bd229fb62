//! How a transaction is answered: by the command that made it, word for word whenever it is answered again, and by those that
//! read it, with what was taken back of it since.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use shared::{
    Currency, HoldId, Sequence, Timestamp, TransactionId, WalletId, access::Reach, event::Details,
    schema::SignedAmount,
};

use crate::ledger::{
    Caller, Transaction,
    model::{
        answer::{Leg, TransactionKind},
        posting::Reverses,
    },
    store::query::TransactionFound,
};

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Transaction")]
pub(super) struct TransactionBody {
    id: TransactionId,
    #[schemars(with = "TransactionKind")]
    kind: &'static str,
    status: &'static str,
    currency: Currency,
    #[schemars(with = "SignedAmount")]
    amount: String,
    /// Of a capture: the hold that it took money of.
    #[serde(skip_serializing_if = "Option::is_none")]
    hold_id: Option<HoldId>,
    /// Of a reversal: the transaction that it takes back, or a part of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    reverses: Option<TransactionId>,
    /// Of a reversal: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(flatten)]
    taken_back: Option<TakenBackBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
    occurred_at: Timestamp,
    legs: Vec<LegBody>,
}

/// What was taken back of a transaction: there, where something was and the transaction is read.
#[derive(Serialize, JsonSchema)]
struct TakenBackBody {
    /// How much, in all.
    #[schemars(with = "SignedAmount")]
    reversed: String,
    /// What can be taken back still.
    #[schemars(with = "SignedAmount")]
    reversible: String,
    /// The transactions that took it back.
    reversals: Vec<TransactionId>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Leg")]
struct LegBody {
    wallet_id: WalletId,
    /// Left out when the wallet is beyond the caller's reach: it counts another's traffic, or all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<Sequence>,
    /// In a transaction of several currencies.
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<Currency>,
    #[schemars(with = "SignedAmount")]
    amount: String,
    /// Left out when the wallet is another user's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<SignedAmount>")]
    balance_after: Option<String>,
}

impl TransactionBody {
    pub(super) fn of(transaction: &Transaction, caller: &Caller) -> Self {
        // By name, so that a new field of the transaction has to be looked at here.
        let Transaction {
            id,
            kind,
            wallet_id: _,
            user_id: _,
            currency,
            amount,
            details,
            occurred_at,
            legs,
            hold_id,
            reverses,
        } = transaction;
        let Details {
            reference,
            description,
            metadata,
        } = details.clone();
        let reverses = reverses.as_deref();
        Self {
            id: *id,
            kind: kind.as_str(),
            // What is in the ledger has happened: a movement has no other state.
            status: "completed",
            currency: *currency,
            amount: currency.text(amount.minor()),
            hold_id: *hold_id,
            reverses: reverses.map(|reverses| reverses.transaction_id),
            reason: reverses.map(|reverses| reverses.reason.clone()),
            taken_back: None,
            reference,
            description,
            metadata,
            occurred_at: *occurred_at,
            legs: legs
                .iter()
                .map(|leg| LegBody::of(leg, transaction, caller))
                .collect(),
        }
    }

    /// With what was taken back of it by now.
    pub(super) fn with_parts(found: &TransactionFound, caller: &Caller) -> Self {
        let TransactionFound { transaction, parts } = found;
        let taken_back = parts.last().map(|last| {
            let text = |minor| transaction.currency.text(minor);
            let reversed = last.reversed_after.minor();
            TakenBackBody {
                reversed: text(reversed),
                reversible: text(transaction.amount.minor().saturating_sub(reversed)),
                reversals: parts.iter().map(|part| part.reversal_id).collect(),
            }
        });
        Self {
            taken_back,
            ..Self::of(transaction, caller)
        }
    }
}

impl LegBody {
    /// Users see what is theirs. Who reaches everyone sees the balances of the user whose transaction it is.
    fn of(leg: &Leg, transaction: &Transaction, caller: &Caller) -> Self {
        let text = |minor| leg.currency.text(minor);
        let is_reached = caller.reach.includes(&leg.user_id);
        let is_shown = match caller.reach {
            Reach::Everyone => leg.user_id == transaction.user_id,
            Reach::Users(_) => is_reached,
        };
        let mut legs = transaction.legs.iter();
        let is_of_several = legs.any(|leg| leg.currency != transaction.currency);
        Self {
            wallet_id: leg.wallet_id,
            sequence: is_reached.then_some(leg.sequence),
            currency: is_of_several.then_some(leg.currency),
            amount: text(leg.amount.minor()),
            balance_after: is_shown.then(|| text(leg.balance_after.minor())),
        }
    }
}

/// The transaction that a reversal took back, as the reversal left it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Original")]
pub(super) struct OriginalBody {
    id: TransactionId,
    currency: Currency,
    /// What it moved.
    #[schemars(with = "SignedAmount")]
    amount: String,
    /// What was taken back of it, this included.
    #[schemars(with = "SignedAmount")]
    reversed: String,
    /// What can be taken back still.
    #[schemars(with = "SignedAmount")]
    reversible: String,
}

impl OriginalBody {
    /// None of what takes nothing back.
    pub(super) fn of(reversal: &Transaction) -> Option<Self> {
        let reverses = reversal.reverses.as_deref()?;
        let Reverses {
            transaction_id,
            of,
            so_far,
            reason: _,
        } = reverses;
        let text = |minor| reversal.currency.text(minor);
        Some(Self {
            id: *transaction_id,
            currency: reversal.currency,
            amount: text(of.minor()),
            reversed: text(so_far.amount.minor()),
            reversible: text(reverses.left().minor()),
        })
    }
}
