//! An event as an item of a listing: one JSON for both services' answers.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;
use strum::VariantNames;

use super::{
    data::EventData,
    model::{EventKind, WalletEvent},
};
use crate::{
    Currency, EventId, Hash, Sequence, Timestamp, TransactionId, UserId, WalletId,
    schema::SignedAmount,
};

/// What callers read of an event. What only one of the services tells is left out where it is none: the ledger tells all
/// that the hash is made of, history when it recorded the event.
#[derive(Serialize, Debug, schemars::JsonSchema)]
#[schemars(rename = "Event")]
pub struct EventItem {
    pub event_id: EventId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema_version: Option<u16>,
    pub wallet_id: WalletId,
    pub user_id: UserId,
    pub sequence: Sequence,
    /// Such as `transfer.sent`. Text: a row of history outlives the build that understood its kind, and a later build has
    /// more of them.
    #[schemars(extend("x-extensible-enum" = EventKind::VARIANTS))]
    pub kind: Cow<'static, str>,
    /// Signed: `-30.00` is what left.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<SignedAmount>")]
    pub amount: Option<String>,
    pub currency: Currency,
    #[schemars(with = "SignedAmount")]
    pub balance_after: String,
    /// How much of that was set aside then.
    #[schemars(with = "SignedAmount")]
    pub held_after: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<TransactionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counterparty_wallet_id: Option<WalletId>,
    /// Whose that wallet is: in listings of history, to those who reach that user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counterparty_user_id: Option<UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    pub occurred_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded_at: Option<Timestamp>,
    #[schemars(with = "EventData<'static>")]
    pub data: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prev_hash: Option<Hash>,
    pub hash: Hash,
}

impl From<WalletEvent> for EventItem {
    /// All that the event says.
    fn from(event: WalletEvent) -> Self {
        let data = Self::data_of(event.data_json());
        let WalletEvent {
            event_id,
            schema_version,
            wallet_id,
            user_id,
            sequence,
            transaction_id,
            occurred_at,
            actor,
            subject,
            correlation_id,
            currency,
            amount,
            balance_after,
            held_after,
            body,
            prev_hash,
            hash,
        } = event;
        Self {
            event_id,
            schema_version: Some(schema_version),
            wallet_id,
            user_id,
            sequence,
            kind: body.kind().as_str().into(),
            amount: amount.map(|amount| currency.text(amount.minor())),
            currency,
            balance_after: currency.text(balance_after.minor()),
            held_after: currency.text(held_after.minor()),
            transaction_id,
            counterparty_wallet_id: body.counterparty_wallet_id(),
            counterparty_user_id: None,
            actor: Some(actor),
            subject,
            correlation_id,
            occurred_at,
            recorded_at: None,
            data,
            prev_hash: Some(prev_hash),
            hash,
        }
    }
}

impl EventItem {
    /// The data of an event as it stands in a row. It was written from JSON; were it not, `null` would stand here.
    pub fn data_of(json: String) -> Box<RawValue> {
        RawValue::from_string(json).unwrap_or_default()
    }
}
