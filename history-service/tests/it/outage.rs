//! Postgres or Kafka away: nothing is skipped, health says so, and the service recovers by itself.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::json;
use shared::{
    event::WalletEvent,
    server::kafka::KafkaSettings,
    testing::{eventually, free_port},
};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::time::{Instant as Clock, timeout};

use crate::{
    chain::Chain,
    harness::{Instance, SOON, World, get},
};

/// The test's database takes no connections any more, and those it has are ended.
pub(crate) async fn lock_out(world: &World, admin: &mut PgConnection) {
    let name = world.database.name();
    admin
        .execute(AssertSqlSafe(format!(
            "alter database {name} allow_connections false"
        )))
        .await
        .unwrap();
    // A worker of autovacuum in there is the server's own, and may not be ended.
    sqlx::query(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and backend_type = 'client backend'",
    )
    .bind(name)
    .execute(admin)
    .await
    .unwrap();
}

pub(crate) async fn let_in(world: &World, admin: &mut PgConnection) {
    let name = world.database.name();
    admin
        .execute(AssertSqlSafe(format!(
            "alter database {name} allow_connections true"
        )))
        .await
        .unwrap();
}

pub(crate) async fn admin(world: &World) -> PgConnection {
    PgConnection::connect_with(&world.database.owners_options().database("postgres"))
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn while_postgres_is_away_the_batch_is_kept_and_the_group_is_not_left() {
    let world = World::new().await;
    let mut admin = admin(&world).await;
    let instance = world.start().await;
    let journal = Chain::new("alice").journal(30);
    world.publish(&journal[..10]).await;
    instance.until_applied(&journal[9]).await;

    lock_out(&world, &mut admin).await;
    world.publish(&journal[10..20]).await;
    eventually("the outage is noticed", SOON, || async {
        let (status, health) = instance.get("/readyz").await;
        let projection = &health["components"]["projection"];
        (status == 503 && projection["status"] == "degraded").then_some(())
    })
    .await;
    let path = format!("/wallets/{}/history", journal[0].wallet_id);
    let (status, problem) = instance.get(&path).await;
    assert_eq!(
        (status, problem["code"].as_str()),
        (503, Some("unavailable")),
        "{problem}"
    );
    assert_eq!(instance.get("/livez").await.0, 200);
    world.publish(&journal[20..]).await;

    let_in(&world, &mut admin).await;
    instance.until_applied(&journal[29]).await;
    world.assert_stored(&journal).await;
    eventually("health is good again", SOON, || async {
        (instance.get("/readyz").await.1["status"] == "ok").then_some(())
    })
    .await;
    // The same membership went on: nothing was read twice.
    let state = instance.ok("/admin/projection").await;
    let totals = &state["instance"];
    assert_eq!(
        (&totals["duplicates"], &totals["offset_jumps"]),
        (&json!(0), &json!(0))
    );
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_leave_and_return_during_an_outage_are_read_on() {
    let world = World::new().await;
    let mut admin = admin(&world).await;
    let instance = world.start().await;
    // Enough wallets to have some in each partition.
    let journals: Vec<Vec<WalletEvent>> = (0..30).map(|_| Chain::new("crowd").journal(3)).collect();
    let nth = |n: usize| journals.iter().map(move |journal| &journal[n]);
    world.publish(nth(0)).await;
    world.until_count("events", 30).await;
    lock_out(&world, &mut admin).await;
    world.publish(nth(1)).await;
    eventually("the outage is noticed", SOON, || async {
        let (_, health) = instance.get("/readyz").await;
        (health["components"]["projection"]["status"] == "degraded").then_some(())
    })
    .await;
    // A second member takes partitions and leaves again; it applies nothing.
    let passer_by: BaseConsumer = world.kafka.consumer_config(&world.group).create().unwrap();
    passer_by.subscribe(&[&world.kafka.topic]).unwrap();
    tokio::task::spawn_blocking(move || {
        while passer_by.assignment().unwrap().count() == 0 {
            drop(passer_by.poll(Duration::from_millis(100)));
        }
    })
    .await
    .unwrap();
    let_in(&world, &mut admin).await;
    world.publish(nth(2)).await;
    world.until_count("events", 90).await;
    for journal in &journals {
        world.assert_stored(journal).await;
    }
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_cut_at_random_cost_nothing_but_time() {
    let world = World::new().await;
    let mut admin = admin(&world).await;
    let instance = world.start().await;
    let journal = Chain::new("alice").journal(400);
    for part in journal.chunks(20) {
        world.publish(part).await;
        sqlx::query("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and application_name like '%ingest'")
            .bind(world.database.name())
            .execute(&mut admin)
            .await
            .unwrap();
    }
    instance.until_applied(&journal[399]).await;
    world.assert_stored(&journal).await;
    assert_eq!(world.count("quarantine").await, 0);
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_while_postgres_is_away_does_not_hang_and_loses_nothing() {
    let world = World::new().await;
    let mut admin = admin(&world).await;
    let journal = Chain::new("alice").journal(5);
    let first = world.start().await;
    world.publish(&journal[..2]).await;
    first.until_applied(&journal[1]).await;
    lock_out(&world, &mut admin).await;
    world.publish(&journal[2..]).await;
    eventually("the outage is noticed", SOON, || async {
        let (_, health) = first.get("/readyz").await;
        (health["components"]["projection"]["status"] == "degraded").then_some(())
    })
    .await;
    timeout(SOON, first.stop()).await.unwrap();

    let_in(&world, &mut admin).await;
    let second = world.start().await;
    second.until_applied(&journal[4]).await;
    world.assert_stored(&journal).await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_kafka_the_service_starts_reads_is_ready_and_stops() {
    let world = World::new().await;
    let journal = Chain::new("alice").journal(3);
    let fed = world.start().await;
    world.publish(&journal).await;
    fed.until_applied(&journal[2]).await;
    fed.stop().await;

    let mut config = world.config();
    config.kafka =
        KafkaSettings::plain(format!("127.0.0.1:{}", free_port()), &world.kafka.topic, 3);
    let instance = Instance::start(config).await;
    let page = instance
        .ok(&format!("/wallets/{}/history", journal[0].wallet_id))
        .await;
    assert_eq!(page["applied_sequence"], 3);
    let (status, health) = instance.get("/readyz").await;
    assert_eq!(
        (status, health["status"].as_str()),
        (200, Some("degraded")),
        "{health}"
    );
    assert_eq!(health["components"]["kafka"]["status"], "degraded");
    let stopping = Clock::now();
    instance.stop().await;
    assert!(
        stopping.elapsed() < Duration::from_secs(20),
        "{:?}",
        stopping.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_missing_is_waited_for_and_never_made() {
    let world = World::new().await;
    let mut config = world.config();
    config.kafka.topic = shared::testing::unique_topic("not-by-history");
    let kafka = config.kafka.clone();
    let instance = Instance::start(config).await;
    eventually("it says what it waits for", SOON, async || {
        let health = instance.ok("/readyz").await;
        let reason = health["components"]["kafka"]["reason"].as_str()?.to_owned();
        reason.contains("the topic does not exist").then_some(())
    })
    .await;
    let look = shared::server::kafka::look_at_topic(&kafka, SOON).await;
    assert_eq!(look.unwrap(), None);
    shared::server::kafka::ensure_topic(&kafka, SOON)
        .await
        .unwrap();
    instance.until_consuming().await;
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_waits_is_answered_when_the_service_stops() {
    let world = World::new().await;
    let instance = world.start().await;
    let wallet = Chain::new("alice").opened().wallet_id;
    let path = format!("/wallets/{wallet}/history?min_sequence=1&wait_ms=30000");
    let address = instance.address;
    let waiting = tokio::spawn(async move { get(address, &path).await });
    // Health answers, so the request before it was most likely accepted; when not, it is refused, which is fine too.
    instance.ok("/livez").await;
    let stopping = Clock::now();
    instance.stop().await;
    assert!(
        stopping.elapsed() < Duration::from_secs(15),
        "{:?}",
        stopping.elapsed()
    );
    if let Ok((status, problem)) = waiting.await.unwrap() {
        assert_eq!(
            (status, problem["code"].as_str()),
            (503, Some("history_behind"))
        );
    }
}
