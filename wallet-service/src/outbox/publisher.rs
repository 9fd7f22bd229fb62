//! The producer, and what it has acknowledged of a batch.
//!
//! A batch is acknowledged as a whole, so its deliveries are counted: a future for each of them would cost more than the
//! rest of the sending.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use rdkafka::{
    ClientContext,
    error::{KafkaError, KafkaResult},
    producer::{
        BaseRecord, DeliveryResult, Producer, ProducerContext, PurgeConfig, ThreadedProducer,
    },
};
use shared::server::kafka::KafkaSettings;
use tokio::sync::Notify;

use super::message::Message;

/// Publishes to one topic.
pub(super) struct Publisher {
    producer: ThreadedProducer<Reporting>,
    topic: String,
}

impl Publisher {
    pub(super) fn new(kafka: &KafkaSettings) -> KafkaResult<Self> {
        Ok(Self {
            producer: kafka.producer_config().create_with_context(Reporting)?,
            topic: kafka.topic.clone(),
        })
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
        self.producer.send(record).map_err(|(error, _)| error)
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
struct Reporting;

impl ClientContext for Reporting {}

impl ProducerContext for Reporting {
    type DeliveryOpaque = Arc<Deliveries>;

    fn delivery(&self, result: &DeliveryResult<'_>, deliveries: Arc<Deliveries>) {
        let result = match result {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(error.clone()),
        };
        deliveries.delivered(result);
    }
}
