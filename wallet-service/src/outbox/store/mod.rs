//! Every statement of the outbox: [`rows`], who may send them ([`lease`]), what is known of the [`topics`], and what is
//! sent once more ([`republications`]).
//!
//! No call waits for ever. The server ends a statement first, then the client gives up, and both are long over when the
//! lease runs out: a connection that is frozen, or whose host died, costs its holder seconds.

pub mod lease;
pub mod republications;
pub mod rows;
pub mod topics;

use std::{future::Future, time::Duration};

use shared::server::postgres_error::PostgresErrorClass;
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

/// How long the server works on one statement.
const STATEMENT_TIMEOUT: &str = "3s";
/// How long a row that another session keeps locked is waited for.
const LOCK_TIMEOUT: &str = "1s";
/// How long an answer is waited for: longer than [`STATEMENT_TIMEOUT`], so that a server that answers says itself that it
/// took too long.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(4);

/// Opens a connection of the outbox. `options` say what the planner is told: its plans must not be made for the empty
/// table that the outbox mostly is.
pub async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let options = options.clone().options([
        ("statement_timeout", STATEMENT_TIMEOUT),
        ("lock_timeout", LOCK_TIMEOUT),
    ]);
    in_time(PgConnection::connect_with(&options)).await
}

/// The answer, or an error like that of a lost connection: what was asked may have been done. The connection must not be
/// used again.
pub(super) async fn in_time<T>(
    asking: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    match tokio::time::timeout(ANSWER_TIMEOUT, asking).await {
        Ok(answered) => answered,
        Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
    }
}

/// Whether the connection is of no more use.
pub(super) fn is_lost(error: &sqlx::Error) -> bool {
    PostgresErrorClass::of(error) == PostgresErrorClass::ConnectionLost
}
