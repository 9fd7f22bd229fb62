//! Every refusal as a problem: the one place where an error of the domain meets a code.

use serde_json::json;
use shared::{
    problem::{Code, Problem},
    server::postgres_error::PostgresErrorClass,
};

use crate::{history::HistoryError, status::StatusError};

impl From<HistoryError> for Problem {
    fn from(error: HistoryError) -> Self {
        let said = sentence(&error);
        match error {
            HistoryError::WalletNotFound(_) => Self::new(Code::WalletNotFound, said),
            HistoryError::TransactionNotFound(_) | HistoryError::TransactionIncomplete { .. } => {
                Self::new(Code::TransactionNotFound, said)
            }
            HistoryError::NotYetApplied { applied, .. } => {
                Self::new(Code::NotYetApplied, said).with_extra("applied_sequence", json!(applied))
            }
            HistoryError::Cursor(error) => error.into(),
            HistoryError::Database(error) => {
                unreadable(PostgresErrorClass::of(&error)).with_cause(error)
            }
        }
    }
}

impl From<StatusError> for Problem {
    fn from(error: StatusError) -> Self {
        match error {
            StatusError::Cursor(error) => error.into(),
            StatusError::Database(error) => {
                unreadable(PostgresErrorClass::of(&error)).with_cause(error)
            }
        }
    }
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
fn sentence(error: &HistoryError) -> String {
    let text = error.to_string();
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), characters.as_str()),
        None => text,
    }
}
