//! The writer's reads, on a connection of their own: they run while a batch is being written.
//!
//! A look-up is repeated for a while. When it cannot be made, nothing was decided yet, and callers can be told so.

use std::time::Duration;

use shared::{WalletId, server::backoff::Backoff};
use sqlx::{PgConnection, postgres::PgConnectOptions};
use tokio::time::{Instant, error::Elapsed, timeout};

use super::batch::WRITE_TIMEOUT;
use crate::ledger::{
    model::{command::Command, wallet::Wallet},
    store::{
        self,
        answers::{StoredAnswers, read_answers},
        transactions::{TakenReference, read_references},
        wallets::read_wallets,
    },
};

/// How long a database that cannot be reached is asked before callers are told that nothing was done. Long enough for a
/// restart of a healthy server to go unnoticed by most, short beside what a caller waits.
pub(super) const REACH_TIMEOUT: Duration = Duration::from_secs(3);

/// Quick after a blip, easy on a database that is starting.
pub(super) fn backoff() -> Backoff {
    Backoff::new(Duration::from_millis(10), Duration::from_secs(1))
}

/// Postgres could not be read for as long as is reasonable.
#[derive(Debug)]
pub(super) struct Unreachable;

/// See the module.
pub(super) struct Lookup {
    database: PgConnectOptions,
    connection: Option<PgConnection>,
}

impl Lookup {
    pub(super) const fn new(database: PgConnectOptions) -> Self {
        Self {
            database,
            connection: None,
        }
    }

    pub(super) async fn wallets(&mut self, ids: &[WalletId]) -> Result<Vec<Wallet>, Unreachable> {
        let mut tries = Tries::start();
        loop {
            let connection = self.connected(&mut tries).await?;
            let read = timeout(WRITE_TIMEOUT, read_wallets(connection, ids)).await;
            if let Some(found) = self.checked(read) {
                return Ok(found);
            }
        }
    }

    /// What was answered under these keys; the two slices are columns.
    pub(super) async fn answers(
        &mut self,
        owners: &[String],
        keys: &[String],
    ) -> Result<StoredAnswers, Unreachable> {
        let mut tries = Tries::start();
        loop {
            let connection = self.connected(&mut tries).await?;
            let read = timeout(WRITE_TIMEOUT, read_answers(connection, owners, keys)).await;
            if let Some(found) = self.checked(read) {
                return Ok(found);
            }
        }
    }

    /// Which of these references are taken; the two slices are columns.
    pub(super) async fn references(
        &mut self,
        owners: &[String],
        references: &[String],
    ) -> Result<Vec<TakenReference>, Unreachable> {
        let mut tries = Tries::start();
        loop {
            let connection = self.connected(&mut tries).await?;
            let read = timeout(
                WRITE_TIMEOUT,
                read_references(connection, owners, references),
            )
            .await;
            if let Some(found) = self.checked(read) {
                return Ok(found);
            }
        }
    }

    async fn connected(&mut self, tries: &mut Tries) -> Result<&mut PgConnection, Unreachable> {
        loop {
            tries.next().await?;
            // Taken out and put back, because a reference that is returned would be held over the other tries.
            let connected = match self.connection.take() {
                Some(connection) => Ok(connection),
                None => store::connect(&self.database).await,
            };
            match connected {
                Ok(connection) => return Ok(self.connection.insert(connection)),
                Err(error) => warn(&error, "the ledger cannot reach Postgres"),
            }
        }
    }

    /// What was read, or none, and no connection any more, when it could not be.
    fn checked<T>(&mut self, read: Result<Result<T, sqlx::Error>, Elapsed>) -> Option<T> {
        let error = match read {
            Ok(Ok(found)) => return Some(found),
            Ok(Err(error)) => error,
            Err(_) => sqlx::Error::PoolTimedOut,
        };
        warn(&error, "a read of the ledger failed");
        self.connection = None;
        None
    }
}

/// Counts the tries of one look-up: the first is made at once, and none after [`REACH_TIMEOUT`].
struct Tries {
    until: Instant,
    pause: Option<Backoff>,
}

impl Tries {
    fn start() -> Self {
        Self {
            until: Instant::now() + REACH_TIMEOUT,
            pause: None,
        }
    }

    async fn next(&mut self) -> Result<(), Unreachable> {
        match &mut self.pause {
            None => self.pause = Some(backoff()),
            Some(_) if Instant::now() >= self.until => return Err(Unreachable),
            Some(pause) => pause.wait().await,
        }
        Ok(())
    }
}

/// A function, because the error must not live across an await.
fn warn(error: &sqlx::Error, message: &str) {
    tracing::warn!(error = error as &dyn std::error::Error, "{message}");
}

/// The keys of these commands, as two columns.
pub(super) fn keys<'a>(commands: impl Iterator<Item = &'a Command>) -> (Vec<String>, Vec<String>) {
    let owned = |command: &Command| {
        let key = command.key.as_ref()?;
        Some((command.caller.owner.clone(), key.as_str().to_owned()))
    };
    commands.filter_map(owned).unzip()
}

/// The references of these commands, as two columns.
pub(super) fn references<'a>(
    commands: impl Iterator<Item = &'a Command>,
) -> (Vec<String>, Vec<String>) {
    let owned = |command: &Command| {
        let reference = command.reference()?;
        Some((command.caller.owner.clone(), reference.to_owned()))
    };
    commands.filter_map(owned).unzip()
}
