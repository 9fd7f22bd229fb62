//! Membership in the consumer group: what Kafka says about partitions, kept until the ingest loop acts on it.
//!
//! Kafka's callbacks run inside `poll` and must not block, but where to go on stands in Postgres, which may be away. So
//! an assignment is only noted here, and made by the loop when it has the offsets; until then the loop polls on and
//! stays a member. What is taken away is given up at once.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use rdkafka::{
    ClientContext, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::{KafkaError, KafkaResult},
    types::RDKafkaRespErr,
};
use shared::server::kafka::{Quiet, Refusal};

/// What Kafka decided about this member's partitions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Change {
    Assigned(Vec<i32>),
    Revoked,
}

#[derive(Default)]
pub(super) struct Group {
    changes: Mutex<Vec<Change>>,
    closed: AtomicBool,
    /// What the client said of the last error: more than the error itself does.
    reason: Mutex<Option<String>>,
    quiet: Quiet,
}

impl Group {
    /// The changes since the last call, in order.
    pub(super) fn take_changes(&self) -> Vec<Change> {
        std::mem::take(&mut *self.changes())
    }

    /// From now on every assignment is given back at once. Closing a consumer waits for an answer to each.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// What the client said of the last error.
    pub(super) fn last_reason(&self) -> Option<String> {
        let reason = self.reason.lock();
        reason.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why Kafka does not let this member in, if that was said.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        self.quiet.refusal()
    }

    fn changes(&self) -> MutexGuard<'_, Vec<Change>> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Group {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.quiet.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // Errors come to the loop as events, too, and are reported there once per outage and not per attempt.
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        self.quiet.error(error, reason);
    }
}

impl ConsumerContext for Group {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        code: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let assigned = code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if assigned && !self.closed.load(Ordering::Relaxed) {
            // More members than partitions: the list is empty, and `elements` would panic on it.
            let partitions = match partitions.count() {
                0 => Vec::new(),
                _ => partitions
                    .elements()
                    .iter()
                    .map(|element| element.partition())
                    .collect(),
            };
            self.changes().push(Change::Assigned(partitions));
            return;
        }
        if let Err(error) = consumer.unassign() {
            tracing::warn!(%error, "partitions cannot be given up");
        }
        self.changes().push(Change::Revoked);
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        // For displays of the lag only; the offsets that count are in Postgres.
        if let Err(error) = result {
            tracing::debug!(%error, "offsets could not be shown to Kafka");
        }
    }
}
