//! Every refusal as a problem: the one place where an error of the domain meets a code.

use serde_json::json;
use shared::{
    UserId,
    problem::{Code, Problem},
    server::postgres_error::PostgresErrorClass,
};

use crate::{
    history::{AmountUnfit, Archived, Behind, HistoryError, Lacking, live::NoRoom},
    ingest::{batch::BatchError, refill::OrderError, upkeep::ResolveError},
    status::StatusError,
};

impl From<HistoryError> for Problem {
    fn from(error: HistoryError) -> Self {
        let said = sentence(&error);
        match error {
            HistoryError::WalletNotFound(_) => {
                not_found("wallet_id", Code::WalletNotFound, said, "names no wallet")
            }
            HistoryError::TransactionNotFound(_) => not_found(
                "transaction_id",
                Code::TransactionNotFound,
                said,
                "names no transaction",
            ),
            HistoryError::TransactionIncomplete { .. } => not_found(
                "transaction_id",
                Code::TransactionNotFound,
                said,
                "names a transaction of which some legs have not arrived",
            ),
            HistoryError::TransactionArchived { .. } => not_found(
                "transaction_id",
                Code::TransactionNotFound,
                said,
                "names a transaction that may be in an archive",
            ),
            HistoryError::Archived(Archived { wallet, to, until }) => {
                Self::new(Code::Archived, said)
                    .with_extra("wallet_id", json!(wallet))
                    .with_extra("archived_to_sequence", json!(to))
                    .with_extra("archived_until", json!(until))
            }
            HistoryError::Behind(behind) => history_behind(&behind, said),
            HistoryError::BeforeFirstEvent(_) | HistoryError::BeforeFirstEventOf(_) => {
                Self::new(Code::BeforeFirstEvent, said)
            }
            HistoryError::Cursor(error) => error.into(),
            HistoryError::Amount(AmountUnfit { parameter, why }) => {
                Self::invalid_field(parameter, Code::from(&why), why.to_string())
            }
            HistoryError::NoRoom(NoRoom::OfAll) => Self::new(Code::StreamsFull, said),
            HistoryError::NoRoom(NoRoom::OfCaller(_)) => Self::new(Code::TooManyStreams, said),
            HistoryError::TooManyWallets(_) => Self::new(Code::TooManyWallets, said),
            HistoryError::Database(error) => {
                unreadable(PostgresErrorClass::of(&error)).with_cause(error)
            }
        }
    }
}

impl From<OrderError> for Problem {
    fn from(error: OrderError) -> Self {
        match error {
            OrderError::NoLedger => Self::new(
                Code::LedgerNotSet,
                "LEDGER_URL is not set: history cannot ask the ledger. Set it, or run walletctl republish.",
            ),
            OrderError::Database(error) => {
                let class = PostgresErrorClass::of(&error);
                if class.is_own_fault() {
                    Self::internal().with_cause(error)
                } else {
                    Self::unavailable("History cannot be written at the moment; nothing was done.")
                        .with_cause(error)
                }
            }
        }
    }
}

impl From<StatusError> for Problem {
    fn from(error: StatusError) -> Self {
        match error {
            StatusError::Cursor(error) => error.into(),
            StatusError::NotFound(_) => no_message(sentence(&error)),
            StatusError::NoOrder(_) => {
                let said = sentence(&error);
                not_found("id", Code::OrderNotFound, said, "names no order")
            }
            StatusError::Database(error) => {
                unreadable(PostgresErrorClass::of(&error)).with_cause(error)
            }
        }
    }
}

impl From<ResolveError> for Problem {
    fn from(error: ResolveError) -> Self {
        let said = sentence(&error);
        match error {
            ResolveError::NotFound(_) => no_message(said),
            ResolveError::AlreadyResolved { .. } => Self::new(Code::AlreadyResolved, said),
            ResolveError::Busy => Self::new(Code::Overloaded, said),
            ResolveError::Database(error) => unsettled(&error).with_cause(error),
        }
    }
}

/// Says how far it is: of the one wallet that was asked for, or of each that lacks something.
fn history_behind(behind: &Behind, said: String) -> Problem {
    let Behind {
        asked,
        lacking,
        lag,
    } = behind;
    let events = lacking.iter().map(Lacking::events).max();
    let lag = json!({"events": events.unwrap_or_default(), "seconds": lag.as_secs()});
    let problem = Problem::new(Code::HistoryBehind, said).with_extra("lag", lag);
    match lacking.as_slice() {
        [one] if *asked == 1 => problem.with_extra("applied_sequence", json!(one.applied)),
        several => {
            let told = several.iter().map(|lacking| {
                let Lacking {
                    wallet,
                    applied,
                    wanted,
                } = lacking;
                json!({"wallet_id": wallet, "min_sequence": wanted, "applied_sequence": applied})
            });
            problem.with_extra("behind", told.collect())
        }
    }
}

/// In place of a user whom the caller does not reach, whether or not there is one.
pub(super) fn user_not_found(user: &UserId) -> Problem {
    let code = Code::UserNotFound;
    let said = format!("There is no user {user}.");
    not_found("user_id", code, said, "names no user")
}

fn no_message(said: String) -> Problem {
    not_found("id", Code::MessageNotFound, said, "names no message")
}

/// Names the parameter of the path by which the caller chose what is not there.
fn not_found(parameter: &str, code: Code, said: String, message: &str) -> Problem {
    Problem::new(code, said).with_error(parameter, code, message)
}

/// Asking again tells whether it was done: a message is settled once.
fn unsettled(error: &BatchError) -> Problem {
    if let BatchError::Unavailable(cause) = error
        && PostgresErrorClass::of(cause).is_own_fault()
    {
        return Problem::internal();
    }
    Problem::unavailable(
        "The quarantine cannot be settled at the moment. Ask again: a message is settled once.",
    )
}

/// A database that is away will be back; a row that cannot be read, or a statement that is wrong, is our fault.
fn unreadable(class: PostgresErrorClass) -> Problem {
    if class.is_own_fault() {
        Problem::internal()
    } else {
        Problem::unavailable("History cannot be read at the moment.")
    }
}

/// Error texts begin small and end without a full stop; a detail is a sentence.
fn sentence(error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), characters.as_str()),
        None => text,
    }
}
