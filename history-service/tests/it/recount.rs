//! Sums of reports where rows were lost and came back, and where they were changed by hand.

use serde_json::Value;
use shared::testing::eventually;
use sqlx::Executor;

use crate::{
    chain::Chain,
    harness::{Instance, SOON, World},
};

/// How many sums are not what a recomputation comes to. They are put right by that.
async fn wrong(world: &World) -> i64 {
    sqlx::query_scalar("select recount_reports()")
        .fetch_one(world.pool())
        .await
        .unwrap()
}

/// What reports say now.
async fn balances(instance: &Instance) -> Value {
    instance.ok("/reports/trial-balance").await["currencies"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_back_by_itself_is_counted_once_however_its_rows_were_counted_meanwhile() {
    let world = World::new().await;
    let instance = world.start().await;
    let journal = Chain::new("alice").journal(10);
    world.publish(&journal).await;
    instance.until_applied(&journal[9]).await;
    let before = balances(&instance).await;
    let wallet = journal[0].wallet_id;
    let lost =
        format!("delete from events where wallet_id = '{wallet}' and sequence between 4 and 6");
    world.tampered(&lost).await;
    assert!(wrong(&world).await > 0, "it is counted without them");
    assert_ne!(balances(&instance).await, before);
    world.publish(&journal).await;
    world.until_count("events", 10).await;
    assert_ne!(balances(&instance).await, before);
    // Nothing more came for an hour.
    let later = "update recount_state set asked_at = asked_at - interval '1 hour'";
    world.pool().execute(later).await.unwrap();
    eventually("each is counted once", SOON, async || {
        (balances(&instance).await == before).then_some(())
    })
    .await;
    assert_eq!(wrong(&world).await, 0);
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn months_that_are_not_what_the_events_come_to_are_summed_up_anew() {
    let world = World::new().await;
    let instance = Instance::start(world.proving()).await;
    let journal = Chain::new("alice").journal(1_100);
    world.publish(&journal).await;
    instance.until_applied(&journal[1_099]).await;
    let path = format!("/wallets/{}/summary", journal[0].wallet_id);
    eventually("its months are summed up", SOON, async || {
        let done: Option<i64> = sqlx::query_scalar("select sequence from wallet_months_to")
            .fetch_optional(world.pool())
            .await
            .unwrap();
        done
    })
    .await;
    let before = instance.ok(&path).await;
    let spoilt = "update wallet_months set events = events + 1, credits = credits + 700";
    world.pool().execute(spoilt).await.unwrap();
    assert_ne!(instance.ok(&path).await, before);
    // As whoever brings rows back.
    let ask = "update recount_state set asked = asked + 1, asked_at = now() - interval '1 hour'";
    world.pool().execute(ask).await.unwrap();
    eventually("the summary is right", SOON, async || {
        (instance.ok(&path).await == before).then_some(())
    })
    .await;
    instance.stop().await;
}
