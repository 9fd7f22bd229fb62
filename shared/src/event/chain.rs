//! The hash chain of a wallet: every event carries the hash of the one before it.
//!
//! A hash is SHA-256 over canonical bytes with a fixed layout (below), never over JSON, whose key order and number
//! spelling are not stable. Changing the layout needs a new [`LAYOUT`] and a new schema version; golden files pin it.
//!
//! Integers are big-endian. Text and lists are prefixed with their length as `u32`. An optional field is one byte,
//! 0 or 1, then the value. Order: layout tag, schema version `u16`, previous hash, event id, wallet id, sequence `i64`,
//! user id, currency, kind, moment in microseconds `i64`, actor, correlation id?, transaction id?, change in minor
//! units `i64`?, balance after `i64`, then the data of the kind, which [`data`](super::data)
//! adds. Then, of an event that has a subject, one byte 1 and the subject; and of one after which money is held, one byte 2
//! and how much, in minor units `i64`. Of an event without, nothing, so that it has the hash it always had.

use super::model::WalletEvent;
use crate::{
    Balance, Hash,
    digest::{CanonicalBytes, LengthPrefix},
};

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
        Hash::from_bytes(canonical_bytes(self).sha256())
    }
}

/// The bytes that are hashed.
pub fn canonical_bytes(event: &WalletEvent) -> CanonicalBytes {
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
        // What is computed from these bytes.
        hash: _,
    } = event;
    let mut bytes = CanonicalBytes::new(LengthPrefix::U32);
    bytes
        .text(LAYOUT)
        .raw(&schema_version.to_be_bytes())
        .raw(prev_hash.as_bytes())
        .raw(event_id.uuid().as_bytes())
        .raw(wallet_id.uuid().as_bytes())
        .raw(&sequence.get().to_be_bytes())
        .text(user_id.as_str())
        .text(currency.code())
        .text(body.kind().as_str())
        .raw(&occurred_at.micros().to_be_bytes())
        .text(actor)
        .optional_text(correlation_id.as_deref())
        .optional(*transaction_id, |bytes, id| {
            bytes.raw(id.uuid().as_bytes());
        })
        .optional(*amount, |bytes, amount| {
            bytes.raw(&amount.minor().to_be_bytes());
        })
        .raw(&balance_after.minor().to_be_bytes());
    body.data().add_to(&mut bytes);
    if let Some(subject) = subject {
        // Everything before says its own length, so nothing of it can be taken for this.
        bytes.raw(&[1]).text(subject.as_str());
    }
    if *held_after != Balance::ZERO {
        bytes.raw(&[2]).raw(&held_after.minor().to_be_bytes());
    }
    bytes
}
