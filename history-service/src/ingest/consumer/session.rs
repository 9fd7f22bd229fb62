//! The loop of one membership: poll a batch, follow the group, apply, and keep the batch while the database is away.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use shared::server::backoff::Backoff;
use tokio_util::sync::CancellationToken;

use super::{
    group::Change,
    membership::{Lost, Membership},
    positions::{Arrival, Bounds, Place, Positions, starts},
    trace,
};
use crate::{
    ingest::{batch::BatchError, message::Message, store::ResumePoint, writer::Writer},
    progress::Progress,
};

/// A batch this large costs no more per event than a larger one, and commits in tens of milliseconds.
const BATCH_MAX: usize = 1_000;
/// Or one of so many bytes, which are several times as many in memory: three times a thousand usual messages, and ninety of
/// the largest.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long the next batch is filled, by the size of the last one: a large one is a sign of load, and a short wait makes
/// the next one larger and cheaper.
const LINGER_BY_BATCH_SIZE: [(usize, Duration); 2] = [
    (600, Duration::from_millis(25)),
    (50, Duration::from_millis(10)),
];
/// How long to wait for a first message; it also bounds how late a shutdown is noticed.
const IDLE_WAIT: Duration = Duration::from_millis(100);
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);
/// How often it is made sure that the topic still is the one that was read: one that is deleted and made again quickly is
/// no error to the client.
const LOOK_AGAIN_EVERY: Duration = Duration::from_secs(60);
/// How often Kafka is shown how far we are: while messages come, and when none do.
const SHOW_OFFSETS_EVERY: Duration = Duration::from_secs(2);
const SHOW_OFFSETS_IDLE_EVERY: Duration = Duration::from_secs(5);

/// Why a membership ended.
pub(super) enum End {
    Stopped,
    /// Join again and ask the database where to go on. The reason is public.
    Restart(&'static str),
}

pub(super) struct Session<'a> {
    membership: Membership,
    writer: &'a mut Writer,
    progress: &'a Progress,
    shutdown: &'a CancellationToken,
    /// Assigned by Kafka, not started yet: where to go on stands in the database.
    assigned: Option<Vec<i32>>,
    batch: Vec<Arc<Message>>,
    last_batch: usize,
    /// What the database holds for each of our partitions.
    points: BTreeMap<i32, ResumePoint>,
    /// The message each partition should deliver next.
    positions: Positions,
    /// Messages are gone, and the ledger has not been asked yet for the events that were in them.
    loss: bool,
    looked: Instant,
    /// Set while the database is away: how long to wait before it is tried again, and what makes the next wait longer.
    retry: Option<(Duration, Backoff)>,
    offsets_shown: Instant,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        membership: Membership,
        writer: &'a mut Writer,
        progress: &'a Progress,
        shutdown: &'a CancellationToken,
    ) -> Self {
        let now = Instant::now();
        Self {
            membership,
            writer,
            progress,
            shutdown,
            assigned: None,
            batch: Vec::with_capacity(BATCH_MAX),
            last_batch: 0,
            points: BTreeMap::new(),
            positions: Positions::default(),
            loss: false,
            looked: now,
            retry: None,
            offsets_shown: now,
        }
    }

    /// Until the shutdown, or until only a new membership helps; then leaves the group.
    pub(super) fn run(mut self) -> End {
        let end = self.turn_until_end();
        self.membership.show_offsets(&self.points);
        self.membership.leave(self.assigned.is_some());
        end
    }

    fn turn_until_end(&mut self) -> End {
        loop {
            let stopping = self.shutdown.is_cancelled();
            if !stopping && let Err(Lost(reason)) = self.poll_batch() {
                return End::Restart(reason);
            }
            self.follow_group();
            match self
                .resume_from_offsets()
                .and_then(|()| self.report_loss())
                .and_then(|()| self.apply())
                .and_then(|()| self.probe_database())
                .and_then(|()| self.look_again())
            {
                Ok(()) => {
                    self.database_is_back();
                    self.show_offsets();
                }
                Err(BatchError::Overtaken | BatchError::HeadsMoved) => {
                    tracing::warn!(
                        "the offsets moved without this consumer, asking the database where to go on"
                    );
                    return End::Restart("the offsets in the database moved without this consumer");
                }
                Err(error) => self.hold(&error),
            }
            if stopping {
                return End::Stopped;
            }
        }
    }

    /// Fills the batch: what is there at once when it is quiet, a little more when the last batch was large.
    fn poll_batch(&mut self) -> Result<(), Lost> {
        if self.membership.is_back() {
            // It may be another one.
            self.looked = self
                .looked
                .checked_sub(LOOK_AGAIN_EVERY)
                .unwrap_or(self.looked);
        }
        let mut wait = self.retry.as_ref().map_or(IDLE_WAIT, |(wait, _)| *wait);
        let linger = linger(self.last_batch);
        let mut linger_until = None;
        let mut bytes: usize = self.batch.iter().map(|message| message.bytes()).sum();
        while self.batch.len() < BATCH_MAX && bytes < BATCH_BYTES_MAX {
            let Some(message) = self.membership.poll(wait)? else {
                break;
            };
            let message_bytes = message.bytes();
            if !self.add_to_batch(message)? {
                continue;
            }
            bytes += message_bytes;
            let until = *linger_until.get_or_insert_with(|| Instant::now() + linger);
            wait = until.saturating_duration_since(Instant::now());
        }
        Ok(())
    }

    /// Whether the message is one to apply.
    fn add_to_batch(&mut self, message: Message) -> Result<bool, Lost> {
        let (partition, offset) = (message.position.partition, message.position.offset);
        match self.positions.arrived(&message) {
            Arrival::Next => {}
            Arrival::Previous => return Ok(false),
            Arrival::First => self.loss = true,
            // Not every offset is a message: a transaction of another producer ends in a marker, and one that was aborted
            // is not delivered.
            Arrival::AfterLoss { expected } if !self.membership.is_deleted(partition, expected) => {
                tracing::debug!(
                    partition,
                    expected_offset = expected,
                    found_offset = offset,
                    "offsets that hold no message were passed over"
                );
            }
            Arrival::AfterLoss { expected } => {
                tracing::error!(
                    partition,
                    expected_offset = expected,
                    found_offset = offset,
                    "messages are gone that were not read; their events are looked for in the ledger"
                );
                self.progress.offsets_jumped();
                self.loss = true;
            }
            Arrival::Other { expected } => {
                tracing::warn!(
                    partition,
                    expected_offset = expected,
                    found_offset = offset,
                    "the message that was read last is not there any more: the topic was made again or truncated, or is \
                     another cluster's. The partition is read from its start"
                );
                self.progress.offsets_jumped();
                let started = self.membership.read_from_start(partition);
                started.map_err(|error| {
                    tracing::warn!(%error, "a partition could not be read from its start");
                    Lost("the topic is not the one that was read")
                })?;
                return Ok(false);
            }
        }
        self.batch.push(Arc::new(message));
        Ok(true)
    }

    fn follow_group(&mut self) {
        for change in self.membership.take_changes() {
            // The batch belongs to the partitions' next owner: it was not committed, so it is delivered again.
            self.batch.clear();
            self.points.clear();
            self.positions.clear();
            self.assigned = match change {
                Change::Assigned(partitions) => Some(partitions),
                Change::Revoked => None,
            };
        }
    }

    /// Starts newly assigned partitions where the database says.
    fn resume_from_offsets(&mut self) -> Result<(), BatchError> {
        let Some(partitions) = &self.assigned else {
            return Ok(());
        };
        self.points = self.writer.claim(partitions)?;
        self.restart_what_is_gone()?;
        self.assigned = None;
        if self.start_partitions() {
            tracing::info!(offsets = ?starts(&self.points), "partitions started");
            self.membership.show_offsets(&self.points);
            self.progress.partitions_assigned(self.points.len());
        }
        Ok(())
    }

    /// One message before the next, to see whether that is the one that was read.
    fn start_partitions(&mut self) -> bool {
        self.positions = Positions::of(&self.points);
        self.looked = Instant::now();
        let started = self.membership.assign(&starts(&self.points));
        if let Err(error) = &started {
            // Revoked in the meantime; the next assignment is on its way.
            tracing::warn!(%error, "partitions could not be started");
        }
        started.is_ok()
    }

    /// Starts the partitions once more where they are. Everything that arrived is committed.
    fn look_again(&mut self) -> Result<(), BatchError> {
        if self.looked.elapsed() >= LOOK_AGAIN_EVERY
            && self.batch.is_empty()
            && !self.points.is_empty()
        {
            self.restart_what_is_gone()?;
            self.start_partitions();
        }
        Ok(())
    }

    /// Moves partitions whose next message is not there to where they begin, and has all wallets compared with the
    /// ledger. What Kafka does not tell now is found out by the messages, or at the next look.
    fn restart_what_is_gone(&mut self) -> Result<(), BatchError> {
        let partitions =
            Vec::from_iter(self.points.iter().map(|(number, point)| (*number, *point)));
        for (partition, point) in partitions {
            let next = point.next_offset;
            let Ok(bounds) = self.membership.bounds(partition) else {
                return Ok(());
            };
            let Bounds { first, end } = bounds;
            match bounds.place(next) {
                Place::Inside => continue,
                Place::Beyond => tracing::warn!(
                    partition,
                    next_offset = next,
                    end,
                    "the partition ends before what was read: the topic was made again or truncated, or is another \
                     cluster's. It is read from its start, and all wallets are compared with the ledger"
                ),
                Place::Deleted => tracing::error!(
                    partition,
                    next_offset = next,
                    first,
                    "messages are gone that were not read; their events are looked for in the ledger"
                ),
            }
            self.progress.offsets_jumped();
            self.writer.restart(partition, next, first)?;
            let started = ResumePoint {
                next_offset: first,
                previous: None,
            };
            self.points.insert(partition, started);
        }
        Ok(())
    }

    /// What was lost in Kafka may be events of wallets that nothing follows on: only a look at all wallets finds them.
    fn report_loss(&mut self) -> Result<(), BatchError> {
        if self.loss {
            self.writer.compare_all()?;
            self.loss = false;
        }
        Ok(())
    }

    fn apply(&mut self) -> Result<(), BatchError> {
        if self.batch.is_empty() {
            self.last_batch = 0;
            return Ok(());
        }
        let began = Instant::now();
        let applied = self.writer.apply(&self.batch, &mut self.points)?;
        self.last_batch = self.batch.len();
        let metrics = self.progress.metrics();
        metrics.applied(self.last_batch, began.elapsed());
        trace::applied(&self.batch, began);
        self.batch.clear();
        for applied in applied {
            metrics.fresh(&applied.occurred_at);
            applied.report(self.progress);
        }
        Ok(())
    }

    fn show_offsets(&mut self) {
        let every = if self.last_batch > 0 {
            SHOW_OFFSETS_EVERY
        } else {
            SHOW_OFFSETS_IDLE_EVERY
        };
        if self.offsets_shown.elapsed() >= every {
            self.membership.show_offsets(&self.points);
            self.offsets_shown = Instant::now();
        }
    }

    /// Keeps the batch and the membership: nothing more is fetched, but polling goes on.
    fn hold(&mut self, error: &BatchError) {
        if self.retry.is_none() {
            tracing::warn!(
                error = error as &dyn std::error::Error,
                "history cannot be written, trying until it can"
            );
            self.progress.database_away();
            self.membership.pause();
        }
        let retry = self.retry.take();
        let mut backoff = retry.map_or_else(
            || Backoff::new(RETRY_MIN, RETRY_MAX),
            |(_, backoff)| backoff,
        );
        self.retry = Some((backoff.next_pause(), backoff));
    }

    /// After a failure: that nothing went wrong since may only mean that there was nothing to do, such as between two
    /// assignments.
    fn probe_database(&mut self) -> Result<(), BatchError> {
        if self.retry.is_some() {
            self.writer.probe()
        } else {
            Ok(())
        }
    }

    fn database_is_back(&mut self) {
        if self.retry.take().is_some() {
            tracing::info!("history can be written again");
            self.membership.resume();
        }
        self.progress.database_ok();
    }
}

fn linger(last_batch: usize) -> Duration {
    let reached = LINGER_BY_BATCH_SIZE
        .into_iter()
        .find(|(from, _)| last_batch >= *from);
    reached.map_or(Duration::ZERO, |(_, linger)| linger)
}
