//! Events that are missing in the middle of a wallet, and rows that were changed by hand, met by events that are sent
//! again.

use shared::{WalletId, event::WalletEvent, testing::eventually};

use crate::{
    chain::Chain,
    harness::{Instance, SOON, World},
};

async fn lost(world: &World, wallet: WalletId, which: &str) {
    let sql = format!("delete from events where wallet_id = '{wallet}' and {which}");
    world.tampered(&sql).await;
}

/// Ten events of a wallet, applied.
async fn ten(world: &World, instance: &Instance) -> Vec<WalletEvent> {
    let journal = Chain::new("alice").journal(10);
    world.publish(&journal).await;
    instance.until_applied(&journal[9]).await;
    journal
}

async fn assert_nothing_left(world: &World) {
    world.until_count("parked_events", 0).await;
    assert_eq!(world.count("quarantine").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_are_sent_again_fill_what_is_missing_before_them_and_behind_them() {
    let world = World::new().await;
    let instance = world.start().await;
    for which in [
        "sequence between 4 and 6",
        "sequence = 1",
        "sequence in (1, 2, 3)",
        "sequence % 2 = 0 and sequence < 10",
    ] {
        let journal = ten(&world, &instance).await;
        lost(&world, journal[0].wallet_id, which).await;
        world.publish(&journal).await;
        eventually("all ten are there", SOON, async || {
            (world.stored(journal[0].wallet_id).await.len() == 10).then_some(())
        })
        .await;
        world.assert_stored(&journal).await;
        assert_nothing_left(&world).await;
    }
    // One by one, in an order in which nothing beside the first of them is there.
    let journal = ten(&world, &instance).await;
    lost(&world, journal[0].wallet_id, "sequence between 4 and 6").await;
    world.publish([&journal[4]]).await;
    world.until_count("parked_events", 1).await;
    world.publish([&journal[5]]).await;
    world.publish([&journal[3]]).await;
    eventually("all ten are there", SOON, async || {
        (world.stored(journal[0].wallet_id).await.len() == 10).then_some(())
    })
    .await;
    world.assert_stored(&journal).await;
    assert_nothing_left(&world).await;
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_false_event_does_not_get_into_a_hole_of_which_the_end_is_there() {
    let world = World::new().await;
    let instance = world.start().await;
    let journal = ten(&world, &instance).await;
    lost(&world, journal[0].wallet_id, "sequence = 5").await;
    let rival = Chain::rival(&journal[4]);
    world.publish([&rival]).await;
    world.until_count("quarantine", 1).await;
    assert_eq!(world.quarantined().await, ["conflicting_event"]);
    assert_eq!(world.stored(journal[0].wallet_id).await.len(), 9);
    world.publish([&journal[4]]).await;
    eventually("the true one is there", SOON, async || {
        (world.stored(journal[0].wallet_id).await.len() == 10).then_some(())
    })
    .await;
    world.assert_stored(&journal).await;
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_was_changed_is_noticed_when_its_event_comes_again() {
    let world = World::new().await;
    let instance = world.start().await;
    let journal = ten(&world, &instance).await;
    let wallet = journal[0].wallet_id;
    world.publish(&journal).await;
    eventually("all came twice", SOON, async || {
        let status = instance.ok("/admin/projection").await;
        (status["instance"]["duplicates"] == 10).then_some(())
    })
    .await;
    assert_eq!(world.count("refills").await, 0, "a repetition is no fault");
    for change in [
        "amount = amount + 1",
        "actor = 'mallory'",
        "counterparty_wallet_id = gen_random_uuid()",
        "data = data || ' '",
        "user_id = 'mallory'",
    ] {
        let sql =
            format!("update events set {change} where wallet_id = '{wallet}' and sequence = 5");
        world.tampered(&sql).await;
        world.publish([&journal[4]]).await;
        // Without the ledger nothing can be mended, but it is said.
        world.until_count("refills", 1).await;
        eventually("the wallet is named", SOON, async || {
            let (_, health) = instance.get("/readyz").await;
            let refill = &health["components"]["refill"];
            let named = refill["reason"].to_string().contains(&wallet.to_string());
            (refill["status"] == "degraded" && named).then_some(())
        })
        .await;
        sqlx::query("delete from refills")
            .execute(world.pool())
            .await
            .unwrap();
    }
    instance.stop().await;
}
