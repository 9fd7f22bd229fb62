//! The relay: sends outbox rows to Kafka in id order, and deletes exactly what Kafka has acknowledged.
//!
//! One relay works at a time: the one that holds the lease and renews it. One that hangs loses it; one that cannot reach
//! Kafka gives it to another that asks. A second one by accident, or one that was paused and wakes up, can only send
//! events again, in order, which readers skip.
//!
//! A batch stops at its first failure, so no event overtakes an earlier one of its wallet. While Kafka is away the rows
//! stay, the API goes on, and health says so. An event that cannot be sent stops its own wallet's ([`held`]), and a row
//! that cannot be read stops none ([`restore`]).

mod acknowledged;
mod batch;
mod held;
mod leader;
mod restore;
mod settled;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use rdkafka::error::KafkaError;
use shared::{
    new_uuid,
    server::{
        backoff::Backoff,
        health::Probe,
        kafka::{KafkaSettings, Refusal},
        outage::Outage,
    },
};
use sqlx::{PgConnection, postgres::PgConnectOptions};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::{acknowledged::Acknowledged, leader::Leader};
use super::{
    metrics::OutboxMetrics,
    publisher::Publisher,
    row::RowError,
    store::{self, lease, rows::Disordered},
    topic::NoTopic,
};

/// How often a relay that is not the active one asks for the lease, and how often it says so.
const LEASE_POLL: Duration = Duration::from_millis(500);
const WANT_EVERY: Duration = Duration::from_secs(5);
/// For how long a relay that gave the lease away leaves it to others.
const REST: Duration = Duration::from_secs(10);
/// The pause after a failure, longer each time, and what ends the counting.
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(5);
const RETRY_FORGOTTEN: Duration = Duration::from_secs(30);

/// A row that was found left of what is settled; nothing is [`i64::MAX`].
#[derive(Clone, Debug)]
pub(super) struct Straggler(Arc<AtomicI64>);

impl Straggler {
    pub(super) fn none() -> Self {
        Self(Arc::new(AtomicI64::new(i64::MAX)))
    }

    pub(super) fn found(&self, id: i64) {
        self.0.fetch_min(id, Ordering::Relaxed);
    }

    fn take(&self) -> Option<i64> {
        let id = self.0.swap(i64::MAX, Ordering::Relaxed);
        (id < i64::MAX).then_some(id)
    }
}

/// See the module.
pub(super) struct Relay {
    database: PgConnectOptions,
    kafka: KafkaSettings,
    probe: Probe,
    filled: Arc<Notify>,
    straggler: Straggler,
    holder: Uuid,
    outage: Outage,
    /// Kafka has what was sent, and says nothing.
    silence: Outage,
    metrics: OutboxMetrics,
}

#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error("the outbox cannot be read")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Topic(#[from] NoTopic),
    #[error("Kafka did not take an event")]
    Kafka(#[source] Box<KafkaError>),
    #[error("{0}")]
    Refused(Refusal, #[source] Box<KafkaError>),
    #[error("Kafka is given up here: another instance asks for the relay")]
    GivenUp,
    #[error("an outbox row does not hold events")]
    Row(#[from] RowError),
    #[error(transparent)]
    Disordered(#[from] Disordered),
    #[error("another instance relays")]
    LeaseLost,
    #[error("the topic takes messages of another size than before")]
    TopicChanged,
    #[error("stopped before Kafka had acknowledged everything")]
    Stopped,
}

impl RelayError {
    /// In one word.
    const fn label(&self) -> &'static str {
        match self {
            Self::Database(_) => "database",
            Self::Topic(_) => "topic",
            Self::Kafka(_) | Self::Refused(..) => "kafka",
            Self::GivenUp => "given_up",
            Self::Row { .. } => "row",
            Self::Disordered(_) => "ids",
            Self::LeaseLost => "lease_lost",
            Self::TopicChanged => "topic_changed",
            Self::Stopped => "stopped",
        }
    }

    /// Whether another instance may do better.
    const fn is_of_kafka(&self) -> bool {
        matches!(
            self,
            Self::Kafka(_) | Self::Refused(..) | Self::GivenUp | Self::Topic(NoTopic::Kafka(_))
        )
    }
}

impl Relay {
    /// `filled` wakes the relay when rows may have been added; `probe` is told how Kafka does.
    pub(super) fn new(
        database: PgConnectOptions,
        kafka: KafkaSettings,
        probe: Probe,
        filled: Arc<Notify>,
        straggler: Straggler,
        metrics: OutboxMetrics,
    ) -> Self {
        Self {
            database,
            kafka,
            probe,
            filled,
            straggler,
            holder: new_uuid(),
            outage: Outage::new("the relay does not send, and starts again until it does"),
            silence: Outage::new("Kafka does not acknowledge events: they stay in the outbox"),
            metrics,
        }
    }

    /// Runs until told to stop, and then until what the outbox holds by then is sent, or Kafka is too slow.
    pub(super) async fn run(self, shutdown: CancellationToken) {
        let mut acknowledged = Acknowledged::default();
        let mut backoff = Backoff::new(RETRY_FIRST, RETRY_MAX);
        let mut rest_until = Instant::now();
        loop {
            let started = Instant::now();
            let error = match self.lead(&mut acknowledged, rest_until, &shutdown).await {
                Ok(()) | Err(RelayError::Stopped) => return,
                Err(error) => error,
            };
            self.outage.failed(&error);
            self.metrics.relay_failed(error.label());
            // The cause may name addresses: it is for the log only.
            self.probe
                .degraded(format!("events wait in the outbox: {error}"));
            if matches!(error, RelayError::GivenUp) {
                rest_until = Instant::now() + REST;
            }
            if started.elapsed() > RETRY_FORGOTTEN {
                backoff = Backoff::new(RETRY_FIRST, RETRY_MAX);
            }
            let is_no_failure = matches!(error, RelayError::LeaseLost | RelayError::TopicChanged);
            let pause = if is_no_failure {
                RETRY_FIRST
            } else {
                backoff.next_pause()
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Waits for the lease, then works for as long as connection, lease and producer are sound.
    async fn lead(
        &self,
        acknowledged: &mut Acknowledged,
        rest_until: Instant,
        shutdown: &CancellationToken,
    ) -> Result<(), RelayError> {
        let mut connection = store::connect(&self.database).await?;
        let settled_id = tokio::select! {
            taken = self.take_lease(&mut connection, rest_until) => taken?,
            () = shutdown.cancelled() => return Ok(()),
        };
        let leading = Leader::begin(self, connection, acknowledged, settled_id, shutdown).await;
        let mut leader = match leading {
            Ok(leader) => leader,
            Err((error, connection)) => {
                self.let_go(connection, &error).await;
                return Err(error);
            }
        };
        self.metrics.lease.set(1);
        let ended = leader.run(shutdown).await;
        self.metrics.lease.set(0);
        let connection = leader.end();
        match &ended {
            Ok(()) | Err(RelayError::Stopped) => self.release(connection).await,
            Err(error) => self.let_go(connection, error).await,
        }
        ended
    }

    /// A relay that cannot reach Kafka makes room for one that may.
    async fn let_go(&self, mut connection: PgConnection, error: &RelayError) {
        if !error.is_of_kafka() {
            return;
        }
        let wanted = lease::is_wanted(&mut connection, self.holder).await;
        if matches!(error, RelayError::GivenUp) || matches!(wanted, Ok(true)) {
            self.release(connection).await;
        }
    }

    /// The lease ends by itself when this fails.
    async fn release(&self, mut connection: PgConnection) {
        if let Err(error) = lease::release(&mut connection, self.holder).await {
            tracing::debug!(%error, "the lease was not released");
        }
    }

    async fn take_lease(
        &self,
        connection: &mut PgConnection,
        rest_until: Instant,
    ) -> Result<i64, sqlx::Error> {
        let mut wanted_at: Option<Instant> = None;
        loop {
            let rests = Instant::now() < rest_until;
            if !rests
                && lease::is_free(connection, self.holder).await?
                && let Some(settled_id) = lease::take(connection, self.holder).await?
            {
                return Ok(settled_id);
            }
            self.probe.ok();
            self.outage.worked();
            if wanted_at.is_none_or(|at| at.elapsed() >= WANT_EVERY) {
                lease::want(connection).await?;
                wanted_at = Some(Instant::now());
            }
            tokio::time::sleep(LEASE_POLL).await;
        }
    }
}

fn kafka(error: KafkaError) -> RelayError {
    RelayError::Kafka(Box::new(error))
}

/// An event was not taken: what Kafka refused is named, if that is why.
fn not_taken(publisher: &Publisher, error: KafkaError) -> RelayError {
    match publisher.refusal(&error) {
        Some(refusal) => RelayError::Refused(refusal, Box::new(error)),
        None => kafka(error),
    }
}
