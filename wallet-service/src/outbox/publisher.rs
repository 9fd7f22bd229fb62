//! The producer, and what it has acknowledged of a batch.
//!
//! A batch is acknowledged as a whole, so its deliveries are counted: a future for each of them would cost more than the
//! rest of the sending. Beside that, each partition's last acknowledged offset is kept: a topic that ends before it was
//! deleted, or truncated, since.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicI64, AtomicUsize, Ordering},
};

use rdkafka::{
    ClientContext, Message as _,
    config::RDKafkaLogLevel,
    error::{KafkaError, KafkaResult},
    producer::{
        BaseRecord, DeliveryResult, Producer, ProducerContext, PurgeConfig, ThreadedProducer,
    },
};
use shared::server::kafka::{KafkaSettings, Quiet, Refusal, Wanted, missing_right};
use tokio::sync::Notify;

use super::message::Message;

/// What the client library takes as `message.max.bytes`, from below; and its default, which is enough for any event.
const CLIENT_BYTES_MIN: usize = 1_000;
const CLIENT_BYTES_MAX: usize = 1_000_000;

/// Publishes to one topic.
pub(super) struct Publisher {
    producer: ThreadedProducer<Reporting>,
    topic: String,
    /// The largest message that the topic takes.
    message_bytes_max: usize,
    next_offsets: NextOffsets,
}

/// For each partition, the offset after the last message that was acknowledged.
#[derive(Clone, Default)]
pub(super) struct NextOffsets(Arc<[AtomicI64]>);

impl NextOffsets {
    pub(super) fn from_known(known: &[i64]) -> Self {
        Self(known.iter().copied().map(AtomicI64::new).collect())
    }

    pub(super) fn get(&self) -> Vec<i64> {
        let offsets = self.0.iter();
        offsets
            .map(|offset| offset.load(Ordering::Relaxed))
            .collect()
    }

    fn acknowledged(&self, partition: i32, offset: i64) {
        // A partition that was added since is noted from the next look on.
        let known = usize::try_from(partition)
            .ok()
            .and_then(|at| self.0.get(at));
        if let Some(next) = known {
            next.fetch_max(offset.saturating_add(1), Ordering::Relaxed);
        }
    }
}

impl Publisher {
    /// `message_bytes_max` is what the topic takes. Messages that are sent together are no larger in all: the topic would
    /// refuse them together.
    pub(super) fn new(
        kafka: &KafkaSettings,
        message_bytes_max: usize,
        next_offsets: NextOffsets,
    ) -> KafkaResult<Self> {
        let mut config = kafka.producer_config();
        let bytes = message_bytes_max.clamp(CLIENT_BYTES_MIN, CLIENT_BYTES_MAX);
        config.set("message.max.bytes", bytes.to_string());
        let reporting = Reporting {
            next_offsets: next_offsets.clone(),
            quiet: Quiet::default(),
        };
        Ok(Self {
            producer: config.create_with_context(reporting)?,
            topic: kafka.topic.clone(),
            message_bytes_max: message_bytes_max.min(CLIENT_BYTES_MAX),
            next_offsets,
        })
    }

    pub(super) const fn message_bytes_max(&self) -> usize {
        self.message_bytes_max
    }

    pub(super) fn next_offsets(&self) -> Vec<i64> {
        self.next_offsets.get()
    }

    /// What Kafka refused, when that is what an error of a delivery comes from.
    pub(super) fn refusal(&self, error: &KafkaError) -> Option<Refusal> {
        missing_right(error, Wanted::Write).or_else(|| self.said())
    }

    /// What Kafka was heard to refuse since it was asked last.
    pub(super) fn said(&self) -> Option<Refusal> {
        self.producer.client().context().quiet.refusal()
    }

    /// Queues a message; `deliveries` hears what becomes of it.
    pub(super) fn publish(
        &self,
        Message {
            key,
            headers,
            payload,
        }: Message,
        deliveries: &Arc<Deliveries>,
    ) -> KafkaResult<()> {
        deliveries.pending.fetch_add(1, Ordering::Relaxed);
        let record = BaseRecord::with_opaque_to(&self.topic, Arc::clone(deliveries))
            .key(&key)
            .payload(&payload)
            .headers(headers);
        self.producer.send(record).map_err(|(error, _)| {
            // It is not on its way, so nothing more is heard of it.
            deliveries.pending.fetch_sub(1, Ordering::AcqRel);
            error
        })
    }

    /// Lets go of what is still queued: it is in the outbox as well, and must not leave after what follows it.
    pub(super) fn abandon(self) {
        self.producer
            .purge(PurgeConfig::default().queue().inflight());
        // Dropping a producer waits for its threads.
        tokio::task::spawn_blocking(move || drop(self));
    }
}

/// What Kafka has said so far to the messages of a batch.
#[derive(Default)]
pub(super) struct Deliveries {
    pending: AtomicUsize,
    failure: Mutex<Option<KafkaError>>,
    settled: Notify,
}

impl Deliveries {
    /// How many messages are not acknowledged yet.
    pub(super) fn pending(&self) -> usize {
        self.pending.load(Ordering::Acquire)
    }

    /// Waits until every message that was published is acknowledged, or one has failed.
    pub(super) async fn acknowledged(&self) -> KafkaResult<()> {
        loop {
            let settled = self.settled.notified();
            if let Some(error) = self.failure().take() {
                return Err(error);
            }
            if self.pending.load(Ordering::Acquire) == 0 {
                return Ok(());
            }
            settled.await;
        }
    }

    fn delivered(&self, result: Result<(), KafkaError>) {
        let failed = result.is_err();
        if let Err(error) = result {
            self.failure().get_or_insert(error);
        }
        let last = self.pending.fetch_sub(1, Ordering::AcqRel) == 1;
        if last || failed {
            self.settled.notify_one();
        }
    }

    fn failure(&self) -> std::sync::MutexGuard<'_, Option<KafkaError>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells each message's batch what became of it.
struct Reporting {
    next_offsets: NextOffsets,
    quiet: Quiet,
}

impl ClientContext for Reporting {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.quiet.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.quiet.error(error, reason);
    }
}

impl ProducerContext for Reporting {
    type DeliveryOpaque = Arc<Deliveries>;

    fn delivery(&self, result: &DeliveryResult<'_>, deliveries: Arc<Deliveries>) {
        let result = match result {
            Ok(message) => {
                self.next_offsets
                    .acknowledged(message.partition(), message.offset());
                Ok(())
            }
            Err((error, _)) => Err(error.clone()),
        };
        deliveries.delivered(result);
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::message::OwnedHeaders;

    use super::*;

    #[test]
    fn a_message_that_the_client_does_not_take_is_not_waited_for() {
        let kafka = KafkaSettings::plain("127.0.0.1:1", "t", 1);
        let publisher = Publisher::new(&kafka, CLIENT_BYTES_MIN, NextOffsets::default()).unwrap();
        let deliveries = Arc::new(Deliveries::default());
        let message = Message {
            key: "wallet".to_owned(),
            headers: OwnedHeaders::new(),
            payload: vec![b'x'; 2 * CLIENT_BYTES_MIN],
        };
        publisher.publish(message, &deliveries).unwrap_err();
        assert_eq!(deliveries.pending(), 0);
    }
}
