//! What is forgotten when its time is over: answers whose keys have expired, and refusals that were kept long enough.
//!
//! Every instance does it, in small deletions with a pause between them, so that no batch waits for one: each stands for
//! itself, and what fails now is done the next time.

use std::time::Duration;

use shared::server::outage::Outage;
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tokio_util::sync::CancellationToken;

use super::store::{
    answers::delete_expired_answers,
    connect,
    refusals::{delete_old_refusals, delete_surplus_refusals},
};

/// They take only room, so a minute is often enough; seldom, it would be much at once.
const PURGE_EVERY: Duration = Duration::from_secs(60);
/// Rows in one deletion: a short statement.
const ROWS_MAX: i64 = 1_000;
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(50);
/// Wallets whose refusals came since then are looked at for more than they may have: a while longer than until the next look.
const LOOKED_BACK: Duration = Duration::from_secs(10 * 60);

/// See the module.
pub struct Purge {
    database: PgConnectOptions,
    refusals_kept_for: Duration,
    purging: Outage,
}

/// What is forgotten, one after the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Old {
    Answers,
    Refusals,
    /// More of a wallet than it may have.
    SurplusRefusals,
}

impl Purge {
    pub const fn new(database: PgConnectOptions, refusals_kept_for: Duration) -> Self {
        Self {
            database,
            refusals_kept_for,
            purging: Outage::new("what has expired cannot be forgotten"),
        }
    }

    /// Forgets what is old, for ever. May be cut anywhere.
    pub async fn run(self, stop: CancellationToken) {
        let purging = async {
            loop {
                match self.once().await {
                    Ok(0) => drop(self.purging.worked()),
                    Ok(rows) => {
                        self.purging.worked();
                        tracing::info!(rows, "what has expired was forgotten");
                    }
                    Err(error) => self.purging.failed(&error),
                }
                tokio::time::sleep(PURGE_EVERY).await;
            }
        };
        stop.run_until_cancelled(purging).await;
    }

    /// Forgets all that is old by now. Returns how many rows that were.
    ///
    /// # Errors
    /// When the database does not do it. What was forgotten by then stays so.
    pub async fn once(&self) -> Result<u64, sqlx::Error> {
        let mut connection = connect(&self.database).await?;
        let mut total = 0;
        for old in [Old::Answers, Old::Refusals, Old::SurplusRefusals] {
            loop {
                let deleted = self.delete_some(old, &mut connection).await?;
                total += deleted;
                if deleted < ROWS_MAX.unsigned_abs() {
                    break;
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
        connection.close().await?;
        Ok(total)
    }

    async fn delete_some(
        &self,
        old: Old,
        connection: &mut PgConnection,
    ) -> Result<u64, sqlx::Error> {
        match old {
            Old::Answers => delete_expired_answers(connection, ROWS_MAX).await,
            Old::Refusals => {
                delete_old_refusals(connection, self.refusals_kept_for, ROWS_MAX).await
            }
            Old::SurplusRefusals => {
                delete_surplus_refusals(connection, LOOKED_BACK, ROWS_MAX).await
            }
        }
    }
}
