//! A history entry as JSON. Its shape is public and the same wherever an entry appears.

use serde::Serialize;
use serde_json::value::RawValue;
use shared::{
    Currency, EventId, Sequence, Timestamp, TransactionId, UserId, WalletId, chain::Hash,
};

use crate::history::model::Entry;

#[derive(Serialize)]
pub(super) struct EntryBody {
    event_id: EventId,
    wallet_id: WalletId,
    user_id: UserId,
    sequence: Sequence,
    kind: String,
    /// Signed: `-30.00` is what left.
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<String>,
    currency: Currency,
    balance_after: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_id: Option<TransactionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    counterparty_wallet_id: Option<WalletId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    occurred_at: Timestamp,
    recorded_at: Timestamp,
    data: Box<RawValue>,
    hash: Hash,
}

impl From<Entry> for EntryBody {
    fn from(entry: Entry) -> Self {
        let currency = entry.currency;
        Self {
            event_id: entry.event_id,
            wallet_id: entry.wallet_id,
            user_id: entry.user_id,
            sequence: entry.sequence,
            kind: entry.kind,
            amount: entry.amount.map(|amount| currency.text(amount.minor())),
            currency,
            balance_after: currency.text(entry.balance_after.minor()),
            transaction_id: entry.transaction_id,
            counterparty_wallet_id: entry.counterparty_wallet_id,
            actor: Some(entry.actor).filter(|actor| !actor.is_empty()),
            occurred_at: entry.occurred_at,
            recorded_at: entry.recorded_at,
            // It was written from JSON; were it not, `null` would stand here.
            data: RawValue::from_string(entry.data).unwrap_or_default(),
            hash: entry.hash,
        }
    }
}
