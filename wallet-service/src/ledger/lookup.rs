//! The writer's reads, on a connection of their own: they run while a batch is being written.
//!
//! A look-up is repeated until it succeeds. Callers who cannot wait that long go away, and their commands are dropped
//! before anything was decided about them.

use shared::WalletId;
use sqlx::{PgConnection, postgres::PgConnectOptions};
use tokio::time::{error::Elapsed, timeout};
use uuid::Uuid;

use super::{
    backoff::Backoff,
    batch::WRITE_TIMEOUT,
    command::Command,
    store::{self, StoredAnswer, TakenReference},
    wallet::Wallet,
};

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

    pub(super) async fn wallets(&mut self, ids: &[WalletId]) -> Vec<Wallet> {
        let ids: Vec<Uuid> = ids.iter().copied().map(WalletId::uuid).collect();
        loop {
            let connection = self.connected().await;
            let read = timeout(WRITE_TIMEOUT, store::read_wallets(connection, &ids)).await;
            if let Some(found) = self.checked(read) {
                return found;
            }
        }
    }

    /// What was answered under these keys; the two slices are columns.
    pub(super) async fn answers(
        &mut self,
        owners: &[String],
        keys: &[String],
    ) -> Vec<StoredAnswer> {
        loop {
            let connection = self.connected().await;
            let read = timeout(WRITE_TIMEOUT, store::read_answers(connection, owners, keys)).await;
            if let Some(found) = self.checked(read) {
                return found;
            }
        }
    }

    /// Which of these references are taken; the two slices are columns.
    pub(super) async fn references(
        &mut self,
        owners: &[String],
        references: &[String],
    ) -> Vec<TakenReference> {
        loop {
            let connection = self.connected().await;
            let read = timeout(
                WRITE_TIMEOUT,
                store::read_references(connection, owners, references),
            )
            .await;
            if let Some(found) = self.checked(read) {
                return found;
            }
        }
    }

    async fn connected(&mut self) -> &mut PgConnection {
        let mut pause = Backoff::default();
        while self.connection.is_none() {
            match store::connect(&self.database).await {
                Ok(connection) => self.connection = Some(connection),
                Err(error) => {
                    warn(&error, "the ledger cannot reach Postgres");
                    pause.wait().await;
                }
            }
        }
        match &mut self.connection {
            Some(connection) => connection,
            None => unreachable!("the loop above ends with a connection"),
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
