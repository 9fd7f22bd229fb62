//! The ingest thread: polls Kafka, applies in batches, and never stops polling while it waits for Postgres.
//!
//! It promises that the offsets in Postgres are the only ones that count: they are read when partitions are assigned and
//! moved in the transaction that writes the rows. A batch is kept until it is committed, so an outage of Postgres skips
//! nothing; an outage of Kafka is waited out. The thread ends only when it is told to.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer as _},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    message::{BorrowedMessage, Headers as _},
};
use shared::server::kafka::{KafkaSettings, ensure_topic};
use sqlx::postgres::PgConnectOptions;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{
    Progress,
    group::{Change, Group},
    message::{Headers, Message, Position},
    project::ProjectError,
    store::UNPARK_MAX,
    writer::Writer,
};

/// A batch this large costs no more per event than a larger one, and commits in tens of milliseconds.
const BATCH_MAX: usize = 1_000;
/// How long the next batch is filled, by the size of the last one: a large one is a sign of load, and a little patience
/// makes the next one larger and cheaper. From 400 on it would already cost 17 ms of freshness at half load and buy nothing.
const PATIENCE: [(usize, Duration); 2] = [
    (600, Duration::from_millis(25)),
    (50, Duration::from_millis(10)),
];
/// How long to wait for a first message; it also bounds how late a shutdown is noticed.
const IDLE_WAIT: Duration = Duration::from_millis(100);
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);
/// Between two attempts to join the group.
const RESTART_PAUSE: Duration = Duration::from_secs(1);
const TOPIC_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a Kafka that was away is asked whether it is back. Only errors are announced, recovery is not.
const KAFKA_ASK_EVERY: Duration = Duration::from_secs(2);
const KAFKA_ASK_TIMEOUT: Duration = Duration::from_secs(1);
/// How often parked events are looked through for some that nothing else takes up.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// How often Kafka is shown how far we are, for lag displays.
const HINT_EVERY: Duration = Duration::from_secs(2);

/// The whole ingest, ready to run.
pub struct Ingest {
    kafka: KafkaSettings,
    group: String,
    database: PgConnectOptions,
    progress: Arc<Progress>,
    shutdown: CancellationToken,
}

impl Ingest {
    pub const fn new(
        kafka: KafkaSettings,
        group: String,
        database: PgConnectOptions,
        progress: Arc<Progress>,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            kafka,
            group,
            database,
            progress,
            shutdown,
        }
    }

    /// Blocks its thread until the shutdown; the batch in hand is committed before it returns. Whoever started the
    /// thread takes any other end for a failure of the process.
    ///
    /// # Errors
    /// When the thread cannot have a runtime of its own.
    pub fn run(self) -> std::io::Result<()> {
        let mut writer = Writer::new(self.database.clone(), Arc::from(self.kafka.topic.as_str()))?;
        while !self.shutdown.is_cancelled() {
            match self.session(&mut writer) {
                End::Stopped => break,
                End::Restart(reason) => {
                    self.progress.kafka_degraded(reason);
                    let cancelled = self.shutdown.cancelled();
                    // Either way out of the pause is fine.
                    drop(writer.block_on(async { timeout(RESTART_PAUSE, cancelled).await }));
                }
            }
        }
        Ok(())
    }

    /// One membership in the group, from joining to leaving.
    fn session(&self, writer: &mut Writer) -> End {
        let ensured = self
            .shutdown
            .run_until_cancelled(ensure_topic(&self.kafka, TOPIC_TIMEOUT));
        match writer.block_on(ensured) {
            None => return End::Stopped,
            Some(Ok(())) => {}
            Some(Err(error)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "Kafka is not available yet, trying again"
                );
                return End::Restart("Kafka is not available");
            }
        }
        let mut session = match Session::join(self, writer) {
            Ok(session) => session,
            Err(error) => {
                tracing::error!(%error, "the group cannot be joined, trying again");
                return End::Restart("the consumer group cannot be joined");
            }
        };
        let end = session.run();
        session.leave();
        end
    }
}

/// Why a membership ended.
enum End {
    Stopped,
    /// Join again and ask the database where to go on. The reason is public.
    Restart(&'static str),
}

/// A Kafka that reported an error and has not answered since.
struct Outage {
    since: Instant,
    asked: Instant,
}

struct Session<'a> {
    ingest: &'a Ingest,
    writer: &'a mut Writer,
    consumer: BaseConsumer<Group>,
    /// Assigned to us by Kafka, but not taken up yet.
    wanted: Option<Vec<i32>>,
    gathered: Vec<Arc<Message>>,
    last_batch: usize,
    /// What the database holds for each of our partitions.
    offsets: BTreeMap<i32, i64>,
    /// The offset each partition should deliver next, if Kafka kept everything.
    positions: BTreeMap<i32, i64>,
    /// How long to wait before the database is tried again; set while it is away.
    retry: Option<Duration>,
    kafka_outage: Option<Outage>,
    swept: Instant,
    hinted: Instant,
}

impl<'a> Session<'a> {
    fn join(ingest: &'a Ingest, writer: &'a mut Writer) -> KafkaResult<Self> {
        let mut config = ingest.kafka.consumer_config(&ingest.group);
        // Partitions that were added are noticed within this time; the default is five minutes.
        config.set("topic.metadata.refresh.interval.ms", "30000");
        let consumer: BaseConsumer<Group> = config.create_with_context(Group::default())?;
        consumer.subscribe(&[&ingest.kafka.topic])?;
        let now = Instant::now();
        Ok(Self {
            ingest,
            writer,
            consumer,
            wanted: None,
            gathered: Vec::with_capacity(BATCH_MAX),
            last_batch: 0,
            offsets: BTreeMap::new(),
            positions: BTreeMap::new(),
            retry: None,
            kafka_outage: None,
            swept: now,
            hinted: now,
        })
    }

    fn run(&mut self) -> End {
        loop {
            let stopping = self.ingest.shutdown.is_cancelled();
            if !stopping && let Err(end) = self.gather() {
                return end;
            }
            self.follow_group();
            match self
                .take_up()
                .and_then(|()| self.apply())
                .and_then(|()| self.sweep())
            {
                Ok(()) => self.database_is_back(),
                Err(ProjectError::Overtaken) => {
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

    /// Leaves the group, so that others get the partitions at once and not after the session timeout.
    fn leave(self) {
        self.hint_offsets();
        self.consumer.context().close();
        if self.wanted.is_some()
            && let Err(error) = self.consumer.unassign()
        {
            tracing::debug!(%error, "an assignment could not be given back");
        }
        drop(self.consumer);
    }

    /// Fills the batch: what is there at once when it is quiet, a little more when the last batch was large.
    fn gather(&mut self) -> Result<(), End> {
        self.ask_kafka();
        let mut wait = self.retry.unwrap_or(IDLE_WAIT);
        let patience = patience(self.last_batch);
        let mut patient_until = None;
        while self.gathered.len() < BATCH_MAX {
            match self.consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => {
                    let message = owned(&self.writer.topic(), &message);
                    self.take_in(message);
                }
                Some(Err(error)) => {
                    self.kafka_failed(&error)?;
                    break;
                }
            }
            let until = *patient_until.get_or_insert_with(|| Instant::now() + patience);
            wait = until.saturating_duration_since(Instant::now());
        }
        Ok(())
    }

    fn take_in(&mut self, message: Message) {
        let Position {
            partition, offset, ..
        } = message.position;
        if let Some(expected) = self.positions.insert(partition, offset + 1)
            && expected != offset
        {
            // Sequences catch whatever this means for a wallet; a human has to know that Kafka lost or remade something.
            tracing::error!(
                partition,
                expected_offset = expected,
                found_offset = offset,
                "offsets jumped: messages are gone (retention), or the topic was made again"
            );
            self.ingest.progress.offsets_jumped();
        }
        self.gathered.push(Arc::new(message));
    }

    fn follow_group(&mut self) {
        for change in self.consumer.context().take_changes() {
            // What was gathered belongs to whoever gets the partitions next: it was not committed, so it comes again.
            self.gathered.clear();
            self.offsets.clear();
            self.positions.clear();
            self.wanted = match change {
                Change::Assigned(partitions) => Some(partitions),
                Change::Revoked => None,
            };
        }
    }

    /// Starts the partitions where the database says.
    fn take_up(&mut self) -> Result<(), ProjectError> {
        let Some(partitions) = &self.wanted else {
            return Ok(());
        };
        let offsets = self.writer.claim(partitions)?;
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        let listed = offsets.iter().try_for_each(|(partition, offset)| {
            list.add_partition_offset(
                &self.ingest.kafka.topic,
                *partition,
                Offset::Offset(*offset),
            )
        });
        // A partition that was paused when it was taken away is still paused when it comes back.
        let taken_up = listed
            .and_then(|()| self.consumer.assign(&list))
            .and_then(|()| self.consumer.resume(&list));
        if let Err(error) = taken_up {
            // Revoked in the meantime; the next assignment is on its way.
            tracing::warn!(%error, "partitions could not be taken up");
        } else {
            tracing::info!(?offsets, "partitions taken up");
            self.ingest.progress.partitions_assigned(offsets.len());
        }
        self.positions.clone_from(&offsets);
        self.offsets = offsets;
        self.wanted = None;
        Ok(())
    }

    fn apply(&mut self) -> Result<(), ProjectError> {
        if self.gathered.is_empty() {
            self.last_batch = 0;
            return Ok(());
        }
        let applied = self.writer.project(&self.gathered, &mut self.offsets)?;
        self.last_batch = self.gathered.len();
        self.gathered.clear();
        for applied in applied {
            if i64::try_from(applied.unparked).is_ok_and(|unparked| unparked >= UNPARK_MAX) {
                self.swept = self.swept.checked_sub(SWEEP_EVERY).unwrap_or(self.swept);
            }
            self.ingest.progress.applied(applied);
        }
        if self.hinted.elapsed() >= HINT_EVERY {
            self.hint_offsets();
            self.hinted = Instant::now();
        }
        Ok(())
    }

    fn sweep(&mut self) -> Result<(), ProjectError> {
        if self.offsets.is_empty() || self.swept.elapsed() < SWEEP_EVERY {
            return Ok(());
        }
        loop {
            match self.writer.take_up_parked() {
                Ok(applied) if applied.unparked == 0 => break,
                Ok(applied) => self.ingest.progress.applied(applied),
                // What waits goes on waiting; it must not hold up what arrives.
                Err(ProjectError::Unstorable(error)) => {
                    tracing::error!(%error, "parked events are refused by the database");
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        self.swept = Instant::now();
        Ok(())
    }

    /// Keeps the batch and the membership: nothing more is fetched, but polling goes on.
    fn hold(&mut self, error: &ProjectError) {
        if self.retry.is_none() {
            tracing::warn!(
                error = error as &dyn std::error::Error,
                "history cannot be written, trying until it can"
            );
            self.ingest.progress.database_away();
            self.on_assignment("paused", BaseConsumer::pause);
        }
        self.retry = Some(
            self.retry
                .map_or(RETRY_FIRST, |pause| (pause * 2).min(RETRY_MAX)),
        );
    }

    fn database_is_back(&mut self) {
        if self.retry.take().is_some() {
            tracing::info!("history can be written again");
            self.on_assignment("resumed", BaseConsumer::resume);
        }
        self.ingest.progress.database_ok();
    }

    fn on_assignment(
        &self,
        what: &str,
        change: impl Fn(&BaseConsumer<Group>, &TopicPartitionList) -> KafkaResult<()>,
    ) {
        let changed = self
            .consumer
            .assignment()
            .and_then(|assignment| change(&self.consumer, &assignment));
        if let Err(error) = changed {
            tracing::warn!(%error, "partitions could not be {what}");
        }
    }

    fn hint_offsets(&self) {
        let mut list = TopicPartitionList::with_capacity(self.offsets.len());
        let listed = self
            .offsets
            .iter()
            .filter(|(_, offset)| **offset > 0)
            .try_for_each(|(partition, offset)| {
                list.add_partition_offset(
                    &self.ingest.kafka.topic,
                    *partition,
                    Offset::Offset(*offset),
                )
            });
        if list.count() == 0 {
            return;
        }
        if let Err(error) = listed.and_then(|()| self.consumer.commit(&list, CommitMode::Async)) {
            tracing::debug!(%error, "offsets could not be shown to Kafka");
        }
    }

    /// Kafka's trouble is waited out; only what a new membership can mend ends this one.
    fn kafka_failed(&mut self, error: &KafkaError) -> Result<(), End> {
        if self.kafka_outage.is_none() {
            tracing::warn!(%error, "Kafka reports an error, waiting until it is over");
            self.ingest
                .progress
                .kafka_degraded("Kafka is not available");
            let now = Instant::now();
            self.kafka_outage = Some(Outage {
                since: now,
                asked: now,
            });
        }
        if matches!(error, KafkaError::MessageConsumptionFatal(_)) {
            return Err(End::Restart("the consumer group has to be joined again"));
        }
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnknownTopicOrPartition) {
            return Err(End::Restart("the topic is gone"));
        }
        Ok(())
    }

    /// After an error: asks every few seconds whether Kafka answers again.
    fn ask_kafka(&mut self) {
        let Some(outage) = &mut self.kafka_outage else {
            return;
        };
        if outage.asked.elapsed() < KAFKA_ASK_EVERY {
            return;
        }
        let topic = Some(self.ingest.kafka.topic.as_str());
        if self
            .consumer
            .fetch_metadata(topic, KAFKA_ASK_TIMEOUT)
            .is_ok()
        {
            tracing::info!(
                outage_ms = outage.since.elapsed().as_millis(),
                "Kafka answers again"
            );
            self.kafka_outage = None;
            self.ingest.progress.kafka_ok();
        } else {
            outage.asked = Instant::now();
        }
    }
}

fn patience(last_batch: usize) -> Duration {
    let reached = PATIENCE.into_iter().find(|(from, _)| last_batch >= *from);
    reached.map_or(Duration::ZERO, |(_, patience)| patience)
}

fn owned(topic: &Arc<str>, message: &BorrowedMessage<'_>) -> Message {
    let headers = message.headers().map(|headers| {
        headers
            .iter()
            .map(|header| (header.key, header.value))
            .collect()
    });
    Message {
        position: Position {
            topic: Arc::clone(topic),
            partition: message.partition(),
            offset: message.offset(),
        },
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: Headers::Received(headers.unwrap_or_default()),
    }
}
