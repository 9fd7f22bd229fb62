//! The stored form of an answer.
//!
//! ```text
//! accepted  version 1 byte, 0, wallet id 16 bytes, sequence 8 bytes big-endian, 8 bytes of the event's hash, JSON or nothing
//! refused   version 1 byte, 1, JSON
//! found     version 1 byte, 2, as accepted: nothing was done, and the wallet was as that event of another command left it
//! ```

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use shared::{
    Amount, Balance, Currency, Hash, HoldId, Sequence, Timestamp, TransactionId, UserId, WalletId,
    event::{EventBody, EventKind, LimitsChanged, Updated},
    money::as_minor,
};
use uuid::Uuid;

use crate::ledger::model::{
    answer::{Answer, Receipt, Refusal},
    description::{Description, Metadata},
    freeze::Freeze,
    hold::{Hold, HoldAfter, HoldStatus},
    wallet::{Status, Wallet},
};

/// The first byte of a stored answer.
pub const FORMAT_VERSION: u8 = 1;

const ACCEPTED: u8 = 0;
const REFUSED: u8 = 1;
const FOUND: u8 = 2;

/// The event that an accepted command left its wallet with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct LastEvent {
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
    #[serde(with = "as_minor", skip_serializing_if = "is_zero")]
    pub(super) overdrawn: Balance,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) freeze: Option<Box<Freeze>>,
    /// Of a command whose last event is no leg of its transaction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) transaction_id: Option<TransactionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hold: Option<Box<HoldLeft>>,
    /// The event that says the wallet's label and notes, when it is described.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) described_in: Option<Sequence>,
    /// Of an answer that begins so.
    #[serde(skip)]
    pub(super) is_found: bool,
}

/// What of a hold changes: how the command left it. The rest stands in its row for good.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct HoldLeft {
    pub(super) id: HoldId,
    /// Whether the command made it.
    placed: bool,
    status: HoldStatus,
    #[serde(with = "as_minor")]
    amount: Amount,
    #[serde(with = "as_minor")]
    captured: Balance,
    #[serde(with = "as_minor")]
    released: Balance,
    expires_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    due_at: Option<Timestamp>,
}

impl HoldLeft {
    fn of(after: &HoldAfter) -> Self {
        let Hold {
            id,
            wallet_id: _,
            user_id: _,
            currency: _,
            status,
            amount,
            captured,
            released,
            to_wallet_id: _,
            expires_at,
            due_at,
            details: _,
            created_at: _,
            // When its last event occurred.
            updated_at: _,
        } = after.hold();
        Self {
            id: *id,
            placed: after.is_placed(),
            status: *status,
            amount: *amount,
            captured: *captured,
            released: *released,
            expires_at: *expires_at,
            due_at: *due_at,
        }
    }

    /// The hold as the command left it, from its row as it is by now.
    pub(super) fn hold(&self, row: Hold, updated_at: Timestamp) -> HoldAfter {
        let hold = Box::new(Hold {
            status: self.status,
            amount: self.amount,
            captured: self.captured,
            released: self.released,
            expires_at: self.expires_at,
            due_at: self.due_at,
            updated_at,
            ..row
        });
        if self.placed {
            HoldAfter::Placed(hold)
        } else {
            HoldAfter::Changed(hold)
        }
    }
}

impl Default for Unjournaled {
    fn default() -> Self {
        Self {
            status: Status::Active,
            held: Balance::ZERO,
            floor: Some(Balance::ZERO),
            overdrawn: Balance::ZERO,
            freeze: None,
            transaction_id: None,
            hold: None,
            described_in: None,
            is_found: false,
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

/// What of a wallet stands in its event, or is as it was created.
#[derive(sqlx::FromRow)]
pub(super) struct Journaled {
    /// What never changes of the wallet. Nothing else of its row is read: it may have become unreadable since.
    pub(super) id: WalletId,
    pub(super) user_id: UserId,
    pub(super) currency: Currency,
    pub(super) created_at: Timestamp,
    pub(super) external_id: Option<String>,
    pub(super) sequence: Sequence,
    pub(super) transaction_id: Option<TransactionId>,
    pub(super) balance_after: Balance,
    pub(super) occurred_at: Timestamp,
    pub(super) hash: Hash,
    pub(super) kind: String,
    pub(super) data: String,
}

impl Journaled {
    /// The limits that the command put.
    pub(super) fn limits(&self) -> Option<LimitsChanged> {
        let kind = EventKind::LimitsChanged;
        if self.kind != kind.as_str() {
            return None;
        }
        let body = EventBody::from_parts(kind, &self.data, self.currency).ok()?;
        let EventBody::LimitsChanged(changed) = body else {
            return None;
        };
        Some(changed)
    }

    /// The wallet as the command left it; `updated` is what was said of it by then.
    pub(super) fn wallet(&self, unjournaled: &Unjournaled, updated: Option<&Updated>) -> Wallet {
        let Unjournaled {
            status,
            held,
            floor,
            overdrawn,
            freeze,
            transaction_id: _,
            hold: _,
            described_in,
            is_found: _,
        } = unjournaled.clone();
        let described = described_in.zip(updated);
        let description = described.map(|(said_in, updated)| Description {
            external_id: self.external_id.clone(),
            label: updated.label.clone(),
            metadata: Metadata(updated.metadata.clone()),
            said_in,
        });
        Wallet {
            id: self.id,
            user_id: self.user_id.clone(),
            currency: self.currency,
            status,
            freeze,
            balance: self.balance_after,
            held,
            floor,
            limits: None,
            overdrawn,
            version: self.sequence,
            head_hash: self.hash,
            created_at: self.created_at,
            updated_at: self.occurred_at,
            description: description.map(Arc::new),
        }
    }
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
    #[error("there is no hold that it names, or it cannot be read")]
    NoSuchHold,
    #[error("its event, wallet or transaction cannot be read")]
    Unreadable(#[source] Arc<sqlx::Error>),
}

/// The stored form of an answer.
pub fn encode(answer: &Answer) -> Vec<u8> {
    match answer {
        Answer::Accepted(receipt) => encode_receipt(receipt),
        Answer::Refused(refusal) => {
            let mut bytes = vec![FORMAT_VERSION, REFUSED];
            write_json(&mut bytes, refusal);
            bytes
        }
    }
}

/// The stored form of the answer to a command that was carried out.
pub fn encode_receipt(receipt: &Receipt) -> Vec<u8> {
    /// An accepted answer of a wallet that is as usual.
    const USUAL_LENGTH: usize = 2 + 16 + 8 + 8;
    let Wallet {
        id,
        user_id: _,
        currency: _,
        status,
        freeze,
        balance: _,
        held,
        floor,
        limits: _,
        overdrawn,
        version,
        head_hash,
        created_at: _,
        updated_at: _,
        description,
    } = &receipt.wallet;
    let mut bytes = Vec::with_capacity(USUAL_LENGTH);
    bytes.push(FORMAT_VERSION);
    bytes.push(if receipt.is_found { FOUND } else { ACCEPTED });
    bytes.extend_from_slice(id.uuid().as_bytes());
    bytes.extend_from_slice(&version.get().to_be_bytes());
    bytes.extend_from_slice(&head_hash.as_bytes()[..8]);
    let unjournaled = Unjournaled {
        status: *status,
        held: *held,
        floor: *floor,
        overdrawn: *overdrawn,
        freeze: freeze.clone(),
        transaction_id: transaction_beside_last_event(receipt),
        hold: receipt.hold.as_ref().map(|hold| HoldLeft::of(hold).into()),
        described_in: description.as_ref().map(|described| described.said_in),
        is_found: false,
    };
    if unjournaled != Unjournaled::default() {
        write_json(&mut bytes, &unjournaled);
    }
    bytes
}

fn write_json(bytes: &mut Vec<u8>, value: &impl Serialize) {
    let json = serde_json::to_writer(bytes, value);
    debug_assert!(
        json.is_ok(),
        "strings, numbers and enums always serialise: {json:?}"
    );
}

/// The transaction, when the event that the command left its wallet with is none of its legs.
fn transaction_beside_last_event(receipt: &Receipt) -> Option<TransactionId> {
    let Receipt {
        wallet,
        transaction,
        hold: _,
        is_found: _,
        limits: _,
    } = receipt;
    let transaction = transaction.as_ref()?;
    let mut legs = transaction.legs.iter();
    let is_last = legs.any(|leg| leg.wallet_id == wallet.id && leg.sequence == wallet.version);
    (!is_last).then_some(transaction.id)
}

/// A stored answer by itself, before the journal was read.
#[derive(Debug)]
pub(super) enum Decoded {
    Accepted(LastEvent, Unjournaled),
    Refused(Refusal),
}

pub(super) fn decode(bytes: &[u8]) -> Result<Decoded, UnreadableAnswer> {
    let (version, rest) = bytes.split_first().ok_or(UnreadableAnswer::Malformed)?;
    if *version != FORMAT_VERSION {
        return Err(UnreadableAnswer::UnknownVersion);
    }
    match rest.split_first().ok_or(UnreadableAnswer::Malformed)? {
        (&tag, rest) if matches!(tag, ACCEPTED | FOUND) => {
            let (wallet_id, rest) = take(rest)?;
            let (sequence, rest) = take(rest)?;
            let (hash_start, json) = take(rest)?;
            let last_event = LastEvent {
                wallet_id: WalletId::from_uuid(Uuid::from_bytes(wallet_id)),
                sequence: Sequence::try_from(i64::from_be_bytes(sequence))
                    .map_err(|_| UnreadableAnswer::Malformed)?,
                hash_start,
            };
            let mut unjournaled = match json {
                [] => Unjournaled::default(),
                json => serde_json::from_slice(json)?,
            };
            unjournaled.is_found = tag == FOUND;
            Ok(Decoded::Accepted(last_event, unjournaled))
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

#[cfg(test)]
mod tests;
