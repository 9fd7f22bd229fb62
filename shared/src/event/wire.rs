//! The event as it stands in JSON: what is written ([`Object`]) and what is read ([`Wire`]).

use std::{borrow::Cow, fmt, io::Write};

use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;

use super::{DecodeError, EventBody, SCHEMA_VERSION};
use crate::{Currency, EventId, Sequence, Timestamp, TransactionId, UserId, WalletId, chain::Hash};

#[derive(Deserialize)]
struct Versioned {
    schema_version: u16,
}

/// The event as it stands in JSON, in the order in which people read it. Text is borrowed from there where it can be.
///
/// What reads it takes the data as it stands, for only the kind says what it must be.
#[derive(Deserialize)]
pub(super) struct Wire<'a> {
    pub(super) event_id: EventId,
    pub(super) schema_version: u16,
    #[serde(borrow)]
    pub(super) kind: Cow<'a, str>,
    pub(super) wallet_id: WalletId,
    pub(super) user_id: Cow<'a, UserId>,
    pub(super) sequence: Sequence,
    pub(super) transaction_id: Option<TransactionId>,
    pub(super) occurred_at: Timestamp,
    #[serde(borrow)]
    pub(super) actor: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) correlation_id: Option<Cow<'a, str>>,
    pub(super) currency: Currency,
    #[serde(borrow)]
    pub(super) amount: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) balance_after: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) data: &'a RawValue,
    pub(super) prev_hash: Hash,
    pub(super) hash: Hash,
}

impl<'a> Wire<'a> {
    /// Another version may have another shape, so what does not fit this one is asked for its version first.
    pub(super) fn read(json: &'a [u8]) -> Result<Self, DecodeError> {
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
        if schema_version != SCHEMA_VERSION {
            return Err(DecodeError::UnknownVersion(schema_version));
        }
        wire.map_err(DecodeError::Malformed)
    }
}

/// Writes a JSON object, field by field. A derived form would look at every character of every name, id and hash for one
/// that must be escaped, which is a third of its cost.
pub(super) struct Object(Vec<u8>);

impl Object {
    /// An event without long texts fits, so that it need not be moved while it grows.
    const CAPACITY: usize = 1024;

    pub(super) fn new() -> Self {
        Self(Vec::with_capacity(Self::CAPACITY))
    }

    /// A text that never holds a character that must be escaped, such as an id or a number.
    pub(super) fn plain(&mut self, name: &'static str, text: impl fmt::Display) {
        self.name(name);
        self.0.push(b'"');
        let written = write!(self.0, "{text}");
        self.0.push(b'"');
        debug_assert!(written.is_ok(), "{name} was not written");
    }

    /// Anything of strings and numbers: it always serialises.
    pub(super) fn value(&mut self, name: &'static str, value: &impl Serialize) {
        self.name(name);
        let written = serde_json::to_writer(&mut self.0, value);
        debug_assert!(written.is_ok(), "{name} was not written");
    }

    pub(super) fn end(mut self) -> Vec<u8> {
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

/// What only the event's kind has to say; an empty object when that is nothing.
pub(super) struct Data<'a>(pub(super) &'a EventBody);

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.movement() {
            Some(movement) => movement.serialize(serializer),
            None => serializer.serialize_map(Some(0))?.end(),
        }
    }
}
