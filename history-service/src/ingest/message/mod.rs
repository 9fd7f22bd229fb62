//! A Kafka message as it came, and what it says.
//!
//! Reading is strict and pure: bytes become an event whose hash has been recomputed and whose key is its wallet, or a
//! reason why not. What was refused keeps its bytes.

mod headers;
mod refusal;

use std::sync::Arc;

use shared::{
    Hash, Sequence, WalletId,
    digest::{CanonicalBytes, LengthPrefix},
    event::{DecodeError, EventClaim, KNOWN_VERSIONS, WalletEvent},
};

pub use headers::{Headers, ReceivedHeaders};
pub use refusal::{Reason, Refusal};

/// A message as it came, owned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    pub position: Position,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Headers,
}

impl Message {
    /// What it holds.
    pub fn bytes(&self) -> usize {
        self.value.as_ref().map_or(0, Vec::len)
    }
}

/// Where in Kafka a message stood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Position {
    pub topic: Arc<str>,
    pub partition: i32,
    pub offset: i64,
    /// When it was sent, by Kafka's own stamp in milliseconds; none when that is not known.
    pub sent_at: Option<i64>,
}

/// A message that goes to the quarantine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    pub message: Arc<Message>,
    pub refusal: Refusal,
    /// What it claimed to be, when it could be read so far.
    pub claim: Option<(WalletId, Sequence)>,
}

/// A message of a kind or a version that this build does not know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unknown {
    pub message: Arc<Message>,
    pub claim: EventClaim,
}

impl Unknown {
    pub(super) fn of(message: Arc<Message>) -> Self {
        let value = message.value.as_deref().unwrap_or_default();
        let mut claim = EventClaim::of(value);
        // Postgres keeps no NUL, and no kind has one.
        claim.kind = claim.kind.filter(|kind| !kind.contains('\0'));
        Self { message, claim }
    }
}

impl Message {
    /// Reads the event and proves what can be proven without knowing its wallet.
    pub fn decode(&self) -> Result<WalletEvent, Refusal> {
        let value = self
            .value
            .as_deref()
            .ok_or_else(|| Refusal::new(Reason::Malformed, "the message has no value"))?;
        let event = WalletEvent::from_json(value).map_err(|error| refusal(&error))?;
        if event.sequence < Sequence::FIRST {
            return Err(Refusal::new(
                Reason::Malformed,
                "events are numbered from 1",
            ));
        }
        if event.amount.is_some() && event.transaction_id.is_none() {
            return Err(Refusal::new(
                Reason::Malformed,
                "money moved outside of a transaction",
            ));
        }
        // Postgres keeps no NUL in a text. In `data` it is spelled as an escape, which is kept.
        if event.actor.contains('\0')
            || event
                .correlation_id
                .as_deref()
                .is_some_and(|id| id.contains('\0'))
        {
            return Err(Refusal::new(
                Reason::Malformed,
                "a text holds a NUL character",
            ));
        }
        self.check_key(event.wallet_id)?;
        Ok(event)
    }

    /// SHA-256 of key and value. Headers are kept for people and tell no messages apart: nothing is decided on them.
    pub fn content_hash(&self) -> Hash {
        Hash::from_bytes(self.content().sha256())
    }

    /// Tells this message from any other that may stand at its offset: from another event, and from the same event when
    /// it is sent once more, to a topic that was made again.
    pub fn identity(&self) -> Hash {
        let mut bytes = self.content();
        bytes.optional(self.position.sent_at, |bytes, at| {
            bytes.raw(&at.to_be_bytes());
        });
        Hash::from_bytes(bytes.sha256())
    }

    /// Key and value, length-prefixed so that bytes cannot move from one into the other; what is not there is not what is
    /// empty.
    fn content(&self) -> CanonicalBytes {
        let mut bytes = CanonicalBytes::new(LengthPrefix::U64);
        for part in [&self.key, &self.value] {
            bytes.optional(part.as_deref(), |bytes, part| {
                bytes.part(part);
            });
        }
        bytes
    }

    /// The key decides the partition and with it the order, so an event under another key may overtake its own wallet.
    fn check_key(&self, wallet: WalletId) -> Result<(), Refusal> {
        let key = self.key.as_deref().unwrap_or_default();
        if key == wallet.to_string().as_bytes() {
            return Ok(());
        }
        let found = String::from_utf8_lossy(key);
        Err(Refusal::new(
            Reason::KeyMismatch,
            format!("the key is {found:?}, the wallet is {wallet}"),
        ))
    }
}

fn refusal(error: &DecodeError) -> Refusal {
    let reason = match error {
        DecodeError::Malformed(_)
        | DecodeError::WrongData { .. }
        | DecodeError::WrongAmount { .. } => Reason::Malformed,
        // No build to come reads one below the first.
        DecodeError::UnknownVersion(version) if version < KNOWN_VERSIONS.start() => {
            Reason::Malformed
        }
        DecodeError::UnknownVersion(_) => Reason::UnknownVersion,
        DecodeError::UnknownKind(_) => Reason::UnknownKind,
        DecodeError::WrongHash => Reason::WrongHash,
    };
    // The detail is all that an operator sees without opening the bytes, so it says the cause below, too.
    let detail = match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    // serde_json quotes what it read, and a NUL in it could not be stored.
    Refusal::new(reason, detail.replace('\0', "\u{fffd}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::ingest::samples::{Chain, message};

    fn reason(message: &Message) -> Reason {
        message.decode().unwrap_err().reason
    }

    #[test]
    fn an_event_under_its_wallets_key_is_read() {
        let event = Chain::new("alice").opened();
        assert_eq!(message(&event, 0).decode().unwrap(), event);
    }

    #[test]
    fn fields_of_the_future_are_ignored() {
        let event = Chain::new("alice").opened();
        let mut message = message(&event, 0);
        let mut json: Value = serde_json::from_slice(message.value.as_ref().unwrap()).unwrap();
        json["colour"] = json!("blue");
        message.value = Some(json.to_string().into_bytes());
        assert_eq!(message.decode().unwrap(), event);
    }

    /// A build that does not know the field cannot compute the hash, so only the version tells it from a forgery.
    #[test]
    fn one_more_field_of_a_kind_waits_under_a_raised_version_and_is_poison_under_this_one() {
        let event = Chain::new("alice").opened();
        let with_field = |version: u16| {
            let mut json: Value = serde_json::from_slice(&event.to_json()).unwrap();
            json["schema_version"] = json!(version);
            json["data"]["colour"] = json!("blue");
            // Of bytes that only a later build knows.
            json["hash"] = json!(Hash::from_bytes([9; 32]).to_string());
            Message {
                value: Some(json.to_string().into_bytes()),
                ..message(&event, 0)
            }
        };
        let last = *KNOWN_VERSIONS.end();
        assert_eq!(reason(&with_field(last + 1)), Reason::UnknownVersion);
        assert_eq!(reason(&with_field(last)), Reason::WrongHash);
    }

    #[test]
    fn every_version_up_to_this_builds_is_read_and_none_below_the_first() {
        let of = |schema_version| {
            let event = WalletEvent {
                schema_version,
                ..Chain::new("alice").opened()
            };
            message(&event.sealed(), 0)
        };
        for version in KNOWN_VERSIONS {
            assert_eq!(of(version).decode().unwrap().schema_version, version);
        }
        assert_eq!(reason(&of(KNOWN_VERSIONS.start() - 1)), Reason::Malformed);
        let next = reason(&of(KNOWN_VERSIONS.end() + 1));
        assert_eq!(next, Reason::UnknownVersion);
    }

    #[test]
    fn every_kind_of_poison_has_its_reason() {
        let event = Chain::new("alice").opened();
        let good = message(&event, 0);
        let with_value = |value: &[u8]| Message {
            value: Some(value.to_vec()),
            ..good.clone()
        };
        let edited = |field: &str, value: Value| {
            let mut json: Value = serde_json::from_slice(good.value.as_ref().unwrap()).unwrap();
            json[field] = value;
            with_value(json.to_string().as_bytes())
        };
        assert_eq!(
            reason(&Message {
                value: None,
                ..good.clone()
            }),
            Reason::Malformed
        );
        assert_eq!(reason(&with_value(b"\x00\xff garbage")), Reason::Malformed);
        assert_eq!(reason(&with_value(b"{}")), Reason::Malformed);
        assert_eq!(
            reason(&edited("balance_after", json!("1.005"))),
            Reason::Malformed
        );
        assert_eq!(
            reason(&edited("schema_version", json!(999))),
            Reason::UnknownVersion
        );
        assert_eq!(
            reason(&edited("kind", json!("wallet.painted"))),
            Reason::UnknownKind
        );
        assert_eq!(
            reason(&edited("user_id", json!("mallory"))),
            Reason::WrongHash
        );
        assert_eq!(
            reason(&Message {
                key: None,
                ..good.clone()
            }),
            Reason::KeyMismatch
        );
        assert_eq!(
            reason(&Message {
                key: Some(b"elsewhere".to_vec()),
                ..good.clone()
            }),
            Reason::KeyMismatch
        );
    }

    #[test]
    fn messages_are_told_apart_by_what_is_absent_and_what_is_empty() {
        let part = [None, Some(Vec::new()), Some(b"a".to_vec())];
        let event = Chain::new("alice").opened();
        let mut hashes = std::collections::HashSet::new();
        for (key, value) in part
            .iter()
            .flat_map(|key| part.iter().map(move |value| (key, value)))
        {
            let message = Message {
                key: key.clone(),
                value: value.clone(),
                ..message(&event, 0)
            };
            assert!(hashes.insert(message.content_hash()), "{key:?} {value:?}");
            assert!(hashes.insert(message.identity()), "{key:?} {value:?}");
        }
    }

    #[test]
    fn a_text_postgres_cannot_keep_is_poison_and_not_an_error_of_the_batch() {
        let mut event = Chain::new("alice").opened();
        event.actor = "nul\0".to_owned();
        let event = event.sealed();
        assert_eq!(reason(&message(&event, 0)), Reason::Malformed);
    }
}
