//! What a topic is like: the settings and offsets that decide whether what it was given stays there.
//!
//! Looking changes nothing. Whether what is seen is good is for the caller to say. A partition that has no leader for a
//! moment, because the topic was just made or a broker ended, is waited for.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use rdkafka::{
    admin::{AdminClient, AdminOptions, ConfigResource, ResourceSpecifier},
    error::{KafkaError, RDKafkaErrorCode},
};

use super::{KafkaSettings, Quiet, TopicError, refusal::Wanted};

/// Between two looks at a partition without a leader.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicState {
    pub cluster_id: Option<String>,
    /// The copies of the partition that has the fewest.
    pub copies: usize,
    /// Of each partition, the offset after its last message.
    pub end_offsets: Vec<i64>,
    /// Nothing when the broker does not tell it, for want of a right, say.
    pub settings: Option<TopicSettings>,
}

/// The topic's own settings, or the broker's where it has none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicSettings {
    pub cleanup_policy: String,
    /// -1 is for ever.
    pub retention_ms: i64,
    /// -1 is all.
    pub retention_bytes: i64,
    pub min_insync_replicas: usize,
    pub unclean_leader_election: bool,
    /// Of a message with all that goes with it, and of messages that are sent together.
    pub message_bytes_max: usize,
}

impl TopicState {
    pub const fn partitions(&self) -> usize {
        self.end_offsets.len()
    }
}

/// Looks at the topic of the settings; nothing when Kafka answers that there is none.
///
/// # Errors
/// When Kafka does not answer within `timeout`, or does not say.
pub async fn look_at_topic(
    settings: &KafkaSettings,
    timeout: Duration,
) -> Result<Option<TopicState>, TopicError> {
    match look(settings, timeout).await {
        Err(error) => Err(error.or_refusal(settings, Wanted::Look).await),
        seen => seen,
    }
}

async fn look(
    settings: &KafkaSettings,
    timeout: Duration,
) -> Result<Option<TopicState>, TopicError> {
    let admin: AdminClient<Quiet> = settings
        .client_config()
        .create_with_context(Quiet::default())
        .map_err(TopicError::Client)?;
    let failed = |source| TopicError::asking(&settings.brokers, timeout, source);
    let topic = settings.topic.clone();
    // These calls block, and so does dropping a client, whose threads may be waiting for a broker.
    let looking = tokio::task::spawn_blocking(move || {
        let seen = settled_partitions(&admin, &topic, timeout);
        (admin, seen)
    });
    let (admin, seen) = looking.await.map_err(|_| failed(None))?;
    let described = match &seen {
        Ok(Some(_)) => Some(describe(&admin, &settings.topic, timeout).await),
        Ok(None) | Err(_) => None,
    };
    tokio::task::spawn_blocking(move || drop(admin));
    let Some(mut state) = seen.map_err(|error| failed(Some(error)))? else {
        return Ok(None);
    };
    state.settings = match described {
        Some(described) => described.map_err(failed)?,
        None => None,
    };
    Ok(Some(state))
}

/// The same as [`partitions`], when each has a leader.
fn settled_partitions(
    admin: &AdminClient<Quiet>,
    topic: &str,
    timeout: Duration,
) -> Result<Option<TopicState>, KafkaError> {
    let until = Instant::now() + timeout;
    loop {
        match partitions(admin, topic, timeout) {
            Err(error) if passes(&error) && Instant::now() < until => {
                std::thread::sleep(ASK_AGAIN_AFTER);
            }
            seen => return seen,
        }
    }
}

/// Whether the answer says that there is no leader right now.
fn passes(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::LeaderNotAvailable
                | RDKafkaErrorCode::NotLeaderForPartition
                | RDKafkaErrorCode::OffsetNotAvailable
                | RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::UnknownTopicOrPartition
        )
    )
}

/// Everything but the settings.
fn partitions(
    admin: &AdminClient<Quiet>,
    topic: &str,
    timeout: Duration,
) -> Result<Option<TopicState>, KafkaError> {
    let client = admin.inner();
    let metadata = client.fetch_metadata(Some(topic), timeout)?;
    let Some(seen) = metadata.topics().iter().find(|seen| seen.name() == topic) else {
        return Ok(None);
    };
    if let Some(error) = seen.error() {
        let code = RDKafkaErrorCode::from(error);
        let is_unknown = matches!(
            code,
            RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic
        );
        return if is_unknown {
            Ok(None)
        } else {
            Err(KafkaError::MetadataFetch(code))
        };
    }
    let mut ends = Vec::with_capacity(seen.partitions().len());
    let mut numbers: Vec<i32> = seen.partitions().iter().map(|one| one.id()).collect();
    numbers.sort_unstable();
    for number in numbers {
        let (_, end) = client.fetch_watermarks(topic, number, timeout)?;
        ends.push(end);
    }
    let copies = seen.partitions().iter().map(|one| one.replicas().len());
    Ok(Some(TopicState {
        cluster_id: client.fetch_cluster_id(timeout),
        copies: copies.min().unwrap_or_default(),
        end_offsets: ends,
        settings: None,
    }))
}

async fn describe(
    admin: &AdminClient<Quiet>,
    topic: &str,
    timeout: Duration,
) -> Result<Option<TopicSettings>, Option<KafkaError>> {
    let resource = ResourceSpecifier::Topic(topic);
    let options = AdminOptions::new().request_timeout(Some(timeout));
    let asked = admin.describe_configs([&resource], &options);
    let described = tokio::time::timeout(timeout, asked)
        .await
        .map_err(|_| None)?
        .map_err(Some)?;
    let resource = described.into_iter().next().and_then(Result::ok);
    Ok(resource.and_then(|resource| TopicSettings::of(&resource)))
}

impl TopicSettings {
    /// Nothing when one of them is not told: a broker that refuses tells none.
    fn of(resource: &ConfigResource) -> Option<Self> {
        let values: HashMap<&str, &str> = resource
            .entries
            .iter()
            .filter_map(|entry| Some((entry.name.as_str(), entry.value.as_deref()?)))
            .collect();
        let value = |name: &str| values.get(name).copied();
        Some(Self {
            cleanup_policy: value("cleanup.policy")?.to_owned(),
            retention_ms: value("retention.ms")?.parse().ok()?,
            retention_bytes: value("retention.bytes")?.parse().ok()?,
            min_insync_replicas: value("min.insync.replicas")?.parse().ok()?,
            unclean_leader_election: value("unclean.leader.election.enable")? == "true",
            message_bytes_max: value("max.message.bytes")?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_without_a_leader_is_waited_for_and_a_refusal_is_not() {
        let passing = |code| passes(&KafkaError::MetadataFetch(code));
        assert!(passing(RDKafkaErrorCode::NotLeaderForPartition));
        assert!(passing(RDKafkaErrorCode::LeaderNotAvailable));
        assert!(!passing(RDKafkaErrorCode::TopicAuthorizationFailed));
        assert!(!passing(RDKafkaErrorCode::OperationTimedOut));
    }

    #[test]
    fn an_answer_is_not_told_as_a_time_out() {
        let told = |code: Option<RDKafkaErrorCode>| {
            let source = code.map(KafkaError::MetadataFetch);
            TopicError::asking("kafka:9092", Duration::from_secs(5), source).to_string()
        };
        let silent = "Kafka at kafka:9092 did not answer within 5000 ms";
        assert_eq!(told(None), silent);
        assert_eq!(told(Some(RDKafkaErrorCode::OperationTimedOut)), silent);
        assert_eq!(told(Some(RDKafkaErrorCode::BrokerTransportFailure)), silent);
        assert_eq!(
            told(Some(RDKafkaErrorCode::NotLeaderForPartition)),
            "Kafka at kafka:9092 does not say what the topic is like"
        );
    }
}
