//! The relay that holds the lease: reads, sends, waits for the acknowledgements, deletes; and between batches renews the
//! lease and looks at what its work rests on.

use std::{sync::Arc, time::Duration};

use sqlx::PgConnection;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Relay, RelayError,
    acknowledged::Acknowledged,
    batch::{ROWS_MAX, Sent, linger},
    held::HeldBack,
    kafka, not_taken,
    restore::Restored,
    settled::Settled,
};
use crate::outbox::{
    publisher::{Deliveries, NextOffsets, Publisher},
    store::{
        lease::{self, Renewal},
        rows::{self, OutboxRow},
        topics,
    },
    topic,
};

/// How long the relay sleeps when it is not woken: another instance may have written, or the wake-up came too early.
const POLL: Duration = Duration::from_millis(100);
/// When a wait for Kafka is worth a word in health.
const SLOW: Duration = Duration::from_secs(2);
/// When one in which nothing at all was acknowledged is worth a line.
const SILENT: Duration = Duration::from_secs(4);
/// For how long Kafka may acknowledge nothing before the lease is given to a relay that asks for it.
const GIVE_UP: Duration = Duration::from_secs(10);
/// How long a stopping relay sends what is there, and waits for acknowledgements. What is left is sent by another one, or
/// after the next start.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// How often the order of the ids is checked, and which of them are settled; how often the lease is renewed, well within
/// what it holds; how often the topic is looked at.
const CHECK: Duration = Duration::from_secs(1);
pub(super) const RENEW: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_secs(60);

/// See the module.
pub(super) struct Leader<'a> {
    pub(super) relay: &'a Relay,
    pub(super) connection: PgConnection,
    pub(super) publisher: Publisher,
    pub(super) acknowledged: &'a mut Acknowledged,
    settled: Settled,
    pub(super) held: HeldBack,
    /// What was sent from the journal for rows that cannot be read, and how many those were.
    pub(super) restored: Restored,
    pub(super) rows_restored: i64,
    message_bytes_max: Option<i64>,
    stored_offsets: Vec<i64>,
    checked: Option<Instant>,
    pub(super) renewed: Instant,
    looked: Instant,
}

impl<'a> Leader<'a> {
    /// Looks at what there is before anything is sent.
    pub(super) async fn begin(
        relay: &'a Relay,
        mut connection: PgConnection,
        acknowledged: &'a mut Acknowledged,
        settled_id: i64,
        shutdown: &CancellationToken,
    ) -> Result<Self, (RelayError, PgConnection)> {
        let preparing = prepare(relay, &mut connection, acknowledged);
        let prepared = match shutdown.run_until_cancelled(preparing).await {
            Some(prepared) => prepared,
            None => Err(RelayError::Stopped),
        };
        let (publisher, message_bytes_max) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return Err((error, connection)),
        };
        let now = Instant::now();
        Ok(Self {
            relay,
            connection,
            stored_offsets: publisher.next_offsets(),
            publisher,
            acknowledged,
            settled: Settled::up_to_id(settled_id),
            held: HeldBack::default(),
            restored: Restored::default(),
            rows_restored: 0,
            message_bytes_max,
            checked: None,
            renewed: now,
            looked: now,
        })
    }

    /// Lets go of what is still queued, and gives the connection back.
    pub(super) fn end(self) -> PgConnection {
        self.publisher.abandon();
        self.connection
    }

    pub(super) async fn run(&mut self, shutdown: &CancellationToken) -> Result<(), RelayError> {
        let mut drain = None;
        loop {
            self.check().await?;
            self.acknowledged.delete_again(&mut self.connection).await?;
            if drain.is_none() && shutdown.is_cancelled() {
                drain = Some(Drain::begin(&mut self.connection).await?);
            }
            let started = Instant::now();
            let rows = self.read().await?;
            if drain.as_ref().is_some_and(|drain| drain.is_over(&rows)) {
                self.well();
                return Ok(());
            }
            if rows.is_empty() {
                self.well();
                tokio::select! {
                    () = self.relay.filled.notified() => {}
                    () = shutdown.cancelled() => {}
                    () = tokio::time::sleep(POLL) => {}
                }
                continue;
            }
            let linger = linger(&rows);
            self.send(rows, shutdown).await?;
            self.well();
            if let Some(linger) = linger
                && !shutdown.is_cancelled()
            {
                tokio::time::sleep_until(started + linger).await;
            }
        }
    }

    /// The next rows to send; none while too much waits to be deleted.
    async fn read(&mut self) -> Result<Vec<OutboxRow>, RelayError> {
        if self.acknowledged.is_full() || self.held.is_full() {
            return Ok(Vec::new());
        }
        let skipped: Vec<i64> = self.acknowledged.ids().chain(self.held.rows()).collect();
        let after = self.settled.id();
        let rows = rows::oldest_rows(&mut self.connection, after, &skipped, ROWS_MAX).await?;
        let left = [
            rows.first().map(|row| row.id),
            self.acknowledged.lowest(),
            self.held.lowest_row(),
        ];
        self.settled.read(left.into_iter().flatten().min());
        Ok(rows)
    }

    async fn send(
        &mut self,
        rows: Vec<OutboxRow>,
        shutdown: &CancellationToken,
    ) -> Result<(), RelayError> {
        let began = Instant::now();
        let sent = Sent::send(&self.publisher, rows, &mut self.held)?;
        self.acknowledge(&sent.deliveries, shutdown).await?;
        let metrics = &self.relay.metrics;
        metrics.send.observe(began.elapsed());
        metrics.sent.inc_by(sent.events());
        sent.trace(began);
        self.acknowledged
            .delete(&mut self.connection, &sent.whole)
            .await?;
        for (row, rest) in &sent.partial {
            self.held.leave(&mut self.connection, row, rest).await?;
        }
        metrics.held.set(self.held.wallets());
        if let Some((row, fault)) = sent.unreadable {
            self.restore(row, &fault, shutdown).await?;
        }
        Ok(())
    }

    /// Waits until Kafka has acknowledged all, for as long as that takes; the first failure ends it.
    pub(super) async fn acknowledge(
        &mut self,
        deliveries: &Arc<Deliveries>,
        shutdown: &CancellationToken,
    ) -> Result<(), RelayError> {
        let mut waiting = std::pin::pin!(deliveries.acknowledged());
        let drain_is_over = async {
            shutdown.cancelled().await;
            tokio::time::sleep(DRAIN_TIMEOUT).await;
        };
        let mut drain_is_over = std::pin::pin!(drain_is_over);
        let started = Instant::now();
        let (mut pending, mut progress) = (deliveries.pending(), started);
        loop {
            tokio::select! {
                done = &mut waiting => {
                    done.map_err(|error| not_taken(&self.publisher, error))?;
                    self.relay.silence.worked();
                    return Ok(());
                }
                () = &mut drain_is_over => return Err(RelayError::Stopped),
                () = tokio::time::sleep(SLOW) => {}
            }
            let seconds = started.elapsed().as_secs();
            let refusal = self.publisher.said();
            let refusal = refusal.map_or_else(String::new, |refusal| format!(": {refusal}"));
            if progress.elapsed() >= SILENT {
                let reason = format!("nothing was acknowledged for a while{refusal}");
                self.relay.silence.failed_with(&reason);
            }
            self.relay.probe.degraded(format!(
                "events wait in the outbox: Kafka has not acknowledged for {seconds} s{refusal}"
            ));
            if deliveries.pending() < pending {
                (pending, progress) = (deliveries.pending(), Instant::now());
            }
            let wanted = self.renew().await?;
            if wanted && progress.elapsed() >= GIVE_UP {
                return Err(RelayError::GivenUp);
            }
        }
    }

    /// What the work rests on, each when it is time for it.
    async fn check(&mut self) -> Result<(), RelayError> {
        if self.checked.is_some_and(|at| at.elapsed() < CHECK) {
            return Ok(());
        }
        // In this order: see `settled`.
        let sequence = rows::id_sequence(&mut self.connection).await?;
        sequence.check()?;
        let open = rows::open_writers(&mut self.connection).await?;
        self.settled.observe(sequence.last_id, open);
        if let Some(id) = self.relay.straggler.take()
            && id <= self.settled.id()
        {
            tracing::warn!(
                id,
                "an outbox row appeared where none was expected; it is sent now"
            );
            self.settled.back_before(id);
        }
        if self.renewed.elapsed() >= RENEW {
            self.renew().await?;
            self.store_offsets().await?;
        }
        if self.looked.elapsed() >= LOOK {
            self.store_offsets().await?;
            self.look().await?;
        }
        self.checked = Some(Instant::now());
        Ok(())
    }

    /// Whether another relay asks for the lease.
    pub(super) async fn renew(&mut self) -> Result<bool, RelayError> {
        let settled_id = self.settled.id();
        match lease::renew(&mut self.connection, self.relay.holder, settled_id).await? {
            Renewal::Held { wanted } => {
                self.renewed = Instant::now();
                Ok(wanted)
            }
            Renewal::Lost => Err(RelayError::LeaseLost),
        }
    }

    async fn store_offsets(&mut self) -> Result<(), RelayError> {
        let offsets = self.publisher.next_offsets();
        if offsets != self.stored_offsets {
            topics::advance(&mut self.connection, &self.relay.kafka.topic, &offsets).await?;
            self.stored_offsets = offsets;
        }
        Ok(())
    }

    async fn look(&mut self) -> Result<(), RelayError> {
        let seen = topic::look(&mut self.connection, &self.relay.kafka).await;
        self.looked = Instant::now();
        let seen = match seen {
            Ok(seen) => seen,
            // Sending will tell, and has its own patience with Kafka.
            Err(topic::NoTopic::Kafka(error)) => {
                tracing::debug!(%error, "the topic could not be looked at");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let is_changed = seen.message_bytes_max != self.message_bytes_max
            || seen.next_offsets != self.stored_offsets;
        if is_changed {
            return Err(RelayError::TopicChanged);
        }
        Ok(())
    }

    fn well(&self) {
        let probe = &self.relay.probe;
        if let Some(reason) = self.held.reason(self.publisher.message_bytes_max()) {
            probe.degraded(reason);
        } else if self.acknowledged.is_empty() {
            probe.ok();
            self.relay.outage.worked();
        } else {
            let rows = self.acknowledged.len();
            probe.degraded(format!(
                "{rows} outbox rows that Kafka has acknowledged cannot be deleted; they are not sent again"
            ));
        }
    }
}

/// What a relay that was told to stop has still to send: what is there by then. Other instances may go on writing, and the
/// outbox need never be empty.
struct Drain {
    last_id: i64,
    until: Instant,
}

impl Drain {
    async fn begin(connection: &mut PgConnection) -> Result<Self, RelayError> {
        Ok(Self {
            last_id: rows::id_sequence(connection).await?.last_id,
            until: Instant::now() + DRAIN_TIMEOUT,
        })
    }

    /// Whether these, which are the next, are another relay's to send.
    fn is_over(&self, rows: &[OutboxRow]) -> bool {
        let is_all_sent = rows.first().is_none_or(|row| row.id > self.last_id);
        is_all_sent || Instant::now() >= self.until
    }
}

async fn prepare(
    relay: &Relay,
    connection: &mut PgConnection,
    acknowledged: &mut Acknowledged,
) -> Result<(Publisher, Option<i64>), RelayError> {
    rows::id_sequence(connection).await?.check()?;
    acknowledged.compare(connection).await?;
    let seen = topic::look(connection, &relay.kafka).await?;
    let message_bytes_max = seen
        .message_bytes_max
        .and_then(|bytes| usize::try_from(bytes).ok())
        .unwrap_or(usize::MAX);
    let offsets = NextOffsets::from_known(&seen.next_offsets);
    let publisher = Publisher::new(&relay.kafka, message_bytes_max, offsets).map_err(kafka)?;
    Ok((publisher, seen.message_bytes_max))
}
