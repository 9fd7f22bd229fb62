//! The statements of the ledger, and what their failures say about a batch.
//!
//! - [`write_batch`] is the one statement that writes: [`rows`] has the batch as columns, [`mod@column`] a column as Postgres
//!   takes it, [`statement`] puts the text together.
//! - [`wallets`], [`holds`], [`transactions`], [`external_ids`], [`answers`]: what the writer reads. [`query`]: what callers may look at, and
//!   [`listed`] a page of it.
//! - [`session`]: the writer's sessions and their limits. [`locks`]: what other sessions keep locked.
//! - [`consistency`]: what the service reads to check itself.
//! - [`refusals`]: what was refused, kept for a while.
//! - [`due`]: what the clock brings.
//! - [`shard_lease`]: which settlement wallets are this instance's.
//!
//! Statements are checked at run time, not by macros, so that a build needs no database; each is run by a test.

pub mod answers;
pub mod column;
pub mod consistency;
pub mod due;
pub mod external_ids;
mod hold_places;
pub mod holds;
pub mod listed;
pub mod locks;
pub mod query;
pub mod refusals;
pub mod rows;
pub mod session;
pub mod shard_lease;
pub mod statement;
pub mod test_clock;
pub mod transactions;
mod wallet_column;
pub mod wallets;
pub mod write_batch;

use std::time::Duration;

use shared::server::postgres_error::{PostgresErrorClass, constraint_hint, is_state};
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

/// How a statement of the write path failed, by what that says about the batch.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Another instance was faster. Nothing was written; decide again.
    #[error("another writer was faster")]
    Conflict(#[source] sqlx::Error),
    /// A caller asks for something that was answered before. Nothing was written; decide again.
    #[error("a key was used before")]
    KeyUsed(#[source] sqlx::Error),
    /// Another session keeps a row locked for longer than a ledger does. Nothing was written.
    #[error("a row is locked for too long")]
    Locked(#[source] sqlx::Error),
    /// The connection ended before the answer came. The batch may or may not be there; look.
    #[error("the connection was lost")]
    ConnectionLost(#[source] sqlx::Error),
    /// Postgres takes no writes at this moment. Nothing was written.
    #[error("Postgres cannot write now")]
    NotNow(#[source] sqlx::Error),
    /// There is no connection to send anything on. Nothing was written.
    #[error("Postgres cannot be reached")]
    Unreachable(#[source] sqlx::Error),
    /// Postgres refused a value. Nothing was written, and nothing will be by trying again.
    #[error("the statement was refused")]
    Refused(#[source] sqlx::Error),
}

/// Raised by the batch statement when a wallet is not at the version that was decided on.
const VERSION_GUARD: &str = "WV409";

impl From<sqlx::Error> for WriteError {
    fn from(error: sqlx::Error) -> Self {
        if is_state(&error, VERSION_GUARD) {
            return Self::Conflict(error);
        }
        match PostgresErrorClass::of(&error) {
            PostgresErrorClass::Duplicate
                if constraint_hint(&error) == Some("idempotency_keys_pkey") =>
            {
                Self::KeyUsed(error)
            }
            // Locks and a look at what is there settle all of these, also a key that was used before.
            PostgresErrorClass::Duplicate | PostgresErrorClass::Contention => Self::Conflict(error),
            PostgresErrorClass::OutOfResources | PostgresErrorClass::ReadOnly => {
                Self::NotNow(error)
            }
            PostgresErrorClass::TimedOut => Self::Locked(error),
            PostgresErrorClass::ConnectionLost => Self::ConnectionLost(error),
            PostgresErrorClass::Denied => Self::Unreachable(error),
            PostgresErrorClass::RefusedValue | PostgresErrorClass::Defect => Self::Refused(error),
        }
    }
}

/// Opens a connection of the write path for other work than the writer's, which has [`session`]. `options` say what the
/// planner is told ([`crate::config::PLANNER`]).
pub async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let options = options.clone().options([
        // A wallet that another session keeps locked must not stop the others for long.
        ("lock_timeout", "1s"),
        ("statement_timeout", "10s"),
        ("idle_in_transaction_session_timeout", "10s"),
    ]);
    match tokio::time::timeout(Duration::from_secs(5), PgConnection::connect_with(&options)).await {
        Ok(connected) => connected,
        Err(_) => Err(sqlx::Error::PoolTimedOut),
    }
}

#[cfg(test)]
mod tests {
    use std::{borrow::Cow, error::Error, fmt};

    use sqlx::error::{DatabaseError, ErrorKind};

    use super::*;

    /// What a server may say: a state, and maybe the constraint.
    #[derive(Debug)]
    struct Said(&'static str, Option<&'static str>);

    impl fmt::Display for Said {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Said {}

    impl DatabaseError for Said {
        fn message(&self) -> &str {
            self.0
        }

        fn code(&self) -> Option<Cow<'_, str>> {
            Some(self.0.into())
        }

        fn constraint(&self) -> Option<&str> {
            self.1
        }

        fn as_error(&self) -> &(dyn Error + Send + Sync + 'static) {
            self
        }

        fn as_error_mut(&mut self) -> &mut (dyn Error + Send + Sync + 'static) {
            self
        }

        fn into_error(self: Box<Self>) -> Box<dyn Error + Send + Sync + 'static> {
            self
        }

        fn kind(&self) -> ErrorKind {
            ErrorKind::Other
        }
    }

    fn failed(state: &'static str, constraint: Option<&'static str>) -> WriteError {
        sqlx::Error::Database(Box::new(Said(state, constraint))).into()
    }

    #[test]
    fn a_duplicate_is_decided_again_whether_or_not_the_server_names_the_constraint() {
        let key = failed("23505", Some("idempotency_keys_pkey"));
        assert!(matches!(key, WriteError::KeyUsed(_)), "{key:?}");
        let wallet = failed("23505", Some("wallets_pkey"));
        assert!(matches!(wallet, WriteError::Conflict(_)), "{wallet:?}");
        // The second attempt looks the keys up, so a replay is found all the same.
        let unnamed = failed("23505", None);
        assert!(matches!(unnamed, WriteError::Conflict(_)), "{unnamed:?}");
    }

    #[test]
    fn the_version_guard_is_a_conflict_and_an_unknown_state_a_refusal() {
        let guard = failed(VERSION_GUARD, None);
        assert!(matches!(guard, WriteError::Conflict(_)), "{guard:?}");
        let unknown = failed("WV999", None);
        assert!(matches!(unknown, WriteError::Refused(_)), "{unknown:?}");
    }
}
