//! The hash chain of a wallet: every event carries the hash of the one before it.
//!
//! A hash is SHA-256 over canonical bytes with a fixed layout (below), never over JSON, whose key order and number
//! spelling are not stable. Changing the layout needs a new [`LAYOUT`] and a new schema version; golden files pin it.
//!
//! Integers are big-endian. Text and lists are prefixed with their length as `u32`. An optional field is one byte,
//! 0 or 1, then the value. Order: layout tag, schema version `u16`, previous hash, event id, wallet id, sequence `i64`,
//! user id, currency, kind, moment in microseconds `i64`, actor, correlation id?, transaction id?, change in minor
//! units `i64`?, balance after `i64`, then the data of the kind.

use std::{fmt, str::FromStr};

use serde_with::{DeserializeFromStr, SerializeDisplay};
use sha2::{Digest, Sha256};

use crate::event::{EventBody, Movement, WalletEvent};

/// Names the byte layout, so that no other use of SHA-256 over similar bytes can collide with it.
const LAYOUT: &str = "wallet-event/1";

/// A SHA-256 hash; 64 lower-case hexadecimal digits as text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, SerializeDisplay, DeserializeFromStr)]
pub struct Hash([u8; 32]);

impl Hash {
    /// What the first event of a wallet follows.
    pub const ZERO: Self = Self([0; 32]);
    const TEXT_LENGTH: usize = 64;

    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl TryFrom<Vec<u8>> for Hash {
    type Error = std::array::TryFromSliceError;

    fn try_from(bytes: Vec<u8>) -> Result<Self, Self::Error> {
        <[u8; 32]>::try_from(bytes.as_slice()).map(Self)
    }
}

impl FromStr for Hash {
    type Err = const_hex::FromHexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The library would take "0x" in front of the digits, too.
        if text.len() != Self::TEXT_LENGTH {
            return Err(const_hex::FromHexError::InvalidStringLength);
        }
        let mut bytes = [0; 32];
        const_hex::decode_to_slice(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(const_hex::Buffer::<32>::new().format(&self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The hash of an event, computed from everything it says and from `prev_hash`, whatever its `hash` field holds.
pub fn hash(event: &WalletEvent) -> Hash {
    Hash(Sha256::digest(canonical_bytes(event)).into())
}

/// The bytes that are hashed.
pub fn canonical_bytes(event: &WalletEvent) -> Vec<u8> {
    let mut bytes = Bytes(Vec::with_capacity(384));
    bytes.text(LAYOUT);
    bytes.raw(&event.schema_version.to_be_bytes());
    bytes.raw(event.prev_hash.as_bytes());
    bytes.raw(event.event_id.uuid().as_bytes());
    bytes.raw(event.wallet_id.uuid().as_bytes());
    bytes.raw(&event.sequence.get().to_be_bytes());
    bytes.text(event.user_id.as_str());
    bytes.text(event.currency.code());
    bytes.text(event.body.kind().as_str());
    bytes.raw(&event.occurred_at.micros().to_be_bytes());
    bytes.text(&event.actor);
    bytes.optional(event.correlation_id.as_deref(), Bytes::text);
    bytes.optional(event.transaction_id, |bytes, id| {
        bytes.raw(id.uuid().as_bytes())
    });
    bytes.optional(event.amount, |bytes, amount| {
        bytes.raw(&amount.minor().to_be_bytes())
    });
    bytes.raw(&event.balance_after.minor().to_be_bytes());
    match &event.body {
        EventBody::WalletCreated => {}
        EventBody::WalletFunded(movement)
        | EventBody::WalletWithdrawn(movement)
        | EventBody::TransferSent(movement)
        | EventBody::TransferReceived(movement) => bytes.movement(movement),
    }
    bytes.0
}

struct Bytes(Vec<u8>);

impl Bytes {
    fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Every text and list in an event is bounded far below 2^32 by the edge; a longer one would be cut in its prefix
    /// only, which still gives a well-defined hash.
    fn length(&mut self, length: usize) {
        self.raw(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        self.length(text.len());
        self.raw(text.as_bytes());
    }

    fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.raw(&[u8::from(value.is_some())]);
        if let Some(value) = value {
            write(self, value);
        }
    }

    fn movement(&mut self, movement: &Movement) {
        self.raw(movement.counterparty_wallet_id.uuid().as_bytes());
        self.raw(&movement.leg_count.to_be_bytes());
        let details = &movement.details;
        self.optional(details.reference.as_deref(), Self::text);
        self.optional(details.description.as_deref(), Self::text);
        self.length(details.metadata.len());
        for (key, value) in &details.metadata {
            self.text(key);
            self.text(value);
        }
    }
}
