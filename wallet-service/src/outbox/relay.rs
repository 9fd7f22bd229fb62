//! The relay: sends outbox rows to Kafka in id order, and deletes exactly what Kafka has acknowledged.
//!
//! One relay works at a time: it holds a lease on its own connection and stops when that connection does. A second one
//! by accident, or one that was paused and wakes up, can only send events again, in order, which readers skip.
//!
//! A batch stops at its first failure, so no event overtakes an earlier one of its wallet. While Kafka is away the rows
//! stay, the API goes on, and health says so.

use std::{sync::Arc, time::Duration};

use rdkafka::error::KafkaError;
use shared::server::{
    health::Probe,
    kafka::{KafkaSettings, TopicError, ensure_topic},
};
use sqlx::{PgConnection, postgres::PgConnectOptions};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    message::Message,
    publisher::{Deliveries, Publisher},
    row::{self, RowError},
    store::{self, Disordered, OutboxRow},
};

/// Rows in one batch. A row is one large event or a few kilobytes, which are fifty of the smallest: a batch stays well
/// within the producer's own queue (`queue.buffering.max.messages` and `.kbytes`), which would refuse what is beyond.
const ROWS_MAX: i64 = 128;
/// How far apart the starts of two batches are, by the events of the first. Kafka is asked once per partition and batch,
/// and each asking costs as much as dozens of events. A batch of few events is followed at once, and so is a full one.
const LINGER_BY_BATCH_SIZE: [(i32, Duration); 2] = [
    (100, Duration::from_millis(40)),
    (20, Duration::from_millis(20)),
];
/// How long the relay sleeps when it is not woken: another instance may have written, or the wake-up came too early.
const POLL: Duration = Duration::from_millis(100);
/// How often a relay that is not the active one asks for the lease.
const LEASE_POLL: Duration = Duration::from_millis(500);
/// When a wait for Kafka is worth a word in health.
const SLOW: Duration = Duration::from_secs(2);
/// How long a stopping relay waits for acknowledgements. What is not acknowledged is sent again after the next start.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
const TOPIC_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause after a failure.
const RETRY: Duration = Duration::from_millis(500);
/// How often the backlog is counted for health, and the order of the ids checked.
const REPORT: Duration = Duration::from_secs(1);

/// See the module.
pub struct Relay {
    database: PgConnectOptions,
    kafka: KafkaSettings,
    probe: Probe,
    filled: Arc<Notify>,
}

#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error("the outbox cannot be read")]
    Database(#[from] sqlx::Error),
    #[error("Kafka is not reachable")]
    Topic(#[source] Box<TopicError>),
    #[error("Kafka did not take an event")]
    Kafka(#[source] Box<KafkaError>),
    #[error("outbox row {id} does not hold events")]
    Row { id: i64, source: RowError },
    #[error(transparent)]
    Disordered(#[from] Disordered),
    #[error("stopped before Kafka had acknowledged everything")]
    Stopped,
}

impl Relay {
    /// `filled` wakes the relay when rows may have been added; `probe` is told how Kafka does.
    pub fn new(
        database: PgConnectOptions,
        kafka: KafkaSettings,
        probe: Probe,
        filled: Arc<Notify>,
    ) -> Self {
        Self {
            database,
            kafka,
            probe,
            filled,
        }
    }

    /// Runs until told to stop, and then until the outbox is empty or Kafka is too slow.
    pub async fn run(self, shutdown: CancellationToken) {
        loop {
            match self.lead(&shutdown).await {
                Ok(()) | Err(RelayError::Stopped) => return,
                Err(error) => {
                    warn(&error);
                    // The cause may name addresses: it is for the log only.
                    let waits = format!("events wait in the outbox: {error}");
                    self.probe.degraded(waits);
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(RETRY) => {}
            }
        }
    }

    /// Works for as long as connection, lease and producer are sound.
    async fn lead(&self, shutdown: &CancellationToken) -> Result<(), RelayError> {
        let mut connection = store::connect(&self.database).await?;
        while !store::try_lease(&mut connection).await? {
            self.probe.ok();
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep(LEASE_POLL) => {}
            }
        }
        store::id_sequence(&mut connection).await?.check()?;
        self.report(&mut connection).await?;
        let topic = ensure_topic(&self.kafka, TOPIC_TIMEOUT);
        match shutdown.run_until_cancelled(topic).await {
            Some(made) => made.map_err(|error| RelayError::Topic(Box::new(error)))?,
            None => return Ok(()),
        }
        let publisher = Publisher::new(&self.kafka).map_err(kafka)?;
        let ended = self.relay(&mut connection, &publisher, shutdown).await;
        publisher.abandon();
        ended
    }

    async fn relay(
        &self,
        connection: &mut PgConnection,
        publisher: &Publisher,
        shutdown: &CancellationToken,
    ) -> Result<(), RelayError> {
        let mut reported = None;
        loop {
            if reported.is_none_or(|at: Instant| at.elapsed() >= REPORT) {
                store::id_sequence(connection).await?.check()?;
                self.report(connection).await?;
                reported = Some(Instant::now());
            }
            let started = Instant::now();
            let rows = store::oldest_rows(connection, ROWS_MAX).await?;
            if rows.is_empty() {
                self.probe.ok();
                if shutdown.is_cancelled() {
                    return Ok(());
                }
                tokio::select! {
                    () = self.filled.notified() => {}
                    () = shutdown.cancelled() => {}
                    () = tokio::time::sleep(POLL) => {}
                }
                continue;
            }
            let deliveries = send(publisher, &rows)?;
            self.acknowledged(deliveries, connection, shutdown).await?;
            let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
            store::delete_rows(connection, &ids).await?;
            self.probe.ok();
            if let Some(linger) = linger(&rows)
                && !shutdown.is_cancelled()
            {
                tokio::time::sleep_until(started + linger).await;
            }
        }
    }

    /// Waits until Kafka has acknowledged all, for as long as that takes; the first failure ends it.
    async fn acknowledged(
        &self,
        deliveries: Arc<Deliveries>,
        connection: &mut PgConnection,
        shutdown: &CancellationToken,
    ) -> Result<(), RelayError> {
        let mut waiting = std::pin::pin!(deliveries.acknowledged());
        let started = Instant::now();
        let drain_is_over = async {
            shutdown.cancelled().await;
            tokio::time::sleep(DRAIN_TIMEOUT).await;
        };
        let mut drain_is_over = std::pin::pin!(drain_is_over);
        loop {
            tokio::select! {
                done = &mut waiting => return done.map_err(kafka),
                () = &mut drain_is_over => return Err(RelayError::Stopped),
                () = tokio::time::sleep(SLOW) => {
                    let seconds = started.elapsed().as_secs();
                    self.probe.degraded(format!("events wait in the outbox: Kafka has not acknowledged for {seconds} s"));
                    // What came in meanwhile counts now.
                    self.report(connection).await?;
                }
            }
        }
    }

    async fn report(&self, connection: &mut PgConnection) -> Result<(), RelayError> {
        let backlog = store::backlog(connection).await?;
        self.probe.detail("outbox_events", backlog.events);
        self.probe
            .detail("outbox_oldest_age_seconds", backlog.oldest_age_seconds);
        Ok(())
    }
}

/// How long after its start a batch is followed. When it was full, more is waiting already.
fn linger(rows: &[OutboxRow]) -> Option<Duration> {
    if i64::try_from(rows.len()).is_ok_and(|rows| rows >= ROWS_MAX) {
        return None;
    }
    let events: i32 = rows.iter().map(|row| row.event_count).sum();
    LINGER_BY_BATCH_SIZE
        .into_iter()
        .find(|(at_least, _)| events >= *at_least)
        .map(|(_, linger)| linger)
}

/// Hands every event of the rows to the publisher, in order.
fn send(publisher: &Publisher, rows: &[OutboxRow]) -> Result<Arc<Deliveries>, RelayError> {
    let deliveries = Arc::default();
    for row in rows {
        let entries =
            row::decode(&row.entries).map_err(|source| RelayError::Row { id: row.id, source })?;
        for entry in &entries {
            publisher
                .publish(Message::of(entry), &deliveries)
                .map_err(kafka)?;
        }
    }
    Ok(deliveries)
}

fn kafka(error: KafkaError) -> RelayError {
    RelayError::Kafka(Box::new(error))
}

/// A function, because the error must not live across an await.
fn warn(error: &RelayError) {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "the relay starts again"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_followed_later_the_more_events_it_had_and_at_once_when_it_was_full() {
        let row = |id| OutboxRow {
            id,
            entries: Vec::new(),
            event_count: 10,
        };
        let lingered = |rows| linger(&Vec::from_iter((0..rows).map(row)));
        assert_eq!(lingered(1), None);
        assert_eq!(lingered(2), Some(Duration::from_millis(20)));
        assert_eq!(lingered(10), Some(Duration::from_millis(40)));
        assert_eq!(lingered(ROWS_MAX - 1), Some(Duration::from_millis(40)));
        assert_eq!(lingered(ROWS_MAX), None);
    }
}
