//! The event as JSON, which is the Kafka message: written field by field ([`Object`]), read through [`Wire`].

use std::{borrow::Cow, fmt, io::Write};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    data::{DataSource, Shape},
    model::{EventBody, EventKind, KNOWN_VERSIONS, UnknownKind, WalletEvent},
};
use crate::{
    Balance, Change, Currency, EventId, Hash, Sequence, Timestamp, TransactionId, UserId, WalletId,
    money::minor_from_text,
    schema::{JsonObject, SignedAmount},
};

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
    pub fn to_json(&self) -> Vec<u8> {
        let Self {
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
        } = self;
        let mut json = Object::new();
        json.plain("event_id", event_id);
        json.value("schema_version", schema_version);
        json.plain("kind", body.kind());
        json.plain("wallet_id", wallet_id);
        json.value("user_id", user_id);
        json.value("sequence", sequence);
        if let Some(transaction_id) = transaction_id {
            json.plain("transaction_id", transaction_id);
        }
        json.plain("occurred_at", occurred_at);
        json.value("actor", actor);
        if let Some(subject) = subject {
            json.value("subject", subject);
        }
        if let Some(correlation_id) = correlation_id {
            json.value("correlation_id", correlation_id);
        }
        json.plain("currency", currency);
        if let Some(amount) = amount {
            json.plain("amount", currency.text(amount.minor()));
        }
        json.plain("balance_after", currency.text(balance_after.minor()));
        if *held_after != Balance::ZERO {
            json.plain("held_after", currency.text(held_after.minor()));
        }
        json.value("data", &body.data().in_currency(*currency));
        json.plain("prev_hash", prev_hash);
        json.plain("hash", hash);
        json.end()
    }

    /// The kind's data as JSON text, which is what both services store beside the kind.
    pub fn data_json(&self) -> String {
        // Strings and numbers always serialise.
        let data = self.body.data().in_currency(self.currency);
        serde_json::to_string(&data).unwrap_or_default()
    }

    /// Reads an event and checks that its hash fits what it says.
    pub fn from_json(json: &[u8]) -> Result<Self, DecodeError> {
        let event = Wire::read(json)?.event()?;
        if event.computed_hash() == event.hash {
            Ok(event)
        } else {
            Err(DecodeError::WrongHash)
        }
    }
}

impl EventBody {
    /// The inverse of [`Self::kind`] and [`WalletEvent::data_json`].
    pub fn from_parts(
        kind: EventKind,
        data_json: &str,
        currency: Currency,
    ) -> Result<Self, serde_json::Error> {
        let json = data_json;
        Self::of(kind, StoredData { json, currency })
    }
}

#[derive(Deserialize)]
struct Versioned {
    schema_version: u16,
}

/// The event as it stands in JSON, in the order in which people read it. Text is borrowed from there where it can be.
///
/// What reads it takes the data as it stands, for only the kind says what it must be.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Wire<'a> {
    event_id: EventId,
    /// Of the shape of events: it is raised when readers of before could not read them.
    schema_version: u16,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    wallet_id: WalletId,
    user_id: Cow<'a, UserId>,
    sequence: Sequence,
    transaction_id: Option<TransactionId>,
    occurred_at: Timestamp,
    /// Who asked.
    #[serde(borrow)]
    actor: Cow<'a, str>,
    /// For whom, when that is another than the actor.
    subject: Option<UserId>,
    /// The request id of the call that caused it.
    #[serde(borrow)]
    correlation_id: Option<Cow<'a, str>>,
    currency: Currency,
    /// What it did to the balance.
    #[serde(borrow)]
    #[schemars(with = "Option<SignedAmount>")]
    amount: Option<Cow<'a, str>>,
    #[serde(borrow)]
    #[schemars(with = "SignedAmount")]
    balance_after: Cow<'a, str>,
    /// How much of that is set aside; missing when nothing is.
    #[serde(borrow)]
    #[schemars(with = "Option<SignedAmount>")]
    held_after: Option<Cow<'a, str>>,
    #[serde(borrow)]
    #[schemars(with = "JsonObject")]
    data: &'a RawValue,
    /// The hash of the wallet's event before this one; zeros for the first.
    prev_hash: Hash,
    hash: Hash,
}

impl<'a> Wire<'a> {
    /// Another version may have another shape, so what does not fit this one is asked for its version first.
    fn read(json: &'a [u8]) -> Result<Self, DecodeError> {
        // UTF-8 is checked once and not for each string. Bytes that are none may still stand in a field that is skipped.
        let wire: Result<Self, _> = match str::from_utf8(json) {
            Ok(json) => serde_json::from_str(json),
            Err(_) => serde_json::from_slice(json),
        };
        let schema_version = match &wire {
            Ok(wire) => wire.schema_version,
            Err(_) => {
                let Versioned { schema_version } =
                    serde_json::from_slice(json).map_err(DecodeError::Malformed)?;
                schema_version
            }
        };
        if !KNOWN_VERSIONS.contains(&schema_version) {
            return Err(DecodeError::UnknownVersion(schema_version));
        }
        wire.map_err(DecodeError::Malformed)
    }

    /// The event, its hash not yet checked.
    fn event(self) -> Result<WalletEvent, DecodeError> {
        let Self {
            event_id,
            schema_version,
            kind,
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
            data,
            prev_hash,
            hash,
        } = self;
        let kind: EventKind = kind.parse()?;
        let body = EventBody::from_parts(kind, data.get(), currency)
            .map_err(|source| DecodeError::WrongData { kind, source })?;
        let minor = |field, text: &str| {
            minor_from_text(text, currency).map_err(|_| DecodeError::WrongAmount { field })
        };
        let change = |text: Cow<'_, str>| {
            let field = "amount";
            Change::try_new(minor(field, &text)?).ok_or(DecodeError::WrongAmount { field })
        };
        Ok(WalletEvent {
            event_id,
            schema_version,
            wallet_id,
            user_id: user_id.into_owned(),
            sequence,
            transaction_id,
            occurred_at,
            actor: actor.into_owned(),
            subject,
            correlation_id: correlation_id.map(Cow::into_owned),
            currency,
            amount: amount.map(change).transpose()?,
            balance_after: Balance::new(minor("balance_after", &balance_after)?),
            held_after: match held_after {
                Some(held) => Balance::new(minor("held_after", &held)?),
                None => Balance::ZERO,
            },
            body,
            prev_hash,
            hash,
        })
    }
}

/// Writes a JSON object, field by field. A derived form would look at every character of every name, id and hash for one
/// that must be escaped, which is a third of its cost.
struct Object(Vec<u8>);

impl Object {
    /// An event without long texts fits, so that it need not be moved while it grows.
    const CAPACITY: usize = 1024;

    fn new() -> Self {
        Self(Vec::with_capacity(Self::CAPACITY))
    }

    /// A text that never holds a character that must be escaped, such as an id or a number.
    fn plain(&mut self, name: &'static str, text: impl fmt::Display) {
        self.name(name);
        self.0.push(b'"');
        let written = write!(self.0, "{text}");
        self.0.push(b'"');
        debug_assert!(written.is_ok(), "{name} was not written");
    }

    /// Anything of strings and numbers: it always serialises.
    fn value(&mut self, name: &'static str, value: &impl Serialize) {
        self.name(name);
        let written = serde_json::to_writer(&mut self.0, value);
        debug_assert!(written.is_ok(), "{name} was not written");
    }

    fn end(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }

    fn name(&mut self, name: &'static str) {
        self.0.push(if self.0.is_empty() { b'{' } else { b',' });
        self.0.push(b'"');
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }
}

/// The text of an object, read as the kind asks. Like any field that is not known here, what it holds beyond that is
/// not looked at.
struct StoredData<'a> {
    json: &'a str,
    currency: Currency,
}

impl DataSource for StoredData<'_> {
    type Error = serde_json::Error;

    fn read<S: Shape>(self) -> Result<S, Self::Error> {
        S::from_json(self.json, self.currency)
    }
}
