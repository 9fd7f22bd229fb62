//! Making the topic on a real Kafka.

use std::time::Duration;

use rdkafka::{
    admin::{AdminClient, AdminOptions, ResourceSpecifier},
    client::DefaultClientContext,
};
use shared::{
    server::kafka::{KafkaSettings, TopicError, ensure_topic},
    testing::{eventually, kafka_brokers, unique_topic},
};

const DEADLINE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_topic_is_made_once_as_the_settings_say_and_then_left_alone() {
    let settings = KafkaSettings::plain(kafka_brokers(), unique_topic("ensure"), 3);
    ensure_topic(&settings, DEADLINE).await.unwrap();
    ensure_topic(
        &KafkaSettings {
            partitions: 5,
            ..settings.clone()
        },
        DEADLINE,
    )
    .await
    .unwrap();

    let admin: AdminClient<DefaultClientContext> = settings.client_config().create().unwrap();
    let partitions = eventually("the topic has its partitions", DEADLINE, async || {
        let metadata = admin
            .inner()
            .fetch_metadata(Some(&settings.topic), DEADLINE)
            .ok()?;
        let partitions = metadata.topics().first()?.partitions().len();
        (partitions > 0).then_some(partitions)
    });
    assert_eq!(partitions.await, 3);

    let resource = ResourceSpecifier::Topic(&settings.topic);
    let described = admin
        .describe_configs([&resource], &AdminOptions::new())
        .await
        .unwrap()
        .remove(0)
        .unwrap();
    let value = |name: &str| described.get(name).and_then(|entry| entry.value.clone());
    assert_eq!(value("cleanup.policy").as_deref(), Some("delete"));
    assert_eq!(value("retention.ms").as_deref(), Some("-1"));
}

#[tokio::test]
async fn more_copies_than_brokers_are_refused_with_the_reason() {
    let settings = KafkaSettings::plain(kafka_brokers(), unique_topic("copies"), 1);
    let error = ensure_topic(
        &KafkaSettings {
            replication: 15,
            ..settings
        },
        DEADLINE,
    )
    .await
    .unwrap_err();
    assert!(matches!(error, TopicError::Refused { .. }), "{error}");
}
