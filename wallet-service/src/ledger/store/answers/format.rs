//! The stored form of an answer.
//!
//! ```text
//! accepted  version 1 byte, 0, wallet id 16 bytes, sequence 8 bytes big-endian, 8 bytes of the event's hash, JSON or nothing
//! refused   version 1 byte, 1, JSON
//! ```

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use shared::{Balance, Sequence, WalletId, money::as_minor};
use uuid::Uuid;

use crate::ledger::model::{
    answer::{Answer, Refusal},
    wallet::{Status, Wallet},
};

/// The first byte of a stored answer.
pub const FORMAT_VERSION: u8 = 1;

const ACCEPTED: u8 = 0;
const REFUSED: u8 = 1;

/// The event that an accepted command left its wallet with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Effect {
    pub(super) wallet_id: WalletId,
    pub(super) sequence: Sequence,
    pub(super) hash_start: [u8; 8],
}

/// What of a wallet stands neither in its event nor is as it was created: what is as usual is left out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Unjournaled {
    #[serde(skip_serializing_if = "is_active")]
    pub(super) status: Status,
    #[serde(with = "as_minor", skip_serializing_if = "is_zero")]
    pub(super) held: Balance,
    #[serde(with = "as_minor::option", skip_serializing_if = "is_zero_floor")]
    pub(super) floor: Option<Balance>,
}

impl Default for Unjournaled {
    fn default() -> Self {
        Self {
            status: Status::Active,
            held: Balance::ZERO,
            floor: Some(Balance::ZERO),
        }
    }
}

fn is_active(status: &Status) -> bool {
    *status == Status::Active
}

fn is_zero(balance: &Balance) -> bool {
    *balance == Balance::ZERO
}

fn is_zero_floor(floor: &Option<Balance>) -> bool {
    *floor == Some(Balance::ZERO)
}

/// Why a stored answer cannot be told again.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableAnswer {
    #[error("it is of a version that this build does not know")]
    UnknownVersion,
    #[error("it ends too early or says neither accepted nor refused")]
    Malformed,
    #[error("its JSON cannot be read")]
    Json(#[from] serde_json::Error),
    #[error("the event that it names is not in the journal")]
    NoSuchEvent,
    #[error("its event, wallet or transaction cannot be read")]
    Unreadable(#[source] Arc<sqlx::Error>),
}

/// The stored form of an answer.
pub fn encode(answer: &Answer) -> Vec<u8> {
    /// An accepted answer of a wallet that is as usual.
    const USUAL_LENGTH: usize = 2 + 16 + 8 + 8;
    let mut bytes = Vec::with_capacity(USUAL_LENGTH);
    bytes.push(FORMAT_VERSION);
    let json = match answer {
        Answer::Accepted(receipt) => {
            let Wallet {
                id,
                user_id: _,
                currency: _,
                status,
                balance: _,
                held,
                floor,
                version,
                head_hash,
                created_at: _,
                updated_at: _,
            } = &receipt.wallet;
            bytes.push(ACCEPTED);
            bytes.extend_from_slice(id.uuid().as_bytes());
            bytes.extend_from_slice(&version.get().to_be_bytes());
            bytes.extend_from_slice(&head_hash.as_bytes()[..8]);
            let unjournaled = Unjournaled {
                status: *status,
                held: *held,
                floor: *floor,
            };
            if unjournaled == Unjournaled::default() {
                return bytes;
            }
            serde_json::to_writer(&mut bytes, &unjournaled)
        }
        Answer::Refused(refusal) => {
            bytes.push(REFUSED);
            serde_json::to_writer(&mut bytes, refusal)
        }
    };
    debug_assert!(
        json.is_ok(),
        "strings, numbers and enums always serialise: {json:?}"
    );
    bytes
}

/// A stored answer by itself, before the journal was read.
#[derive(Debug)]
pub(super) enum Decoded {
    Accepted(Effect, Unjournaled),
    Refused(Refusal),
}

pub(super) fn decode(bytes: &[u8]) -> Result<Decoded, UnreadableAnswer> {
    let (version, rest) = bytes.split_first().ok_or(UnreadableAnswer::Malformed)?;
    if *version != FORMAT_VERSION {
        return Err(UnreadableAnswer::UnknownVersion);
    }
    match rest.split_first().ok_or(UnreadableAnswer::Malformed)? {
        (&ACCEPTED, rest) => {
            let (wallet_id, rest) = take(rest)?;
            let (sequence, rest) = take(rest)?;
            let (hash_start, json) = take(rest)?;
            let effect = Effect {
                wallet_id: WalletId::from_uuid(Uuid::from_bytes(wallet_id)),
                sequence: Sequence::try_from(i64::from_be_bytes(sequence))
                    .map_err(|_| UnreadableAnswer::Malformed)?,
                hash_start,
            };
            let unjournaled = match json {
                [] => Unjournaled::default(),
                json => serde_json::from_slice(json)?,
            };
            Ok(Decoded::Accepted(effect, unjournaled))
        }
        (&REFUSED, json) => Ok(Decoded::Refused(serde_json::from_slice(json)?)),
        _ => Err(UnreadableAnswer::Malformed),
    }
}

fn take<const N: usize>(bytes: &[u8]) -> Result<([u8; N], &[u8]), UnreadableAnswer> {
    let (taken, rest) = bytes
        .split_first_chunk()
        .ok_or(UnreadableAnswer::Malformed)?;
    Ok((*taken, rest))
}
