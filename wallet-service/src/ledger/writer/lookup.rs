//! The writer's reads, on a connection of their own: they run while a batch is being written.
//!
//! A look-up is repeated for a while. When it cannot be made, nothing was decided yet, and callers can be told so.

use std::time::Duration;

use shared::{
    HoldId, Sequence, TransactionId, WalletId,
    server::{backoff::Backoff, outage::Outage},
};
use sqlx::{PgConnection, postgres::PgConnectOptions};
use tokio::time::Instant;

use crate::ledger::store::{
    answers::{
        StoredAnswers, read_answers,
        references::{TakenReference, read_references},
    },
    external_ids::{TakenExternalId, read_external_ids},
    holds::{HoldFound, read_holds},
    locks::is_lock,
    session::{in_time, open_for_reads},
    transactions::{FoundReversed, read_reversed},
    wallets::{WalletFound, read_contradicted, read_wallets},
};

/// How long a database that cannot be reached is asked before callers are told that nothing was done. Long enough for a
/// restart of a healthy server to go unnoticed by most, short beside what a caller waits.
pub(super) const REACH_TIMEOUT: Duration = Duration::from_secs(3);

/// Quick after a blip, easy on a database that is starting.
pub(super) fn backoff() -> Backoff {
    Backoff::new(Duration::from_millis(10), Duration::from_secs(1))
}

/// Why nothing was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unread {
    /// Postgres could not be asked for as long as is reasonable.
    Unreachable,
    /// A session keeps a whole table from being read.
    Locked,
}

/// See the module.
pub(super) struct Lookup {
    database: PgConnectOptions,
    connection: Option<PgConnection>,
    /// A call was not answered in time.
    hung: bool,
    outage: Outage,
}

impl Lookup {
    pub(super) const fn new(database: PgConnectOptions) -> Self {
        Self {
            database,
            connection: None,
            hung: false,
            outage: Outage::new("the ledger cannot read from Postgres"),
        }
    }

    /// Another connection was lost: this one may have been with it.
    pub(super) fn disconnect(&mut self) {
        self.connection = None;
    }

    /// Whether a call was not answered in time since this was asked last: other connections may hang as well.
    pub(super) fn has_hung(&mut self) -> bool {
        std::mem::take(&mut self.hung)
    }

    pub(super) async fn wallets(
        &mut self,
        ids: &[WalletId],
        until: Instant,
    ) -> Result<Vec<WalletFound>, Unread> {
        let mut tries = Tries::until(until);
        loop {
            let connection = self.connected(&mut tries).await?;
            let read = in_time(read_wallets(connection, ids)).await;
            if let Some(found) = self.checked(read)? {
                return Ok(found);
            }
        }
    }

    pub(super) async fn holds(
        &mut self,
        ids: &[HoldId],
        until: Instant,
    ) -> Result<Vec<HoldFound>, Unread> {
        let mut tries = Tries::until(until);
        loop {
            let connection = self.connected(&mut tries).await?;
            let read = in_time(read_holds(connection, ids)).await;
            if let Some(found) = self.checked(read)? {
                return Ok(found);
            }
        }
    }

    /// What was answered under these keys; the two slices are columns.
    pub(super) async fn answers(
        &mut self,
        owners: &[String],
        keys: &[String],
        until: Instant,
    ) -> Result<StoredAnswers, Unread> {
        let mut tries = Tries::until(until);
        loop {
            let connection = self.connected(&mut tries).await?;
            let read = in_time(read_answers(connection, owners, keys)).await;
            if let Some(found) = self.checked(read)? {
                return Ok(found);
            }
        }
    }

    /// Which of these references are taken; the two slices are columns.
    pub(super) async fn references(
        &mut self,
        owners: &[String],
        references: &[String],
        until: Instant,
    ) -> Result<Vec<TakenReference>, Unread> {
        let mut tries = Tries::until(until);
        loop {
            let connection = self.connected(&mut tries).await?;
            let read = in_time(read_references(connection, owners, references)).await;
            if let Some(found) = self.checked(read)? {
                return Ok(found);
            }
        }
    }

    /// Which of these names of wallets are taken; the two slices are columns.
    pub(super) async fn external_ids(
        &mut self,
        owners: &[String],
        external_ids: &[String],
        until: Instant,
    ) -> Result<Vec<TakenExternalId>, Unread> {
        let mut tries = Tries::until(until);
        loop {
            let connection = self.connected(&mut tries).await?;
            let read = in_time(read_external_ids(connection, owners, external_ids)).await;
            if let Some(found) = self.checked(read)? {
                return Ok(found);
            }
        }
    }

    /// What was taken back of these transactions.
    pub(super) async fn reversed(
        &mut self,
        ids: &[TransactionId],
        until: Instant,
    ) -> Result<Vec<FoundReversed>, Unread> {
        let mut tries = Tries::until(until);
        loop {
            let connection = self.connected(&mut tries).await?;
            let read = in_time(read_reversed(connection, ids)).await;
            if let Some(found) = self.checked(read)? {
                return Ok(found);
            }
        }
    }

    /// Which of these wallets the journal contradicts. Asked once: it is said again if need be.
    pub(super) async fn contradicted(
        &mut self,
        ids: &[WalletId],
    ) -> Result<Vec<(WalletId, Sequence)>, Unread> {
        let connection = self.connected(&mut Tries::until(Instant::now())).await?;
        let read = in_time(read_contradicted(connection, ids)).await;
        Ok(self.checked(read)?.unwrap_or_default())
    }

    async fn connected(&mut self, tries: &mut Tries) -> Result<&mut PgConnection, Unread> {
        loop {
            tries.next().await?;
            // Taken out and put back, because a reference that is returned would be held over the other tries.
            let connected = match self.connection.take() {
                Some(connection) => Ok(connection),
                None => open_for_reads(&self.database).await,
            };
            match connected {
                Ok(connection) => return Ok(self.connection.insert(connection)),
                Err(error) => self.outage.failed(&error),
            }
        }
    }

    /// What was read, or none, and no connection any more, when it could not be.
    fn checked<T>(&mut self, read: Result<T, sqlx::Error>) -> Result<Option<T>, Unread> {
        let error = match read {
            Ok(found) => {
                self.outage.worked();
                return Ok(Some(found));
            }
            Err(error) if is_lock(&error) => return Err(Unread::Locked),
            Err(error) => error,
        };
        self.outage.failed(&error);
        self.hung |= matches!(error, sqlx::Error::PoolTimedOut);
        self.connection = None;
        Ok(None)
    }
}

/// Counts the tries of one look-up: the first is made at once, and none after `until`.
struct Tries {
    until: Instant,
    pause: Option<Backoff>,
}

impl Tries {
    const fn until(until: Instant) -> Self {
        Self { until, pause: None }
    }

    async fn next(&mut self) -> Result<(), Unread> {
        match &mut self.pause {
            None => self.pause = Some(backoff()),
            Some(_) if Instant::now() >= self.until => return Err(Unread::Unreachable),
            Some(pause) => pause.wait().await,
        }
        Ok(())
    }
}
