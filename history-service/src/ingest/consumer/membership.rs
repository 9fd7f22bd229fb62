//! One membership in the consumer group, seen from the loop: what arrives, which partitions are ours, and whether Kafka
//! answers. It knows nothing of rows.

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
use shared::server::{
    kafka::{KafkaSettings, Wanted, missing_right},
    outage::Outage,
};

use super::{
    group::{Change, Group},
    positions::Bounds,
};
use crate::{
    ingest::{
        message::{Headers, Message, Position},
        store::ResumePoint,
    },
    progress::Progress,
};

/// How often a Kafka that was away is asked whether it is back. Only errors are announced, recovery is not.
const KAFKA_ASK_EVERY: Duration = Duration::from_secs(2);
const KAFKA_ASK_TIMEOUT: Duration = Duration::from_secs(1);
/// How long to wait until a partition is read from elsewhere: nothing is sent for it.
const SEEK_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) struct Membership {
    consumer: BaseConsumer<Group>,
    topic: Arc<str>,
    progress: Arc<Progress>,
    /// Of all memberships: it begins with the first error and ends when partitions are read again.
    outage: Arc<Outage>,
    /// When Kafka was asked last whether it answers, since it reported an error.
    asked: Option<Instant>,
}

/// What only a new membership can mend. The reason is public.
pub(super) struct Lost(pub(super) &'static str);

impl Membership {
    pub(super) fn join(
        kafka: &KafkaSettings,
        group: &str,
        progress: Arc<Progress>,
        outage: Arc<Outage>,
    ) -> KafkaResult<Self> {
        let mut config = kafka.consumer_config(group);
        // Partitions that were added are noticed within this time; the default is five minutes.
        config.set("topic.metadata.refresh.interval.ms", "30000");
        let consumer: BaseConsumer<Group> = config.create_with_context(Group::default())?;
        consumer.subscribe(&[&kafka.topic])?;
        Ok(Self {
            consumer,
            topic: Arc::from(kafka.topic.as_str()),
            progress,
            outage,
            asked: None,
        })
    }

    /// The next message, if one comes in time. An outage of Kafka is waited out like silence.
    pub(super) fn poll(&mut self, wait: Duration) -> Result<Option<Message>, Lost> {
        match self.consumer.poll(wait) {
            None => Ok(None),
            Some(Ok(message)) => Ok(Some(owned(&self.topic, &message))),
            Some(Err(error)) => self.failed(&error).map(|()| None),
        }
    }

    /// What Kafka has decided about our partitions since the last call, in order.
    pub(super) fn take_changes(&self) -> Vec<Change> {
        self.consumer.context().take_changes()
    }

    /// Starts the partitions at these offsets.
    pub(super) fn assign(&self, offsets: &BTreeMap<i32, i64>) -> KafkaResult<()> {
        let list = self.list(
            offsets
                .iter()
                .map(|(partition, offset)| (*partition, *offset)),
        )?;
        self.consumer.assign(&list)?;
        if self.asked.is_none() {
            self.outage.worked();
        }
        // A partition that was paused when it was taken away is still paused when it comes back.
        self.consumer.resume(&list)
    }

    /// Goes on with the first message that the partition still holds.
    pub(super) fn read_from_start(&self, partition: i32) -> KafkaResult<()> {
        self.consumer
            .seek(&self.topic, partition, Offset::Beginning, SEEK_TIMEOUT)
    }

    /// Whether Kafka has deleted the message at this offset: the partition begins behind it. When Kafka does not say, it
    /// may have.
    pub(super) fn is_deleted(&self, partition: i32, offset: i64) -> bool {
        self.bounds(partition)
            .map_or(true, |bounds| bounds.first > offset)
    }

    /// What the partition holds now.
    pub(super) fn bounds(&self, partition: i32) -> KafkaResult<Bounds> {
        let (first, end) = self
            .consumer
            .fetch_watermarks(&self.topic, partition, SEEK_TIMEOUT)?;
        Ok(Bounds { first, end })
    }

    /// Nothing more is fetched; polling keeps the membership.
    pub(super) fn pause(&self) {
        let paused = self.assignment(BaseConsumer::pause);
        if let Err(error) = paused {
            tracing::warn!(%error, "partitions could not be paused");
        }
    }

    pub(super) fn resume(&self) {
        let resumed = self.assignment(BaseConsumer::resume);
        if let Err(error) = resumed {
            tracing::warn!(%error, "partitions could not be resumed");
        }
    }

    /// Shows Kafka how far we are, for displays of the lag, and for others to see that this database is read into. Also
    /// where we are at the start: the group may show where another database was. The offsets that count are in Postgres.
    pub(super) fn show_offsets(&self, points: &BTreeMap<i32, ResumePoint>) {
        let offsets = points
            .iter()
            .map(|(partition, point)| (*partition, point.next_offset));
        let list = match self.list(offsets) {
            Ok(list) if list.count() == 0 => return,
            listed => listed,
        };
        let shown = list.and_then(|list| self.consumer.commit(&list, CommitMode::Async));
        if let Err(error) = shown {
            tracing::debug!(%error, "offsets could not be shown to Kafka");
        }
    }

    /// Leaves the group, so that others get the partitions at once and not after the session time-out.
    pub(super) fn leave(self, assignment_pending: bool) {
        self.consumer.context().close();
        if assignment_pending && let Err(error) = self.consumer.unassign() {
            tracing::debug!(%error, "an assignment could not be given back");
        }
        drop(self.consumer);
    }

    /// After an error: asks every few seconds whether Kafka answers again, and says once that it does.
    pub(super) fn is_back(&mut self) -> bool {
        if self
            .asked
            .is_none_or(|asked| asked.elapsed() < KAFKA_ASK_EVERY)
        {
            return false;
        }
        if self
            .consumer
            .fetch_metadata(Some(&self.topic), KAFKA_ASK_TIMEOUT)
            .is_ok()
        {
            self.asked = None;
            self.outage.worked();
            self.progress.kafka_ok();
            true
        } else {
            self.asked = Some(Instant::now());
            false
        }
    }

    /// An outage is waited out; only what a new membership can mend ends this one.
    fn failed(&mut self, error: &KafkaError) -> Result<(), Lost> {
        let reason = self.consumer.context().last_reason();
        let reason =
            reason.map_or_else(|| error.to_string(), |reason| format!("{error}: {reason}"));
        if let Some(refusal) = missing_right(error, Wanted::Read) {
            self.outage.failed_with(&format!("{refusal}: {reason}"));
            // Waiting mends nothing: what is granted later is seen by a new membership.
            return Err(Lost(refusal));
        }
        self.outage.failed_somehow(&reason);
        if self.asked.is_none() {
            let refusal = self.consumer.context().refusal();
            self.progress
                .kafka_degraded(refusal.unwrap_or("Kafka is not available"));
            self.asked = Some(Instant::now());
        }
        if matches!(error, KafkaError::MessageConsumptionFatal(_)) {
            return Err(Lost("the consumer group has to be joined again"));
        }
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnknownTopicOrPartition) {
            return Err(Lost("the topic is gone"));
        }
        Ok(())
    }

    fn assignment(
        &self,
        change: impl Fn(&BaseConsumer<Group>, &TopicPartitionList) -> KafkaResult<()>,
    ) -> KafkaResult<()> {
        change(&self.consumer, &self.consumer.assignment()?)
    }

    fn list(&self, offsets: impl Iterator<Item = (i32, i64)>) -> KafkaResult<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in offsets {
            list.add_partition_offset(&self.topic, partition, Offset::Offset(offset))?;
        }
        Ok(list)
    }
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
            sent_at: message.timestamp().to_millis(),
        },
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: Headers::Received(headers.unwrap_or_default()),
    }
}
