//! The sums of reports are what the events come to, also after rows were lost and came back.
//!
//! An event is counted once, when it is written. Of one that comes back beside the stream nothing here tells whether it was
//! counted before its row was lost: a backup knows nothing of it, and a row that somebody deleted was counted. So when an order
//! is done, and some time after rows came back by themselves, every event is counted anew, and what was wrong is put right by
//! the difference. That is one statement that reads, with a last moment in which it writes: nobody waits for it. It is done
//! whole or not at all, so an instance that ends leaves it to the others or to its next start.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use shared::server::{backoff::Backoff, outage::Outage};
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::CancellationToken;

use super::store::recounts;

/// It takes as long as there are events.
const SERVER_LIMITS: [(&str, &str); 2] = [("statement_timeout", "0"), ("lock_timeout", "5s")];
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// How long after the last row that came back by itself: it reads every event, and more of them may come.
pub(super) const CALM: Duration = Duration::from_secs(10 * 60);

/// The task. It is rung when it is due, and has no connection in between.
pub struct Recounter {
    options: PgConnectOptions,
    due: Arc<Notify>,
    shutdown: CancellationToken,
}

#[derive(Debug, thiserror::Error)]
enum RecountError {
    #[error("the database does not take part")]
    Database(#[from] sqlx::Error),
    #[error("the database does not answer")]
    TimedOut,
}

impl Recounter {
    pub fn new(options: PgConnectOptions, shutdown: CancellationToken) -> Self {
        Self {
            options: options
                .application_name("history-service recount")
                .options(SERVER_LIMITS),
            due: Arc::default(),
            shutdown,
        }
    }

    /// What rings it.
    pub(super) fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.due)
    }

    /// Until the shutdown. What is cut off by it is not committed.
    pub async fn run(self) {
        let shutdown = self.shutdown.clone();
        shutdown.run_until_cancelled(self.turns()).await;
    }

    async fn turns(self) {
        let outage = Outage::new("the sums of reports cannot be counted anew");
        let mut backoff = Backoff::new(RETRY_MIN, RETRY_MAX);
        loop {
            self.due.notified().await;
            match self.turn().await {
                Ok(()) => {
                    outage.worked();
                    backoff = Backoff::new(RETRY_MIN, RETRY_MAX);
                }
                Err(error) => {
                    outage.failed(&error);
                    tokio::time::sleep(backoff.next_pause()).await;
                }
            }
        }
    }

    /// Counts, unless another instance does.
    async fn turn(&self) -> Result<(), RecountError> {
        let connecting = PgConnection::connect_with(&self.options);
        let mut connection = timeout(CONNECT_TIMEOUT, connecting)
            .await
            .map_err(|_| RecountError::TimedOut)??;
        if recounts::claim(&mut connection).await? {
            let begun = Instant::now();
            let mended = count(&mut connection).await?;
            let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            if mended > 0 {
                tracing::warn!(sums = mended, took_ms, "sums of reports were put right");
            } else {
                tracing::info!(took_ms, "the sums of reports are what the events come to");
            }
        }
        Ok(connection.close().await?)
    }
}

/// Says how many sums were wrong.
async fn count(connection: &mut PgConnection) -> sqlx::Result<i64> {
    let asked = recounts::asked(connection).await?;
    let months = recounts::recount_months(connection).await?;
    let mut transaction = connection.begin().await?;
    let mended = recounts::recount(&mut transaction).await? + months;
    recounts::finish(&mut transaction, &asked, mended).await?;
    transaction.commit().await?;
    Ok(mended)
}
