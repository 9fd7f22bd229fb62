//! The hash chain of a wallet: every event carries the hash of the one before it.
//!
//! A hash is SHA-256 over canonical bytes with a fixed layout (below), never over JSON, whose key order and number
//! spelling are not stable. Changing the layout needs a new [`LAYOUT`] and a new schema version; golden files pin it.
//!
//! Integers are big-endian. Text and lists are prefixed with their length as `u32`. An optional field is one byte,
//! 0 or 1, then the value. Order: layout tag, schema version `u16`, previous hash, event id, wallet id, sequence `i64`,
//! user id, currency, kind, moment in microseconds `i64`, actor, correlation id?, transaction id?, change in minor
//! units `i64`?, balance after `i64`, then the data of the kind.

use sha2::{Digest, Sha256};

use super::model::{Details, EventBody, Movement, WalletEvent};
use crate::Hash;

/// Names the byte layout, so that no other use of SHA-256 over similar bytes can collide with it.
const LAYOUT: &str = "wallet-event/1";

impl WalletEvent {
    /// Sets [`Self::hash`] from everything else.
    #[must_use]
    pub fn sealed(mut self) -> Self {
        self.hash = self.computed_hash();
        self
    }

    /// The hash of everything the event says, whatever its `hash` field holds.
    pub fn computed_hash(&self) -> Hash {
        Hash::from_bytes(Sha256::digest(canonical_bytes(self)).into())
    }
}

/// The bytes that are hashed.
pub fn canonical_bytes(event: &WalletEvent) -> Vec<u8> {
    let WalletEvent {
        event_id,
        schema_version,
        wallet_id,
        user_id,
        sequence,
        transaction_id,
        occurred_at,
        actor,
        correlation_id,
        currency,
        amount,
        balance_after,
        body,
        prev_hash,
        // What is computed here.
        hash: _,
    } = event;
    let mut bytes = Bytes(Vec::with_capacity(384));
    bytes.text(LAYOUT);
    bytes.raw(&schema_version.to_be_bytes());
    bytes.raw(prev_hash.as_bytes());
    bytes.raw(event_id.uuid().as_bytes());
    bytes.raw(wallet_id.uuid().as_bytes());
    bytes.raw(&sequence.get().to_be_bytes());
    bytes.text(user_id.as_str());
    bytes.text(currency.code());
    bytes.text(body.kind().as_str());
    bytes.raw(&occurred_at.micros().to_be_bytes());
    bytes.text(actor);
    bytes.optional(correlation_id.as_deref(), Bytes::text);
    bytes.optional(*transaction_id, |bytes, id| bytes.raw(id.uuid().as_bytes()));
    bytes.optional(*amount, |bytes, amount| {
        bytes.raw(&amount.minor().to_be_bytes())
    });
    bytes.raw(&balance_after.minor().to_be_bytes());
    match body {
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
        let Movement {
            counterparty_wallet_id,
            leg_count,
            details:
                Details {
                    reference,
                    description,
                    metadata,
                },
        } = movement;
        self.raw(counterparty_wallet_id.uuid().as_bytes());
        self.raw(&leg_count.to_be_bytes());
        self.optional(reference.as_deref(), Self::text);
        self.optional(description.as_deref(), Self::text);
        self.length(metadata.len());
        for (key, value) in metadata {
            self.text(key);
            self.text(value);
        }
    }
}
