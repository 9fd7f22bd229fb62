//! An event that the topic does not take is named, and holds up nobody but its own wallet.

use super::{broker::Topic, once::until_sent_by_a_new, *};
use crate::ledger::described;

#[tokio::test(flavor = "multi_thread")]
async fn an_event_too_large_for_the_topic_is_named_and_only_its_wallet_waits() {
    let database = TestDatabase::create(SCHEMA).await;
    let kafka = KafkaSettings::plain(kafka_brokers(), unique_topic("large"), 1);
    let topic = Topic::made(&kafka).await;
    topic.set(&[("max.message.bytes", "2500")]).await;
    let instance = Instance::start(database.options(), 0);
    let alice = instance.create_wallet("alice").await;
    let bob = instance.create_wallet("bob").await;
    let relay = RunningRelay::start(&database, &kafka);
    until_sent(&database).await;
    eventually("the limit is known", DEADLINE, async || {
        (relay.limit.bytes() == 2500).then_some(())
    })
    .await;
    // The settlement wallet gets the description too, so a transfer is what touches two wallets alone.
    instance.accept(fund(bob, "9.00")).await;
    instance
        .accept(described(&"x".repeat(2500), transfer(bob, alice, "1.00")))
        .await;
    let carol = instance.create_wallet("carol").await;
    let row = relay.until_said("kafka", "the topic takes 2500").await;
    assert!(
        row.contains("of wallet") && row.contains("1 other wallet waits likewise"),
        "{row}"
    );
    let dave = instance.create_wallet("dave").await;
    instance.accept(fund(carol, "5.00")).await;
    instance.accept(transfer(carol, dave, "1.00")).await;
    // After it, of the same wallet, in a row with an event of another wallet.
    instance.accept(transfer(bob, carol, "1.00")).await;
    eventually(
        "everything but the two wallets' events is sent",
        DEADLINE,
        async || (topic.messages().await == 12).then_some(()),
    )
    .await;
    eventually("only what waits is left", DEADLINE, async || {
        let left = "select coalesce(sum(event_count), 0)::bigint from outbox";
        (count(&database, left).await == 3).then_some(())
    })
    .await;

    // Another relay keeps them back as well, and sends nothing twice.
    relay.stop().await;
    let relay = RunningRelay::start(&database, &kafka);
    relay.until_said("kafka", "the topic takes 2500").await;
    topic.set(&[]).await;
    until_sent_by_a_new(relay, &database, &kafka).await;
    assert_sent_once(&database, &kafka).await;
}
