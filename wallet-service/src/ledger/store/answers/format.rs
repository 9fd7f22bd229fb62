//! The stored form of an answer.
//!
//! ```text
//! accepted  version 1 byte, 0, wallet id 16 bytes, sequence 8 bytes big-endian, 8 bytes of the event's hash, JSON or nothing
//! refused   version 1 byte, 1, JSON
//! ```

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use shared::{
    Balance, Currency, Hash, Sequence, Timestamp, TransactionId, UserId, WalletId, money::as_minor,
};
use uuid::Uuid;

use crate::ledger::model::{
    answer::{Answer, Receipt, Refusal},
    freeze::Freeze,
    wallet::{Status, Wallet},
};

/// The first byte of a stored answer.
pub const FORMAT_VERSION: u8 = 1;

const ACCEPTED: u8 = 0;
const REFUSED: u8 = 1;

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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) freeze: Option<Box<Freeze>>,
    /// Of a command whose last event is no leg of its transaction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) transaction_id: Option<TransactionId>,
}

impl Default for Unjournaled {
    fn default() -> Self {
        Self {
            status: Status::Active,
            held: Balance::ZERO,
            floor: Some(Balance::ZERO),
            freeze: None,
            transaction_id: None,
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
    pub(super) sequence: Sequence,
    pub(super) transaction_id: Option<TransactionId>,
    pub(super) balance_after: Balance,
    pub(super) occurred_at: Timestamp,
    pub(super) hash: Hash,
}

impl Journaled {
    /// The wallet as the command left it.
    pub(super) fn wallet(&self, unjournaled: &Unjournaled) -> Wallet {
        let Unjournaled {
            status,
            held,
            floor,
            freeze,
            transaction_id: _,
        } = unjournaled.clone();
        Wallet {
            id: self.id,
            user_id: self.user_id.clone(),
            currency: self.currency,
            status,
            freeze,
            balance: self.balance_after,
            held,
            floor,
            version: self.sequence,
            head_hash: self.hash,
            created_at: self.created_at,
            updated_at: self.occurred_at,
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
                freeze,
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
                freeze: freeze.clone(),
                transaction_id: transaction_beside_last_event(receipt),
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

/// The transaction, when the event that the command left its wallet with is none of its legs.
fn transaction_beside_last_event(receipt: &Receipt) -> Option<TransactionId> {
    let Receipt {
        wallet,
        transaction,
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
        (&ACCEPTED, rest) => {
            let (wallet_id, rest) = take(rest)?;
            let (sequence, rest) = take(rest)?;
            let (hash_start, json) = take(rest)?;
            let last_event = LastEvent {
                wallet_id: WalletId::from_uuid(Uuid::from_bytes(wallet_id)),
                sequence: Sequence::try_from(i64::from_be_bytes(sequence))
                    .map_err(|_| UnreadableAnswer::Malformed)?,
                hash_start,
            };
            let unjournaled = match json {
                [] => Unjournaled::default(),
                json => serde_json::from_slice(json)?,
            };
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
mod tests {
    use shared::{
        Amount, Currency,
        event::{Details, FreezeDirection},
    };

    use super::*;
    use crate::ledger::model::{
        answer::{Leg, Receipt, Role, Transaction, TransactionKind},
        freeze::FreezeTold,
        wallet::{NewWallet, WalletCurrency},
    };

    fn currency(code: &str) -> Currency {
        code.parse().unwrap()
    }

    fn wallet_id() -> WalletId {
        "01990000-0000-7000-8000-00000000000a".parse().unwrap()
    }

    fn usual() -> Wallet {
        let moment = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let new = NewWallet::new(
            "alice".parse().unwrap(),
            WalletCurrency::Named(currency("USD")),
        );
        Wallet {
            balance: Balance::new(7_000),
            version: Sequence::try_from(3).unwrap(),
            head_hash: Hash::try_from([0xab; 32].as_slice()).unwrap(),
            ..Wallet::before_first_event(wallet_id(), new, moment.into())
        }
    }

    fn accepted(wallet: Wallet) -> Answer {
        Answer::Accepted(Receipt {
            wallet,
            transaction: None,
        })
    }

    fn freeze() -> Freeze {
        let moment = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        Freeze {
            direction: FreezeDirection::Debit,
            reason: "stolen".to_owned(),
            actor: "shop".to_owned(),
            since: moment.into(),
            until: Some((moment + chrono::Duration::days(1)).into()),
        }
    }

    /// The answer to a command that drained the wallet before it closed it.
    fn drained() -> Answer {
        let wallet = Wallet {
            status: Status::Closed,
            ..usual()
        };
        let leg = Leg {
            wallet_id: wallet.id,
            user_id: wallet.user_id.clone(),
            sequence: Sequence::FIRST.next(),
            amount: Amount::try_new(7_000).unwrap().debit(),
            balance_after: Balance::ZERO,
        };
        let transaction = Transaction {
            id: "01990000-0000-7000-8000-00000000000b".parse().unwrap(),
            kind: TransactionKind::Close,
            wallet_id: wallet.id,
            user_id: wallet.user_id.clone(),
            currency: wallet.currency,
            amount: Amount::try_new(7_000).unwrap(),
            details: Details::default(),
            occurred_at: wallet.updated_at,
            legs: vec![leg],
        };
        Answer::Accepted(Receipt {
            wallet,
            transaction: Some(transaction),
        })
    }

    /// Every kind of refusal that is stored.
    fn refusals() -> Vec<Refusal> {
        let role = Role::Destination;
        let transaction_id: TransactionId = "01990000-0000-7000-8000-00000000000b".parse().unwrap();
        vec![
            Refusal::WalletNotFound {
                wallet_id: wallet_id(),
                role: Role::Wallet,
            },
            Refusal::VersionMismatch {
                current: Sequence::FIRST,
            },
            Refusal::SameWallet,
            Refusal::SettlementWallet { role },
            Refusal::CurrencyMismatch {
                role,
                expected: currency("USD"),
                actual: currency("JPY"),
            },
            Refusal::AmountTooPrecise {
                currency: currency("JPY"),
            },
            Refusal::AmountOutOfRange,
            Refusal::AmountAboveMaximum {
                currency: currency("USD"),
                maximum: Amount::try_new(1_000).unwrap(),
            },
            Refusal::ReferenceExists { transaction_id },
            Refusal::WalletNotActive {
                role: Role::Settlement,
                status: Status::Frozen,
                freeze: None,
            },
            Refusal::InsufficientFunds {
                currency: currency("USD"),
                required: Amount::try_new(1_001).unwrap(),
                available: Balance::new(1_000),
            },
            Refusal::BalanceOverflow { role },
            Refusal::UserNotFound {
                user_id: "alice".parse().unwrap(),
            },
            Refusal::ServiceTokenRequired,
            Refusal::WalletNotActive {
                role: Role::DrainTo,
                status: Status::Frozen,
                freeze: Some(Box::new(FreezeTold::of(&freeze(), true))),
            },
            Refusal::NotFrozen,
            Refusal::FreezeEndPassed {
                now: freeze().since,
            },
            Refusal::WalletNotEmpty {
                currency: currency("USD"),
                balance: Balance::new(7_000),
                held: Balance::new(500),
            },
            Refusal::DrainToItself,
        ]
    }

    #[test]
    fn the_stored_form_of_every_answer_is_pinned() {
        let unusual = Wallet {
            status: Status::Closed,
            held: Balance::new(5),
            floor: None,
            ..usual()
        };
        let frozen = Wallet {
            status: Status::Frozen,
            freeze: Some(Box::new(freeze())),
            ..usual()
        };
        let answers = [accepted(usual()), accepted(unusual)]
            .into_iter()
            .chain(refusals().into_iter().map(Answer::Refused))
            .chain([accepted(frozen), drained()]);
        let stored: Vec<String> = answers
            .map(|answer| encode(&answer).escape_ascii().to_string())
            .collect();
        insta::assert_snapshot!(stored.join("\n"));
    }

    #[test]
    fn what_is_stored_is_read_again() {
        for refusal in refusals() {
            match decode(&encode(&Answer::Refused(refusal.clone()))) {
                Ok(Decoded::Refused(read)) => assert_eq!(read, refusal),
                other => panic!("{other:?}"),
            }
        }
        let held = Balance::new(5);
        let wallet = Wallet { held, ..usual() };
        match decode(&encode(&accepted(wallet.clone()))) {
            Ok(Decoded::Accepted(last_event, unjournaled)) => {
                let place = (
                    last_event.wallet_id,
                    last_event.sequence,
                    last_event.hash_start,
                );
                assert_eq!(place, (wallet.id, wallet.version, [0xab; 8]));
                let usual = Unjournaled::default();
                assert_eq!(unjournaled, Unjournaled { held, ..usual });
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_another_build_or_a_fault_left_is_an_error_and_no_answer() {
        let good = encode(&accepted(usual()));
        for length in 0..good.len() {
            let cut = decode(&good[..length]);
            assert!(matches!(cut, Err(UnreadableAnswer::Malformed)), "{cut:?}");
        }
        let mut later = good;
        later[0] = FORMAT_VERSION + 1;
        let unknown = decode(&later);
        assert!(matches!(unknown, Err(UnreadableAnswer::UnknownVersion)));
        for garbage in [
            &b"\x01\x02"[..],
            b"\x01\x01{",
            b"\x01\x01{\"reason\":\"boredom\"}",
        ] {
            assert!(decode(garbage).is_err(), "{garbage:?}");
        }
    }
}
