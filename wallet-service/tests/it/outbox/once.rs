//! What the relay promises to consumers other than ours: each event once, in order, and none that is only thought to be
//! sent. On a broker that fails as a test says.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;

use super::{broker::Topic, broker_proxy::BrokerProxy, *};
use crate::{ledger::described, process::Process};

#[tokio::test(flavor = "multi_thread")]
async fn rows_stay_while_kafka_takes_events_and_does_not_acknowledge_them() {
    let database = TestDatabase::create(SCHEMA).await;
    let kafka = KafkaSettings::plain(kafka_brokers(), unique_topic("unacknowledged"), 1);
    let topic = Topic::made(&kafka).await;
    let proxy = BrokerProxy::start().await;
    proxy.keep_acknowledgements();
    let instance = Instance::start(database.options(), 0);
    instance.funded_wallet("alice", "1.00").await;
    let waiting = rows(&database).await;
    let relay = RunningRelay::start(&database, &proxy.before(&kafka));
    // A producer that gives up, or is content with one copy, would say something else by then.
    let said = Instant::now();
    while said.elapsed() < Duration::from_secs(6) {
        let reason = relay.until_said("kafka", "").await;
        assert!(!reason.contains("did not take"), "{reason}");
        assert_eq!(rows(&database).await, waiting);
    }
    relay
        .until_said("kafka", "Kafka has not acknowledged for")
        .await;
    assert_eq!(topic.messages().await, 4);
    proxy.pass_acknowledgements();
    until_sent(&database).await;
    relay.stop().await;
    assert_sent_once(&database, &kafka).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn that_kafka_acknowledges_nothing_is_a_line_of_the_log_and_so_is_that_it_does_again() {
    let database = TestDatabase::create(SCHEMA).await;
    let kafka = KafkaSettings::plain(kafka_brokers(), unique_topic("silence"), 1);
    let _topic = Topic::made(&kafka).await;
    let proxy = BrokerProxy::start().await;
    let through = proxy.before(&kafka);
    let settings = [
        ("KAFKA_BROKERS", through.brokers.as_str()),
        ("KAFKA_TOPIC", through.topic.as_str()),
    ];
    let process = Process::start_with(&database, &settings).await;
    process.create_wallet().await;
    until_sent(&database).await;
    proxy.keep_acknowledgements();
    process.create_wallet().await;
    eventually("health says for how long", DEADLINE, async || {
        let (_, ready) = process.get("/readyz").await;
        let reason = ready["components"]["kafka"]["reason"].as_str()?;
        reason.contains("has not acknowledged for 6").then_some(())
    })
    .await;
    proxy.pass_acknowledgements();
    until_sent(&database).await;
    process.terminate().await;
    let log = process.ended_well().await;
    let told = log.matches("Kafka does not acknowledge events").count();
    assert_eq!(told, 2, "{log}");
    assert!(
        log.contains("over: Kafka does not acknowledge events"),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_becomes_visible_while_later_ones_are_on_their_way_is_not_deleted_with_them() {
    let database = TestDatabase::create(SCHEMA).await;
    let kafka = KafkaSettings::plain(kafka_brokers(), unique_topic("meanwhile"), 1);
    let proxy = BrokerProxy::start().await;
    proxy.keep_acknowledgements();
    let instance = Instance::start(database.options(), 0);
    instance.create_wallet("early").await;
    instance.create_wallet("late").await;
    let mut slow = database.pool().acquire().await.unwrap();
    for sql in [
        "create temporary table kept as select * from outbox order by id limit 1",
        "delete from outbox where id in (select id from kept)",
        "begin; insert into outbox (id, entries, event_count, created_at) overriding system value
                  select id, entries, event_count, created_at from kept",
    ] {
        sqlx::raw_sql(sql).execute(&mut *slow).await.unwrap();
    }
    let relay = RunningRelay::start(&database, &proxy.before(&kafka));
    relay
        .until_said("kafka", "Kafka has not acknowledged for")
        .await;
    sqlx::raw_sql("commit").execute(&mut *slow).await.unwrap();
    proxy.pass_acknowledgements();
    until_sent(&database).await;
    relay.stop().await;
    assert_eq!(read_topic(&kafka, 2).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_relay_sends_nothing_while_the_first_one_works() {
    let database = TestDatabase::create(SCHEMA).await;
    let kafka = KafkaSettings::plain(kafka_brokers(), unique_topic("first"), 1);
    let topic = Topic::made(&kafka).await;
    let proxy = BrokerProxy::start().await;
    let instance = Instance::start(database.options(), 0);
    let alice = instance.create_wallet("alice").await;
    let first = RunningRelay::start(&database, &proxy.before(&kafka));
    until_sent(&database).await;
    let second = RunningRelay::start(&database, &kafka);
    second.until_well().await;
    // Would the second one send too, these would be sent twice.
    proxy.keep_acknowledgements();
    for _ in 0..10 {
        instance.accept(fund(alice, "1.00")).await;
    }
    first
        .until_said("kafka", "Kafka has not acknowledged for 4")
        .await;
    assert!(topic.messages().await >= 3);
    assert!(rows(&database).await >= 10);
    proxy.pass_acknowledgements();
    until_sent(&database).await;
    first.stop().await;
    second.stop().await;
    assert_sent_once(&database, &kafka).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_that_is_lost_on_its_way_costs_no_second_message() {
    let database = TestDatabase::create(SCHEMA).await;
    let kafka = KafkaSettings::plain(kafka_brokers(), unique_topic("lost"), 1);
    let proxy = BrokerProxy::start().await;
    let instance = Instance::start(database.options(), 0);
    let alice = instance.create_wallet("alice").await;
    let relay = RunningRelay::start(&database, &proxy.before(&kafka));
    until_sent(&database).await;
    for _ in 0..5 {
        proxy.lose_one_acknowledgement();
        instance.accept(fund(alice, "1.00")).await;
        until_sent(&database).await;
        assert!(proxy.has_lost_one());
    }
    relay.stop().await;
    assert_sent_once(&database, &kafka).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_several_rows_is_sent_once_and_in_the_order_in_which_it_was_decided() {
    let database = TestDatabase::create(SCHEMA).await;
    let kafka = KafkaSettings::plain(kafka_brokers(), unique_topic("rows"), 1);
    let instance = Instance::start(database.options(), 0);
    let alice = instance.create_wallet("alice").await;
    let long = "x".repeat(500);
    let funds = (0..200).map(|_| instance.accept(described(&long, fund(alice, "1.00"))));
    join_all(funds).await;
    let commits = count(&database, "select count(distinct created_at) from outbox").await;
    assert!(
        rows(&database).await > 2 * commits,
        "batches have several rows"
    );
    let relay = RunningRelay::start(&database, &kafka);
    until_sent(&database).await;
    relay.stop().await;
    let events = events(&database).await;
    let sent = read_topic(&kafka, events).await;
    let numbers: Vec<i64> = sent
        .iter()
        .filter(|sent| sent.event.wallet_id == alice)
        .map(|sent| sent.event.sequence.get())
        .collect();
    assert_eq!(numbers, Vec::from_iter(1..=201));
    assert_eq!(sent.len(), events);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_the_broker_refuses_stays_in_the_outbox() {
    let database = TestDatabase::create(SCHEMA).await;
    let kafka = KafkaSettings::plain(kafka_brokers(), unique_topic("refused"), 1);
    let topic = Topic::made(&kafka).await;
    let instance = Instance::start(database.options(), 0);
    let alice = instance.create_wallet("alice").await;
    let relay = RunningRelay::start(&database, &kafka);
    until_sent(&database).await;
    // The producer was made when the topic took more.
    topic.set(&[("max.message.bytes", "600")]).await;
    // The broker goes by it a moment after it was told: until then what comes is sent.
    eventually("an event is refused", DEADLINE, async || {
        instance.accept(fund(alice, "1.00")).await;
        let refused = async || relay.says("kafka", "the topic takes 600").await;
        eventually("it is refused or sent", DEADLINE, async || {
            let is_settled = refused().await.is_some() || rows(&database).await == 0;
            is_settled.then_some(())
        })
        .await;
        refused().await
    })
    .await;
    assert_eq!(rows(&database).await, 1);
    topic.set(&[]).await;
    until_sent_by_a_new(relay, &database, &kafka).await;
    assert_sent_once(&database, &kafka).await;
}

/// A relay looks at the topic once a minute, and when it begins; the broker goes by a new setting a moment after it was told.
pub(super) async fn until_sent_by_a_new(
    relay: RunningRelay,
    database: &TestDatabase,
    kafka: &KafkaSettings,
) {
    relay.stop().await;
    eventually("a new relay sends what is left", DEADLINE, async || {
        let relay = RunningRelay::start(database, kafka);
        let refused = async || relay.says("kafka", "the topic takes").await.is_some();
        let is_sent = eventually("it is refused or sent", DEADLINE, async || {
            let is_sent = rows(database).await == 0;
            (is_sent || refused().await).then_some(is_sent)
        })
        .await;
        relay.stop().await;
        is_sent.then_some(())
    })
    .await;
}
