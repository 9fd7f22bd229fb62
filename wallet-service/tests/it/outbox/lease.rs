//! Who relays, when a connection freezes, a holder hangs, or Kafka is away for one instance only.

use sqlx::postgres::PgConnectOptions;
use std::net::{Ipv4Addr, SocketAddr};

use shared::testing::FreezingProxy;

use super::{broker_proxy::BrokerProxy, *};

async fn proxied(database: &TestDatabase) -> (FreezingProxy, PgConnectOptions) {
    let options = database.options();
    let upstream = SocketAddr::from((Ipv4Addr::LOCALHOST, options.get_port()));
    let proxy = FreezingProxy::start(upstream).await;
    let options = options.host("127.0.0.1").port(proxy.port());
    (proxy, options)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_whose_connections_freeze_goes_on_over_new_ones() {
    let database = TestDatabase::create(SCHEMA).await;
    let kafka = KafkaSettings::plain(kafka_brokers(), unique_topic("frozen"), 1);
    let (proxy, options) = proxied(&database).await;
    let instance = Instance::start(database.options(), 0);
    let alice = instance.create_wallet("alice").await;
    let relay = RunningRelay::start_on(options, &kafka);
    until_sent(&database).await;
    proxy.freeze();
    instance.accept(fund(alice, "1.00")).await;
    until_sent(&database).await;
    relay.until_well().await;
    relay.stop().await;
    let events = events(&database).await;
    assert_eq!(assert_in_order(&read_topic(&kafka, events).await), events);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_instance_takes_over_from_one_that_is_cut_off_without_a_word() {
    let database = TestDatabase::create(SCHEMA).await;
    let kafka = KafkaSettings::plain(kafka_brokers(), unique_topic("cut"), 1);
    let (proxy, options) = proxied(&database).await;
    let instance = Instance::start(database.options(), 0);
    let alice = instance.create_wallet("alice").await;
    let first = RunningRelay::start_on(options, &kafka);
    until_sent(&database).await;
    let second = RunningRelay::start(&database, &kafka);
    second.until_well().await;
    proxy.freeze_all();
    instance.accept(fund(alice, "1.00")).await;
    until_sent(&database).await;
    // Its session is still there, as far as Postgres knows; that it does not work it says itself.
    first
        .until_said("outbox", "the outbox cannot be looked at")
        .await;
    first.kill().await;
    second.stop().await;
    let events = events(&database).await;
    assert_eq!(assert_in_order(&read_topic(&kafka, events).await), events);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_alone_cannot_reach_kafka_gives_the_relay_to_another() {
    let database = TestDatabase::create(SCHEMA).await;
    let kafka = KafkaSettings::plain(kafka_brokers(), unique_topic("alone"), 1);
    let nobody = format!("127.0.0.1:{}", free_port());
    let away = KafkaSettings {
        brokers: nobody,
        ..kafka.clone()
    };
    let instance = Instance::start(database.options(), 0);
    instance.create_wallet("alice").await;
    let first = RunningRelay::start(&database, &away);
    first.until_said("kafka", "Kafka is not reachable").await;
    let second = RunningRelay::start(&database, &kafka);
    until_sent(&database).await;
    first.stop().await;
    second.stop().await;
    assert_sent_once(&database, &kafka).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_whose_events_are_not_acknowledged_gives_the_relay_to_another() {
    let database = TestDatabase::create(SCHEMA).await;
    let kafka = KafkaSettings::plain(kafka_brokers(), unique_topic("silent"), 1);
    let instance = Instance::start(database.options(), 0);
    let alice = instance.create_wallet("alice").await;
    let proxy = BrokerProxy::start().await;
    let first = RunningRelay::start(&database, &proxy.before(&kafka));
    until_sent(&database).await;
    let second = RunningRelay::start(&database, &kafka);
    second.until_well().await;
    proxy.keep_acknowledgements();
    instance.accept(fund(alice, "1.00")).await;
    until_sent(&database).await;
    first.kill().await;
    second.stop().await;
    let events = events(&database).await;
    assert_eq!(assert_in_order(&read_topic(&kafka, events).await), events);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_finds_its_lease_taken_sends_nothing_more() {
    let database = TestDatabase::create(SCHEMA).await;
    let kafka = KafkaSettings::plain(kafka_brokers(), unique_topic("taken"), 1);
    let instance = Instance::start(database.options(), 0);
    let alice = instance.create_wallet("alice").await;
    let relay = RunningRelay::start(&database, &kafka);
    until_sent(&database).await;
    let mut other = database.pool().acquire().await.unwrap();
    let mut lease = async |set: &str| {
        let sql = format!("update relay_lease set {set}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(&mut *other)
            .await
            .unwrap();
    };
    let it_asks = async || {
        let asked = "select count(*) from relay_lease where wanted_at is not null";
        eventually("it asks for the lease", DEADLINE, async || {
            (count(&database, asked).await == 1).then_some(())
        })
        .await;
    };
    // Taken by another one, which need not renew it for as long as this takes.
    lease(
        "holder = gen_random_uuid(), backend = pg_backend_pid(), wanted_at = null,
         renewed_at = clock_timestamp() + interval '9 s'",
    )
    .await;
    it_asks().await;
    instance.accept(fund(alice, "1.00")).await;
    lease("wanted_at = null").await;
    it_asks().await;
    assert_eq!(rows(&database).await, 1);
    lease("renewed_at = 'epoch'").await;
    until_sent(&database).await;
    relay.stop().await;
    assert_sent_once(&database, &kafka).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_does_not_relay_tells_how_the_outbox_is() {
    let database = TestDatabase::create(SCHEMA).await;
    let kafka = KafkaSettings::plain(kafka_brokers(), unique_topic("told"), 1);
    let instance = Instance::start(database.options(), 0);
    // One that works, and gives its turn back.
    let first = RunningRelay::start_with(database.options(), &kafka, true);
    eventually("the relay works", DEADLINE, async || {
        let outbox = first.component("outbox").await;
        (outbox["status"] == "ok").then_some(())
    })
    .await;
    first.stop().await;
    sqlx::query("update relay_lease set renewed_at = 'epoch'")
        .execute(database.pool())
        .await
        .unwrap();
    instance.create_wallet("alice").await;
    let relay = RunningRelay::start_with(database.options(), &kafka, false);
    let reason = relay.until_said("outbox", "no relay anywhere").await;
    assert!(
        reason.contains("none works, and nothing is sent"),
        "{reason}"
    );
    relay
        .until_said("outbox", "the oldest event waits for")
        .await;
    assert_eq!(relay.component("outbox").await["outbox_events"], 1);
    relay.stop().await;
}
