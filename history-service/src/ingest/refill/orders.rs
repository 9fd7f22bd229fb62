//! What people ask for: a comparison, one wallet, or the ledger's word against history's.

use std::time::Duration;

use shared::WalletId;
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

use super::SERVER_LIMITS;
use crate::ingest::store::{RepairOf, Requested, orders};

const TIMEOUT: Duration = Duration::from_secs(8);

/// Takes orders into the database, on a connection made for each: they are rare, and what serves requests only reads.
#[derive(Clone, Debug)]
pub struct Orders {
    options: PgConnectOptions,
    has_ledger: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    #[error("LEDGER_URL is not set: history cannot ask the ledger")]
    NoLedger,
    #[error("history cannot be written")]
    Database(#[from] sqlx::Error),
}

/// That the ledger wins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Repair {
    pub of: RepairOf,
    pub reason: String,
    pub actor: String,
}

impl Orders {
    pub fn new(options: PgConnectOptions, has_ledger: bool) -> Self {
        Self {
            options: options.options(SERVER_LIMITS),
            has_ledger,
        }
    }

    /// All wallets are compared with the ledger, and those that differ are brought to its state.
    pub async fn rebuild_all(
        &self,
        reason: String,
        actor: String,
    ) -> Result<Requested, OrderError> {
        self.order(async move |connection| {
            orders::request_rebuild(connection, &reason, &actor).await
        })
        .await
    }

    /// One wallet is brought to the ledger's state, in all its rows.
    pub async fn rebuild(
        &self,
        wallet: WalletId,
        reason: String,
        actor: String,
    ) -> Result<Requested, OrderError> {
        self.order(async move |connection| {
            orders::request_wallet(connection, wallet, &reason, &actor).await
        })
        .await
    }

    /// Gives the wallets that are repaired now; no order when there are none.
    pub async fn repair(
        &self,
        repair: Repair,
    ) -> Result<Option<(Requested, Vec<WalletId>)>, OrderError> {
        self.order(async move |connection| {
            let Repair { of, reason, actor } = &repair;
            orders::request_repair(connection, *of, reason, actor).await
        })
        .await
    }

    /// Ends a comparison of all wallets: it is not made any more. Needs no ledger, for it is what is left without one.
    pub async fn end(&self, rebuild: i64, reason: String, actor: String) -> Result<(), OrderError> {
        self.write(async move |connection| {
            orders::end_rebuild(connection, rebuild, &reason, &actor).await
        })
        .await
    }

    async fn order<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> Result<T, OrderError> {
        if !self.has_ledger {
            return Err(OrderError::NoLedger);
        }
        self.write(work).await
    }

    async fn write<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> Result<T, OrderError> {
        // Statements that commit by themselves: a request that is dropped leaves no transaction open.
        let done = tokio::time::timeout(TIMEOUT, async {
            let mut connection = PgConnection::connect_with(&self.options).await?;
            work(&mut connection).await
        });
        match done.await {
            Ok(done) => Ok(done?),
            Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()).into()),
        }
    }
}
