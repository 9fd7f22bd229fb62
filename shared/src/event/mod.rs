//! `WalletEvent`: what happened to one wallet, complete in itself. It is the journal row, the Kafka message and the
//! history row.
//!
//! A reader accepts fields it does not know and refuses kinds and schema versions it does not know: those are kept
//! aside as they came, never guessed. In JSON, amounts are decimal text with the currency's own decimals.

use std::{borrow::Cow, collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use wire::{Data, Object, Wire};

use crate::{
    Balance, Currency, EventId, Sequence, Timestamp, TransactionId, UserId, WalletId,
    chain::{self, Hash},
    money::{Change, minor_from_text},
};

mod wire;

/// The version of the event's shape that this build writes, and the only one it reads.
pub const SCHEMA_VERSION: u16 = 1;

/// One thing that happened to one wallet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WalletEvent {
    pub event_id: EventId,
    pub schema_version: u16,
    pub wallet_id: WalletId,
    pub user_id: UserId,
    /// This event's number on its wallet: 1, 2, 3 … without a gap.
    pub sequence: Sequence,
    /// The transaction this is a leg of; none for events that move no money.
    pub transaction_id: Option<TransactionId>,
    /// Never earlier than the event before it on the same wallet.
    pub occurred_at: Timestamp,
    /// Who asked.
    pub actor: String,
    /// The request id of the call that caused it.
    pub correlation_id: Option<String>,
    pub currency: Currency,
    /// What it did to the balance; none for events that move no money.
    pub amount: Option<Change>,
    pub balance_after: Balance,
    pub body: EventBody,
    /// The hash of the wallet's event before this one; [`Hash::ZERO`] for the first.
    pub prev_hash: Hash,
    pub hash: Hash,
}

/// What kind of thing happened, with what only that kind has to say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EventBody {
    WalletCreated,
    WalletFunded(Movement),
    WalletWithdrawn(Movement),
    TransferSent(Movement),
    TransferReceived(Movement),
}

/// The other side of a money movement, and what the caller wrote about it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Movement {
    pub counterparty_wallet_id: WalletId,
    /// How many legs the transaction has, so that a reader knows when it has seen all of them.
    pub leg_count: u16,
    #[serde(flatten)]
    pub details: Details,
}

/// What a caller may write on a transaction.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Details {
    /// The caller's own business id of the transaction, unique for its owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// The name of an event's kind, as it stands in SQL, JSON and Kafka.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum EventKind {
    WalletCreated,
    WalletFunded,
    WalletWithdrawn,
    TransferSent,
    TransferReceived,
}

impl EventKind {
    pub const ALL: [Self; 5] = [
        Self::WalletCreated,
        Self::WalletFunded,
        Self::WalletWithdrawn,
        Self::TransferSent,
        Self::TransferReceived,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WalletCreated => "wallet.created",
            Self::WalletFunded => "wallet.funded",
            Self::WalletWithdrawn => "wallet.withdrawn",
            Self::TransferSent => "transfer.sent",
            Self::TransferReceived => "transfer.received",
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a kind of event")]
pub struct UnknownKind(pub String);

impl FromStr for EventKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| UnknownKind(text.to_owned()))
    }
}

impl EventBody {
    pub const fn kind(&self) -> EventKind {
        match self {
            Self::WalletCreated => EventKind::WalletCreated,
            Self::WalletFunded(_) => EventKind::WalletFunded,
            Self::WalletWithdrawn(_) => EventKind::WalletWithdrawn,
            Self::TransferSent(_) => EventKind::TransferSent,
            Self::TransferReceived(_) => EventKind::TransferReceived,
        }
    }

    pub const fn movement(&self) -> Option<&Movement> {
        match self {
            Self::WalletCreated => None,
            Self::WalletFunded(movement)
            | Self::WalletWithdrawn(movement)
            | Self::TransferSent(movement)
            | Self::TransferReceived(movement) => Some(movement),
        }
    }

    /// The kind's data as JSON text, `{}` when it has none. It is what both services store beside the kind.
    pub fn data_json(&self) -> String {
        // Strings and numbers always serialise.
        serde_json::to_string(&Data(self)).unwrap_or_default()
    }

    /// The inverse of [`Self::kind`] and [`Self::data_json`].
    pub fn from_parts(kind: EventKind, data_json: &str) -> Result<Self, serde_json::Error> {
        let movement = || serde_json::from_str(data_json);
        Ok(match kind {
            EventKind::WalletCreated => Self::WalletCreated,
            EventKind::WalletFunded => Self::WalletFunded(movement()?),
            EventKind::WalletWithdrawn => Self::WalletWithdrawn(movement()?),
            EventKind::TransferSent => Self::TransferSent(movement()?),
            EventKind::TransferReceived => Self::TransferReceived(movement()?),
        })
    }
}

/// Why bytes are not an event this build understands.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("not the JSON of a wallet event")]
    Malformed(#[source] serde_json::Error),
    #[error("schema version {0} is not known here")]
    UnknownVersion(u16),
    #[error(transparent)]
    UnknownKind(#[from] UnknownKind),
    #[error("the data does not fit the kind {kind}")]
    WrongData {
        kind: EventKind,
        source: serde_json::Error,
    },
    #[error("{field} is not an amount of the event's currency")]
    WrongAmount { field: &'static str },
    #[error("the hash does not fit what the event says")]
    WrongHash,
}

impl WalletEvent {
    /// Sets [`Self::hash`] from everything else.
    #[must_use]
    pub fn sealed(mut self) -> Self {
        self.hash = chain::hash(&self);
        self
    }

    pub fn to_json(&self) -> Vec<u8> {
        let money = |minor| self.currency.text(minor);
        let mut json = Object::new();
        json.plain("event_id", self.event_id);
        json.value("schema_version", &self.schema_version);
        json.plain("kind", self.body.kind());
        json.plain("wallet_id", self.wallet_id);
        json.value("user_id", &self.user_id);
        json.value("sequence", &self.sequence);
        if let Some(transaction_id) = self.transaction_id {
            json.plain("transaction_id", transaction_id);
        }
        json.plain("occurred_at", self.occurred_at);
        json.value("actor", &self.actor);
        if let Some(correlation_id) = &self.correlation_id {
            json.value("correlation_id", correlation_id);
        }
        json.plain("currency", self.currency);
        if let Some(amount) = self.amount {
            json.plain("amount", money(amount.minor()));
        }
        json.plain("balance_after", money(self.balance_after.minor()));
        json.value("data", &Data(&self.body));
        json.plain("prev_hash", self.prev_hash);
        json.plain("hash", self.hash);
        json.end()
    }

    /// Reads an event and checks that its hash fits what it says.
    pub fn from_json(json: &[u8]) -> Result<Self, DecodeError> {
        let wire = Wire::read(json)?;
        let kind: EventKind = wire.kind.parse()?;
        let body = EventBody::from_parts(kind, wire.data.get())
            .map_err(|source| DecodeError::WrongData { kind, source })?;
        let amount = wire
            .amount
            .as_deref()
            .map(|text| change(text, wire.currency))
            .transpose()?;
        let balance_after = minor_from_text(&wire.balance_after, wire.currency).map_err(|_| {
            DecodeError::WrongAmount {
                field: "balance_after",
            }
        })?;
        let event = Self {
            event_id: wire.event_id,
            schema_version: wire.schema_version,
            wallet_id: wire.wallet_id,
            user_id: wire.user_id.into_owned(),
            sequence: wire.sequence,
            transaction_id: wire.transaction_id,
            occurred_at: wire.occurred_at,
            actor: wire.actor.into_owned(),
            correlation_id: wire.correlation_id.map(Cow::into_owned),
            currency: wire.currency,
            amount,
            balance_after: Balance::new(balance_after),
            body,
            prev_hash: wire.prev_hash,
            hash: wire.hash,
        };
        if chain::hash(&event) == event.hash {
            Ok(event)
        } else {
            Err(DecodeError::WrongHash)
        }
    }
}

fn change(text: &str, currency: Currency) -> Result<Change, DecodeError> {
    minor_from_text(text, currency)
        .ok()
        .and_then(Change::try_new)
        .ok_or(DecodeError::WrongAmount { field: "amount" })
}

#[cfg(test)]
mod tests;
