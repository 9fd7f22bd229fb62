//! The topic, looked at: whether what Kafka acknowledges stays there until everybody has read it.
//!
//! A topic that once existed is never made again silently: consumers would go on at their old offsets, and what was in it
//! would be missed without a word. What a look finds wrong is stored, so that every instance says it.

use std::time::Duration;

use shared::server::kafka::{
    KafkaSettings, TopicError, TopicSettings, TopicState, ensure_topic, look_at_topic,
};
use sqlx::PgConnection;

use super::{
    message::MESSAGE_BYTES_MAX,
    store::topics::{self, KnownTopic},
};

const TIMEOUT: Duration = Duration::from_secs(5);

/// Said by every instance while acknowledged messages are gone.
pub(super) const LOST: &str = "messages that the topic had acknowledged are gone: `walletctl republish --all` sends all \
                               events again";

/// Why there is no topic to send to.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoTopic {
    #[error("{}", .0.refusal().unwrap_or("Kafka is not reachable"))]
    Kafka(#[source] Box<TopicError>),
    #[error(
        "the topic existed and is gone; it is not made again without your word: `walletctl republish --all --create-topic` \
         makes it and sends all events again"
    )]
    Gone,
    #[error("the outbox cannot be read")]
    Database(#[from] sqlx::Error),
}

impl From<TopicError> for NoTopic {
    fn from(error: TopicError) -> Self {
        Self::Kafka(Box::new(error))
    }
}

/// Looks at the topic, makes it if it never was there, and stores what was seen.
pub(super) async fn look(
    connection: &mut PgConnection,
    kafka: &KafkaSettings,
) -> Result<KnownTopic, NoTopic> {
    let topic = kafka.topic.as_str();
    // Read before the look: what was acknowledged by then must be there.
    let known = topics::find(connection, topic).await?;
    let may_make = known.as_ref().is_none_or(|known| known.make_again);
    let (state, is_new) = match look_at_topic(kafka, TIMEOUT).await? {
        Some(state) => (state, false),
        None if may_make => (made(kafka).await?, true),
        None => {
            topics::is_gone(connection, topic, &NoTopic::Gone.to_string()).await?;
            return Err(NoTopic::Gone);
        }
    };
    let is_lost = known
        .as_ref()
        .is_some_and(|known| is_new || has_lost(known, &state));
    let seen = KnownTopic {
        cluster_id: state.cluster_id.clone(),
        partitions: settled_partitions(known.as_ref(), &state, kafka),
        message_bytes_max: state
            .settings
            .as_ref()
            .and_then(|settings| i64::try_from(settings.message_bytes_max).ok()),
        next_offsets: match known.as_ref() {
            Some(known) if !is_lost => known.next_offsets.clone(),
            _ => state.end_offsets.clone(),
        },
        faults: faults(known.as_ref(), &state, kafka),
        make_again: false,
    };
    topics::remember(connection, topic, &seen, is_lost).await?;
    if is_lost {
        tracing::error!(topic, "{LOST}");
    }
    let before = known.map(|known| known.faults).unwrap_or_default();
    for fault in seen.faults.iter().filter(|fault| !before.contains(fault)) {
        tracing::warn!(topic, "the topic: {fault}");
    }
    Ok(seen)
}

/// Makes the topic. It is there a moment after Kafka has said so.
async fn made(kafka: &KafkaSettings) -> Result<TopicState, TopicError> {
    ensure_topic(kafka, TIMEOUT).await?;
    let appears = async {
        loop {
            if let Some(state) = look_at_topic(kafka, TIMEOUT).await?
                && state.partitions() > 0
            {
                return Ok(state);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    match tokio::time::timeout(TIMEOUT, appears).await {
        Ok(state) => state,
        Err(_) => Err(TopicError::Unreachable {
            brokers: kafka.brokers.clone(),
            waited_ms: TIMEOUT.as_millis(),
            source: None,
        }),
    }
}

/// Whether messages that were acknowledged cannot be in this topic.
fn has_lost(known: &KnownTopic, state: &TopicState) -> bool {
    let is_elsewhere =
        matches!((&known.cluster_id, &state.cluster_id), (Some(was), Some(is)) if was != is);
    let mut ends = known.next_offsets.iter().enumerate();
    let is_shorter = ends.any(|(partition, acknowledged)| {
        let end = state
            .end_offsets
            .get(partition)
            .copied()
            .unwrap_or_default();
        end < *acknowledged
    });
    is_elsewhere || is_shorter
}

/// How many partitions the topic is known to have. Another number becomes the known one when the settings say it too.
fn settled_partitions(
    known: Option<&KnownTopic>,
    state: &TopicState,
    kafka: &KafkaSettings,
) -> i32 {
    let seen = i32::try_from(state.partitions()).unwrap_or(i32::MAX);
    match known {
        Some(known) if seen != i32::from(kafka.partitions) => known.partitions,
        _ => seen,
    }
}

/// What of the topic may lose events, or their order, in words for people.
fn faults(known: Option<&KnownTopic>, state: &TopicState, kafka: &KafkaSettings) -> Vec<String> {
    let mut faults = Vec::new();
    let (is, was) = (state.partitions(), settled_partitions(known, state, kafka));
    if i32::try_from(is) != Ok(was) {
        faults.push(format!(
            "it has {is} partitions and had {was}: a wallet's later events may stand in another one than its earlier \
             events. Once all consumers can bear that, set KAFKA_TOPIC_PARTITIONS={is}"
        ));
    }
    if state.copies < usize::from(kafka.replication) {
        faults.push(format!(
            "it has {} copies and KAFKA_TOPIC_REPLICATION asks for {}",
            state.copies, kafka.replication
        ));
    }
    match &state.settings {
        Some(settings) => setting_faults(settings, state.copies, kafka, &mut faults),
        None => faults.push(
            "its settings are not told: the relay needs the right DescribeConfigs on it".to_owned(),
        ),
    }
    faults
}

fn setting_faults(
    settings: &TopicSettings,
    copies: usize,
    kafka: &KafkaSettings,
    faults: &mut Vec<String>,
) {
    let TopicSettings {
        cleanup_policy,
        retention_ms,
        retention_bytes,
        min_insync_replicas,
        unclean_leader_election,
        message_bytes_max,
    } = settings;
    if cleanup_policy.contains("compact") {
        faults.push(format!(
            "cleanup.policy={cleanup_policy} keeps only the last event of each wallet: it must be delete"
        ));
    }
    let wanted = kafka.retention_ms();
    if *retention_ms >= 0 && (wanted < 0 || *retention_ms < wanted) {
        faults.push(format!(
            "retention.ms={retention_ms} deletes events that a consumer may not have read: set it to {wanted}, or \
             KAFKA_TOPIC_RETENTION_HOURS to what you want"
        ));
    }
    if *retention_bytes >= 0 {
        faults.push(format!(
            "retention.bytes={retention_bytes} deletes events that a consumer may not have read: set it to -1"
        ));
    }
    if *min_insync_replicas > copies {
        faults.push(format!(
            "min.insync.replicas={min_insync_replicas} with {copies} copies: brokers before 4.0 acknowledge nothing then"
        ));
    }
    if copies > 1 && *min_insync_replicas < 2 {
        faults.push(format!(
            "min.insync.replicas={min_insync_replicas} with {copies} copies: an event may be acknowledged by one broker \
             alone and lost with it. Set it to 2"
        ));
    }
    if copies > 1 && *unclean_leader_election {
        faults.push(
            "unclean.leader.election.enable=true lets a broker lead that lacks acknowledged events: set it to false"
                .to_owned(),
        );
    }
    if *message_bytes_max < MESSAGE_BYTES_MAX {
        faults.push(format!(
            "max.message.bytes={message_bytes_max} is less than the largest event needs, {MESSAGE_BYTES_MAX}: payments \
             that say more than fits are refused"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kafka() -> KafkaSettings {
        KafkaSettings::plain("127.0.0.1:1", "t", 3)
    }

    fn settings() -> TopicSettings {
        TopicSettings {
            cleanup_policy: "delete".to_owned(),
            retention_ms: -1,
            retention_bytes: -1,
            min_insync_replicas: 2,
            unclean_leader_election: false,
            message_bytes_max: 1_048_588,
        }
    }

    fn state(settings: TopicSettings) -> TopicState {
        TopicState {
            cluster_id: Some("one".to_owned()),
            copies: 3,
            end_offsets: vec![5, 0, 7],
            settings: Some(settings),
        }
    }

    fn known() -> KnownTopic {
        KnownTopic {
            cluster_id: Some("one".to_owned()),
            partitions: 3,
            message_bytes_max: None,
            next_offsets: vec![5, 0, 7],
            faults: Vec::new(),
            make_again: false,
        }
    }

    #[test]
    fn a_topic_that_keeps_everything_has_no_fault() {
        assert_eq!(
            faults(Some(&known()), &state(settings()), &kafka()),
            [""; 0]
        );
    }

    #[test]
    fn every_setting_that_may_lose_events_is_named_with_what_to_do() {
        let cases = [
            (
                "cleanup.policy=compact",
                TopicSettings {
                    cleanup_policy: "compact,delete".to_owned(),
                    ..settings()
                },
            ),
            (
                "retention.ms=1000",
                TopicSettings {
                    retention_ms: 1000,
                    ..settings()
                },
            ),
            (
                "retention.bytes=1",
                TopicSettings {
                    retention_bytes: 1,
                    ..settings()
                },
            ),
            (
                "min.insync.replicas=1 with 3",
                TopicSettings {
                    min_insync_replicas: 1,
                    ..settings()
                },
            ),
            (
                "min.insync.replicas=4 with 3",
                TopicSettings {
                    min_insync_replicas: 4,
                    ..settings()
                },
            ),
            (
                "unclean.leader",
                TopicSettings {
                    unclean_leader_election: true,
                    ..settings()
                },
            ),
            (
                "max.message.bytes=1000",
                TopicSettings {
                    message_bytes_max: 1000,
                    ..settings()
                },
            ),
        ];
        for (named, settings) in cases {
            let told = faults(Some(&known()), &state(settings), &kafka());
            assert!(
                matches!(&told[..], [fault] if fault.contains(named)),
                "{named}: {told:?}"
            );
        }
        let untold = TopicState {
            settings: None,
            ..state(settings())
        };
        assert_eq!(faults(None, &untold, &kafka()).len(), 1);
        let copies = KafkaSettings {
            replication: 4,
            ..kafka()
        };
        assert_eq!(faults(None, &state(settings()), &copies).len(), 1);
    }

    #[test]
    fn a_retention_that_was_asked_for_is_no_fault() {
        let kafka = KafkaSettings {
            retention_hours: Some(24),
            ..kafka()
        };
        let kept_for = |retention_ms| {
            let settings = TopicSettings {
                retention_ms,
                ..settings()
            };
            faults(None, &state(settings), &kafka).len()
        };
        assert_eq!(kept_for(24 * 3_600_000), 0);
        assert_eq!(kept_for(-1), 0);
        assert_eq!(kept_for(23 * 3_600_000), 1);
    }

    #[test]
    fn other_partitions_are_told_of_until_the_settings_name_them() {
        let more = TopicState {
            end_offsets: vec![0; 5],
            ..state(settings())
        };
        let told = faults(Some(&known()), &more, &kafka());
        assert!(
            matches!(&told[..], [fault] if fault.contains("5 partitions and had 3")),
            "{told:?}"
        );
        let confirmed = KafkaSettings {
            partitions: 5,
            ..kafka()
        };
        assert_eq!(faults(Some(&known()), &more, &confirmed), [""; 0]);
        assert_eq!(settled_partitions(Some(&known()), &more, &confirmed), 5);
        // A topic that an operator has made has the partitions that it has.
        assert_eq!(
            faults(None, &more, &kafka()),
            ["it has 5 partitions and had 3"; 0]
        );
    }

    #[test]
    fn messages_are_gone_when_the_topic_ends_earlier_or_is_of_another_cluster() {
        assert!(!has_lost(&known(), &state(settings())));
        let longer = TopicState {
            end_offsets: vec![9, 9, 9],
            ..state(settings())
        };
        assert!(!has_lost(&known(), &longer));
        let shorter = TopicState {
            end_offsets: vec![5, 0, 6],
            ..state(settings())
        };
        assert!(has_lost(&known(), &shorter));
        let elsewhere = TopicState {
            cluster_id: Some("two".to_owned()),
            ..longer
        };
        assert!(has_lost(&known(), &elsewhere));
    }
}
