//! The topic is looked at: what loses events is said, and what is gone is not silently made again.

use super::{broker::Topic, *};

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_does_not_keep_events_is_told_with_its_settings() {
    let database = TestDatabase::create(SCHEMA).await;
    let kafka = KafkaSettings::plain(kafka_brokers(), unique_topic("settings"), 2);
    let topic = Topic::made(&kafka).await;
    topic
        .set(&[
            ("cleanup.policy", "compact"),
            ("retention.ms", "60000"),
            ("retention.bytes", "1000000"),
        ])
        .await;
    let relay = RunningRelay::start(&database, &kafka);
    let reason = relay.until_said("outbox", "cleanup.policy=compact").await;
    for said in ["retention.ms=60000", "retention.bytes=1000000"] {
        assert!(reason.contains(said), "{reason}");
    }
    relay.stop().await;
    topic.set(&[]).await;
    let relay = RunningRelay::start(&database, &kafka);
    relay.until_well().await;
    relay.stop().await;
    topic.grow_to(5).await;
    let relay = RunningRelay::start(&database, &kafka);
    relay
        .until_said("outbox", "it has 5 partitions and had 2")
        .await;
    relay.stop().await;
    let confirmed = KafkaSettings {
        partitions: 5,
        ..kafka
    };
    let relay = RunningRelay::start(&database, &confirmed);
    relay.until_well().await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_gone_is_not_made_again_and_nothing_is_sent() {
    let database = TestDatabase::create(SCHEMA).await;
    let kafka = KafkaSettings::plain(kafka_brokers(), unique_topic("gone"), 2);
    let instance = Instance::start(database.options(), 0);
    let alice = instance.create_wallet("alice").await;
    let relay = RunningRelay::start(&database, &kafka);
    until_sent(&database).await;
    relay.stop().await;
    let topic = Topic::of(&kafka);
    topic.delete().await;
    instance.accept(fund(alice, "1.00")).await;
    let relay = RunningRelay::start(&database, &kafka);
    let reason = relay
        .until_said("kafka", "the topic existed and is gone")
        .await;
    assert!(
        reason.contains("walletctl republish --all --create-topic"),
        "{reason}"
    );
    // Every instance says so, and one that comes later says the same.
    relay
        .until_said("outbox", "the topic existed and is gone")
        .await;
    relay.stop().await;
    let relay = RunningRelay::start(&database, &kafka);
    relay
        .until_said("kafka", "the topic existed and is gone")
        .await;
    assert!(topic.state().await.is_none());
    assert_eq!(rows(&database).await, 1);

    // One that somebody else made is used; what was in the old one is told to be missing.
    let _made = Topic::made(&kafka).await;
    until_sent(&database).await;
    relay
        .until_said(
            "outbox",
            "messages that the topic had acknowledged are gone",
        )
        .await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_deleted_and_made_again_between_two_looks_is_noticed() {
    let database = TestDatabase::create(SCHEMA).await;
    let kafka = KafkaSettings::plain(kafka_brokers(), unique_topic("again"), 1);
    let instance = Instance::start(database.options(), 0);
    instance.funded_wallet("alice", "1.00").await;
    let relay = RunningRelay::start(&database, &kafka);
    until_sent(&database).await;
    eventually(
        "how far Kafka has acknowledged is known",
        DEADLINE,
        async || {
            let known = "select coalesce((select next_offsets[1] from event_topics), 0)";
            (count(&database, known).await == 4).then_some(())
        },
    )
    .await;
    relay.stop().await;
    let topic = Topic::of(&kafka);
    topic.delete().await;
    let _made = Topic::made(&kafka).await;
    let relay = RunningRelay::start(&database, &kafka);
    relay
        .until_said(
            "outbox",
            "messages that the topic had acknowledged are gone",
        )
        .await;
    relay.stop().await;
}
