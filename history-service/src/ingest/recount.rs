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

#[cfg(test)]
mod tests {
    use shared::testing::{TestDatabase, eventually};
    use sqlx::Executor;

    use super::*;
    use crate::app::SCHEMA;

    /// Whether it is due so many minutes after somebody asked.
    async fn is_due_after(connection: &mut PgConnection, minutes: u8) -> bool {
        recounts::ask(connection).await.unwrap();
        sqlx::query("update recount_state set asked_at = asked_at - make_interval(mins => $1)")
            .bind(i32::from(minutes))
            .execute(&mut *connection)
            .await
            .unwrap();
        recounts::is_due(connection, CALM).await.unwrap()
    }

    #[tokio::test]
    async fn what_comes_back_by_itself_is_counted_when_nothing_has_come_for_ten_minutes() {
        let database = TestDatabase::create(SCHEMA).await;
        let mut connection = database.pool().acquire().await.unwrap();
        assert!(!recounts::is_due(&mut connection, CALM).await.unwrap());
        assert!(!is_due_after(&mut connection, 9).await);
        assert!(is_due_after(&mut connection, 11).await);
        assert!(!is_due_after(&mut connection, 9).await, "more has come");
        assert!(is_due_after(&mut connection, 11).await);
        count(&mut connection).await.unwrap();
        assert!(!recounts::is_due(&mut connection, CALM).await.unwrap());
    }

    #[tokio::test]
    async fn who_asks_while_it_is_counted_is_not_done_with_it() {
        let database = TestDatabase::create(SCHEMA).await;
        let mut connection = database.pool().acquire().await.unwrap();
        assert!(is_due_after(&mut connection, 11).await);
        let before = recounts::asked(&mut connection).await.unwrap();
        assert!(is_due_after(&mut connection, 11).await);
        recounts::finish(&mut connection, &before, 0).await.unwrap();
        assert!(recounts::is_due(&mut connection, CALM).await.unwrap());
    }

    #[tokio::test]
    async fn one_instance_counts_at_a_time_and_another_when_its_session_ends() {
        let database = TestDatabase::create(SCHEMA).await;
        let options = database.options();
        let connect = || PgConnection::connect_with(&options);
        let mut one = connect().await.unwrap();
        let mut other = connect().await.unwrap();
        assert!(recounts::claim(&mut one).await.unwrap());
        assert!(!recounts::claim(&mut other).await.unwrap());
        // What the statement itself takes is another lock: it does not wait for who counts.
        other.execute("select recount_reports()").await.unwrap();
        one.close().await.unwrap();
        eventually("its turn", Duration::from_secs(10), async || {
            recounts::claim(&mut other).await.unwrap().then_some(())
        })
        .await;
    }
}
