//! The topic: made once, with settings that lose nothing.

use std::time::Duration;

use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    error::KafkaError,
    types::RDKafkaErrorCode,
};

use super::{
    KafkaSettings, Quiet,
    not_let_in::not_let_in,
    refusal::{Refusal, Wanted, missing_right, missing_right_of},
};

/// Why the topic is not known to exist.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    #[error("the Kafka settings cannot be used")]
    Client(#[source] KafkaError),
    #[error("Kafka at {brokers} did not answer within {waited_ms} ms")]
    Unreachable {
        brokers: String,
        waited_ms: u128,
        #[source]
        source: Option<KafkaError>,
    },
    #[error("Kafka at {brokers} does not say what the topic is like")]
    NotTold {
        brokers: String,
        #[source]
        source: KafkaError,
    },
    #[error("{refusal}")]
    NotLetIn { refusal: Refusal, source: Box<Self> },
    #[error("Kafka refused to create the topic {topic}: {reason}")]
    Refused {
        topic: String,
        reason: RDKafkaErrorCode,
    },
}

impl TopicError {
    /// What Kafka refuses, if that is it. It names no address.
    pub const fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::NotLetIn { refusal, .. } => Some(refusal),
            Self::Client(_)
            | Self::Unreachable { .. }
            | Self::NotTold { .. }
            | Self::Refused { .. } => None,
        }
    }

    /// Says what Kafka refused, when that is why no answer came or an error for one.
    pub(super) async fn or_refusal(self, settings: &KafkaSettings, wanted: Wanted) -> Self {
        let missing = match &self {
            Self::Unreachable { source, .. } => source
                .as_ref()
                .and_then(|error| missing_right(error, wanted)),
            Self::NotTold { source, .. } => missing_right(source, wanted),
            Self::Refused { reason, .. } => missing_right_of(*reason, wanted),
            Self::Client(_) | Self::NotLetIn { .. } => None,
        };
        let refusal = match (missing, &self) {
            (Some(refusal), _) => Some(refusal),
            (None, Self::Unreachable { .. }) => not_let_in(settings).await,
            (None, _) => None,
        };
        match refusal {
            Some(refusal) => Self::NotLetIn {
                refusal,
                source: Box::new(self),
            },
            None => self,
        }
    }

    /// Of a question that got no answer in time, or an error for an answer.
    pub(super) fn asking(brokers: &str, timeout: Duration, source: Option<KafkaError>) -> Self {
        let brokers = brokers.to_owned();
        match source {
            Some(source) if !is_silence(&source) => Self::NotTold { brokers, source },
            source => Self::Unreachable {
                brokers,
                waited_ms: timeout.as_millis(),
                source,
            },
        }
    }
}

/// Whether no broker answered.
fn is_silence(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::RequestTimedOut
                | RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::Resolve
        )
    )
}

/// Makes sure that the topic exists. One that is there already is left as it is.
///
/// # Errors
/// When Kafka does not answer within `timeout`, or refuses.
pub async fn ensure_topic(settings: &KafkaSettings, timeout: Duration) -> Result<(), TopicError> {
    let admin: AdminClient<Quiet> = settings
        .client_config()
        .create_with_context(Quiet::default())
        .map_err(TopicError::Client)?;
    let created = create_topic(&admin, settings, timeout).await;
    // Dropping a client waits for its threads, which may be waiting for a broker.
    tokio::task::spawn_blocking(move || drop(admin));
    match created {
        Err(error) => Err(error.or_refusal(settings, Wanted::Make).await),
        created => created,
    }
}

async fn create_topic(
    admin: &AdminClient<Quiet>,
    settings: &KafkaSettings,
    timeout: Duration,
) -> Result<(), TopicError> {
    let unreachable = |source| TopicError::Unreachable {
        brokers: settings.brokers.clone(),
        waited_ms: timeout.as_millis(),
        source,
    };
    let partitions = i32::from(settings.partitions);
    let retention_ms = settings.retention_ms().to_string();
    let topic = NewTopic::new(
        &settings.topic,
        partitions,
        TopicReplication::Fixed(i32::from(settings.replication)),
    )
    // Compaction would keep only each wallet's last event.
    .set("cleanup.policy", "delete")
    // A copy that lags behind would come without events that were acknowledged.
    .set("unclean.leader.election.enable", "false")
    // Two copies have an event before it is acknowledged, where there are three.
    .set("min.insync.replicas", settings.min_insync_replicas())
    // For ever, when nothing else is said: a consumer that is added later starts from the first event.
    .set("retention.ms", retention_ms.as_str());
    let options = AdminOptions::new()
        .request_timeout(Some(timeout))
        .operation_timeout(Some(timeout));
    let answer = tokio::time::timeout(timeout, admin.create_topics([&topic], &options)).await;
    let results = answer
        .map_err(|_| unreachable(None))?
        .map_err(|error| unreachable(Some(error)))?;
    match results.into_iter().next() {
        Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(()),
        Some(Err((_, reason))) => Err(TopicError::Refused {
            topic: settings.topic.clone(),
            reason,
        }),
        Some(Ok(_)) => {
            tracing::info!(topic = settings.topic, partitions, "topic created");
            Ok(())
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_absent_broker_is_an_error_and_not_a_wait() {
        let kafka = KafkaSettings::plain("127.0.0.1:1", "t", 1);
        let error = ensure_topic(&kafka, Duration::from_millis(200))
            .await
            .unwrap_err();
        assert!(matches!(error, TopicError::Unreachable { .. }), "{error}");
    }
}
