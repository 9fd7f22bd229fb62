//! Reading one's own writes: in several wallets at once, from many readers, and at what price.

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use shared::{WalletId, testing::eventually};
use tokio::time::Instant;

use crate::{
    chain::Chain,
    harness::{Instance, SOON, World, get},
};

#[tokio::test(flavor = "multi_thread")]
async fn activity_waits_for_all_wallets_that_are_named_or_says_how_far_each_is() {
    let world = World::new().await;
    let instance = world.start().await;
    let (mut first, mut second) = (Chain::new("alice"), Chain::new("alice"));
    let opened = [first.journal(2), second.journal(1)].concat();
    world.publish(&opened).await;
    for event in &opened[1..] {
        instance.until_applied(event).await;
    }
    let (one, other) = (first.wallet(), second.wallet());
    let path = format!("/users/alice/activity?min_sequences={one}:3,{other}:1");
    let (status, problem) = instance.get(&path).await;
    assert_eq!((status, &problem["code"]), (503, &json!("history_behind")));
    let lacking = json!([{"wallet_id": one, "min_sequence": 3, "applied_sequence": 2}]);
    assert_eq!(problem["behind"], lacking);
    assert_eq!(problem["lag"]["events"], 1);
    let alone = format!("/users/alice/activity?min_sequences={one}:3");
    assert_eq!(instance.get(&alone).await.1["applied_sequence"], 2);

    let path = format!("/users/alice/activity?min_sequences={one}:3,{other}:2&wait_ms=30000");
    let address = instance.address;
    let waiting = tokio::spawn(async move { get(address, &path).await.unwrap() });
    world.publish([&first.funded(1)]).await;
    world.publish([&second.funded(1)]).await;
    let (status, page) = waiting.await.unwrap();
    assert_eq!((status, page["items"].as_array().unwrap().len()), (200, 5));
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wallets_to_wait_for_that_cannot_be_meant_are_refused() {
    let world = World::new().await;
    let instance = world.start().await;
    let wallet = WalletId::generate();
    let many = Vec::from_iter((0..101).map(|_| format!("{}:1", WalletId::generate())));
    for (query, field) in [
        (format!("min_sequences={wallet}"), "min_sequences"),
        (format!("min_sequences={wallet}:0"), "min_sequences"),
        (format!("min_sequences={wallet}:-1"), "min_sequences"),
        (format!("min_sequences={wallet}:1,"), "min_sequences"),
        (
            format!("min_sequences={wallet}:1,{wallet}:2"),
            "min_sequences",
        ),
        (
            format!("min_sequences={}:1", wallet.uuid().simple()),
            "min_sequences",
        ),
        (format!("min_sequences={}", many.join(",")), "min_sequences"),
        ("wait_ms=5".to_owned(), "wait_ms"),
    ] {
        let (status, problem) = instance
            .get(&format!("/users/alice/activity?{query}"))
            .await;
        assert_eq!(
            (status, &problem["code"], &problem["errors"][0]["field"]),
            (400, &json!("invalid_value"), &json!(field)),
            "{query}"
        );
    }
    instance.stop().await;
}

/// How often wallets were looked up by their ids, as far as backends have told.
async fn look_ups(world: &World) -> i64 {
    sqlx::query_scalar(
        "select idx_scan from pg_stat_user_indexes where indexrelname = 'wallets_pkey'",
    )
    .fetch_one(world.pool())
    .await
    .unwrap()
}

async fn until_gone(world: &World) {
    eventually("the service has left the database", SOON, || async {
        let left: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity where datname = $1 and application_name like 'history-service%'",
        )
        .bind(world.database.name())
        .fetch_one(world.pool())
        .await
        .unwrap();
        (left == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_who_wait_look_together_and_not_each_for_itself() {
    const READERS: i64 = 40;
    const SECONDS: i64 = 3;
    let world = World::new().await;
    let consuming = world.start().await;
    let mut alice = Chain::new("alice");
    let opened = alice.opened();
    world.publish([&opened]).await;
    consuming.until_applied(&opened).await;
    consuming.stop().await;
    until_gone(&world).await;
    let before = look_ups(&world).await;
    // It applies nothing itself, so all that its readers know they have to look for.
    let mut config = world.config();
    config.kafka.topic = shared::testing::unique_topic("elsewhere");
    let reading = Instance::start(config).await;
    let path = format!(
        "/wallets/{}/balance?min_sequence=2&wait_ms={}",
        alice.wallet(),
        SECONDS * 1_000
    );
    let started = Instant::now();
    let readers = (0..READERS).map(|_| get(reading.address, &path));
    for answer in join_all(readers).await {
        let (status, problem) = answer.unwrap();
        assert_eq!((status, &problem["applied_sequence"]), (503, &json!(1)));
    }
    assert!(started.elapsed() >= Duration::from_secs(SECONDS.unsigned_abs()));
    reading.stop().await;
    until_gone(&world).await;
    let looked = look_ups(&world).await - before;
    // Each at its beginning and at its end, and five times a second for all of them.
    let most = 2 * READERS + 6 * SECONDS + 10;
    assert!(
        (READERS..=most).contains(&looked),
        "{looked} look-ups for {READERS} readers"
    );
}
