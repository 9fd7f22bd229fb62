//! Several instances in one group: each event is applied once, by any of them.

use history_service::{app::SCHEMA, config::PLANNER};
use shared::{
    event::WalletEvent,
    server::postgres::DatabaseSettings,
    testing::{TestDatabase, eventually},
};

use crate::{
    chain::Chain,
    harness::{Instance, SOON, World},
};

async fn partitions(instance: &Instance) -> u64 {
    let (_, health) = instance.get("/readyz").await;
    health["components"]["kafka"]["partitions"]
        .as_u64()
        .unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_joins_and_one_that_leaves_lose_and_double_nothing() {
    let world = World::new().await;
    let journals: Vec<Vec<WalletEvent>> =
        (0..12).map(|_| Chain::new("crowd").journal(30)).collect();
    let part = |range: std::ops::Range<usize>| -> Vec<&WalletEvent> {
        range
            .flat_map(|n| journals.iter().map(move |journal| &journal[n]))
            .collect()
    };
    let first = world.start().await;
    world.publish(part(0..10)).await;
    let (second, ()) = tokio::join!(world.start(), world.publish(part(10..20)));
    eventually("the second instance has partitions", SOON, || async {
        (partitions(&second).await > 0 && partitions(&first).await < 3).then_some(())
    })
    .await;
    tokio::join!(first.stop(), world.publish(part(20..30)));
    world.until_count("events", 12 * 30).await;
    for journal in &journals {
        world.assert_stored(journal).await;
    }
    assert_eq!(
        (
            world.count("parked_events").await,
            world.count("quarantine").await
        ),
        (0, 0)
    );
    eventually("the second instance has all partitions", SOON, || async {
        (partitions(&second).await == 3).then_some(())
    })
    .await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_whose_offsets_moved_without_it_commits_nothing_and_asks_again() {
    let world = World::new().await;
    let instance = world.start().await;
    let journal = Chain::new("alice").journal(4);
    world.publish(&journal[..2]).await;
    instance.until_applied(&journal[1]).await;
    // As if another consumer had the partition in the meantime and applied the next event.
    sqlx::query(
        "update consumer_offsets set next_offset = 1, previous_hash = null where next_offset = 2",
    )
    .execute(world.pool())
    .await
    .unwrap();
    world.publish(&journal[2..]).await;
    instance.until_applied(&journal[3]).await;
    world.assert_stored(&journal).await;
    // It read from where the database said, so one event came twice.
    assert_eq!(
        instance.ok("/admin/projection").await["instance"]["duplicates"],
        1
    );
    instance.stop().await;
}

async fn until_group_is(instance: &Instance, status: &str) -> String {
    eventually(&format!("the group is {status}"), SOON, || async {
        let (_, health) = instance.get("/readyz").await;
        let group = &health["components"]["group"];
        (group["status"] == status).then(|| group["reason"].to_string())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_databases_in_one_group_are_told_of_and_heal_when_one_gets_a_group_of_its_own() {
    let world = World::new().await;
    let journals: Vec<Vec<WalletEvent>> = (0..24).map(|_| Chain::new("crowd").journal(3)).collect();
    let nth = |n: usize| journals.iter().map(move |journal| &journal[n]);
    let first = world.start().await;
    world.publish(nth(0)).await;
    world.until_count("events", 24).await;

    let other = TestDatabase::create(SCHEMA).await;
    let mut config = world.config();
    config.database = DatabaseSettings {
        read_pool_size: 4,
        ..DatabaseSettings::new(other.url().clone(), PLANNER)
    };
    let second = Instance::start(config.clone()).await;
    eventually("both have partitions", SOON, || async {
        (partitions(&second).await > 0 && partitions(&first).await < 3).then_some(())
    })
    .await;
    world.publish(nth(1)).await;
    let (told, told_too) = tokio::join!(
        until_group_is(&first, "degraded"),
        until_group_is(&second, "degraded")
    );
    assert!(told.contains("KAFKA_GROUP"), "{told}");
    assert_eq!(told, told_too);
    let (status, _) = first.get("/readyz").await;
    assert_eq!(status, 200, "reads go on");

    second.stop().await;
    config.kafka_group = format!("{}-other", world.group);
    let second = Instance::start(config).await;
    world.publish(nth(2)).await;
    world.until_count("events", 24 * 3).await;
    eventually("the other database has all events", SOON, || async {
        let events: i64 = sqlx::query_scalar("select count(*) from events")
            .fetch_one(other.pool())
            .await
            .unwrap();
        (events == 24 * 3).then_some(())
    })
    .await;
    tokio::join!(until_group_is(&first, "ok"), until_group_is(&second, "ok"));
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_group_beside_another_does_not_disturb_it() {
    // Two groups write one database: what a misconfigured second deployment would do. Offsets fence them.
    let world = World::new().await;
    let mut config = world.config();
    config.kafka_group = format!("{}-other", world.group);
    let first = world.start().await;
    let second = Instance::start(config).await;
    second.until_consuming().await;
    let journals: Vec<Vec<WalletEvent>> = (0..6).map(|_| Chain::new("crowd").journal(20)).collect();
    for n in 0..20 {
        world
            .publish(journals.iter().map(|journal| &journal[n]))
            .await;
    }
    world.until_count("events", 120).await;
    for journal in &journals {
        world.assert_stored(journal).await;
    }
    assert_eq!(
        (
            world.count("parked_events").await,
            world.count("quarantine").await
        ),
        (0, 0)
    );
    first.stop().await;
    second.stop().await;
}
