//! Every refusal as a problem: the one place where an error of the domain meets a status.

use serde_json::json;
use shared::{
    page::InvalidCursor,
    problem::{FieldError, Problem, RETRY_AFTER_SECONDS},
    server::postgres_error::PostgresErrorClass,
};

use crate::{history::HistoryError, status::StatusError};

impl From<HistoryError> for Problem {
    fn from(error: HistoryError) -> Self {
        let said = sentence(&error);
        match error {
            HistoryError::WalletNotFound(_) => Self::not_found("wallet_not_found", said),
            HistoryError::TransactionNotFound(_) | HistoryError::TransactionIncomplete { .. } => {
                Self::not_found("transaction_not_found", said)
            }
            HistoryError::NotYetApplied { applied, .. } => {
                Self::new(409, "not_yet_applied", "Not yet applied", said)
                    .with_extra("applied_sequence", json!(applied))
                    .with_retry_after(RETRY_AFTER_SECONDS)
            }
            HistoryError::Cursor(error) => wrong_cursor(&error),
            HistoryError::Database(error) => unreadable(error),
        }
    }
}

impl From<StatusError> for Problem {
    fn from(error: StatusError) -> Self {
        match error {
            StatusError::Cursor(error) => wrong_cursor(&error),
            StatusError::Database(error) => unreadable(error),
        }
    }
}

fn wrong_cursor(error: &InvalidCursor) -> Problem {
    Problem::invalid(vec![FieldError::new(
        "cursor",
        "invalid_cursor",
        error.to_string(),
    )])
}

/// A database that is away will be back; a row that cannot be read, or a statement that is wrong, is our fault.
fn unreadable(error: sqlx::Error) -> Problem {
    if PostgresErrorClass::of(&error).is_own_fault() {
        Problem::internal().with_cause(error)
    } else {
        Problem::unavailable("History cannot be read at the moment.").with_cause(error)
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
