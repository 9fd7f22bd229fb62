//! A topic that is not the one that was read: made again, truncated, restored beside an older history.

use serde_json::{Value, json};
use shared::{event::WalletEvent, testing::eventually};

use crate::{
    chain::Chain,
    harness::{Instance, SOON, World, post},
};

async fn jumps(instance: &Instance) -> Value {
    let status = instance.ok("/admin/projection").await;
    status["instance"]["offset_jumps"].clone()
}

fn crowd(wallets: usize, events: usize) -> Vec<Vec<WalletEvent>> {
    (0..wallets)
        .map(|_| Chain::new("crowd").journal(events))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_made_again_is_read_from_its_start_also_when_its_offsets_fit() {
    let world = World::new().await;
    let before = crowd(12, 2);
    let instance = world.start().await;
    world.publish(before.iter().flatten()).await;
    world.until_count("events", 24).await;
    instance.stop().await;
    world.make_topic_again().await;
    // More messages in each partition than were read: every stored offset is in range.
    let after = crowd(36, 3);
    world.publish(after.iter().flatten()).await;

    let instance = world.start().await;
    world.until_count("events", 24 + 108).await;
    for journal in before.iter().chain(&after) {
        world.assert_stored(journal).await;
    }
    assert_eq!(world.count("parked_events").await, 0);
    assert_ne!(jumps(&instance).await, 0);
    instance.stop().await;
    // And not once more.
    let instance = world.start().await;
    let next = Chain::new("crowd").journal(1);
    world.publish(&next).await;
    instance.until_applied(&next[0]).await;
    let totals = instance.ok("/admin/projection").await["instance"].clone();
    assert_eq!(
        (&totals["offset_jumps"], &totals["duplicates"]),
        (&0.into(), &0.into())
    );
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_events_sent_again_to_a_new_topic_do_not_hide_what_stands_before_them() {
    let world = World::with_partitions(1).await;
    let journal = Chain::new("alice").journal(2);
    let instance = world.start().await;
    world.publish(&journal).await;
    instance.until_applied(&journal[1]).await;
    instance.stop().await;
    world.make_topic_again().await;
    // A stranger stands first, and the event that was read last stands where it stood.
    let stranger = Chain::new("bob").journal(1);
    world.publish(stranger.iter().chain(&journal[1..])).await;
    let instance = world.start().await;
    instance.until_applied(&stranger[0]).await;
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_truncated_is_read_on_from_what_it_holds() {
    let world = World::with_partitions(1).await;
    let mut chain = Chain::new("alice");
    let (read, next) = (chain.journal(3), chain.funded(1));
    let instance = world.start().await;
    world.publish(&read).await;
    instance.until_applied(&read[2]).await;
    instance.stop().await;

    // Exactly what was read is gone: nothing is missing.
    world.truncate(3).await;
    let instance = world.start().await;
    world.publish([&next]).await;
    instance.until_applied(&next).await;
    assert_eq!(world.count("rebuilds").await, 0);
    instance.stop().await;

    // More than was read is gone.
    let unread = [chain.funded(1), chain.funded(1), chain.funded(1)];
    world.publish(&unread).await;
    world.truncate(6).await;
    let instance = world.start().await;
    world.until_count("parked_events", 1).await;
    assert_eq!(world.count("rebuilds").await, 1, "the ledger is asked");
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_that_was_restored_reads_again_what_it_lost() {
    let world = World::new().await;
    let journals = crowd(6, 4);
    let instance = world.start().await;
    world
        .publish(journals.iter().flat_map(|journal| &journal[..2]))
        .await;
    world.until_count("events", 12).await;
    sqlx::query("create table backup as select * from consumer_offsets")
        .execute(world.pool())
        .await
        .unwrap();
    world
        .publish(journals.iter().flat_map(|journal| &journal[2..]))
        .await;
    world.until_count("events", 24).await;
    instance.stop().await;
    sqlx::query(
        "update consumer_offsets as o set next_offset = b.next_offset, previous_hash = b.previous_hash \
         from backup as b where b.partition = o.partition",
    )
    .execute(world.pool())
    .await
    .unwrap();
    let instance = world.start().await;
    let next = Chain::new("alice").journal(1);
    world.publish(&next).await;
    instance.until_applied(&next[0]).await;
    assert_eq!(jumps(&instance).await, 0, "it is the same topic");
    for journal in &journals {
        world.assert_stored(journal).await;
    }
    instance.stop().await;
}

/// That messages are gone is said, and the ledger asked, with nothing on the topic that would tell it.
async fn until_told(world: &World, instance: &Instance) {
    world.until_count("rebuilds", 1).await;
    eventually("health says so", SOON, async || {
        let (_, health) = instance.get("/readyz").await;
        let refill = &health["components"]["refill"];
        let told = refill["reason"].to_string().contains("messages are gone");
        (refill["status"] == "degraded" && told).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_made_again_and_is_empty_is_noticed_without_a_message() {
    let world = World::with_partitions(1).await;
    let journal = Chain::new("alice").journal(3);
    let instance = world.start().await;
    world.publish(&journal[..2]).await;
    instance.until_applied(&journal[1]).await;
    instance.stop().await;
    // It goes with the topic, unread.
    world.publish(&journal[2..]).await;
    world.make_topic_again().await;

    let instance = world.start().await;
    until_told(&world, &instance).await;
    assert_eq!(jumps(&instance).await, 1);
    instance.stop().await;
    // And not once more.
    let instance = world.start().await;
    world.publish(&journal[2..]).await;
    instance.until_applied(&journal[2]).await;
    assert_eq!(
        (jumps(&instance).await, world.count("rebuilds").await),
        (0.into(), 1)
    );
    world.assert_stored(&journal).await;
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_that_cannot_be_made_is_ended_by_a_person_and_history_is_well() {
    let world = World::with_partitions(1).await;
    let journal = Chain::new("alice").journal(3);
    let instance = world.start().await;
    world.publish(&journal[..2]).await;
    instance.until_applied(&journal[1]).await;
    instance.stop().await;
    world.make_topic_again().await;
    let instance = world.start().await;
    until_told(&world, &instance).await;
    // Everything comes again: history cannot know that it is everything.
    world.publish(&journal).await;
    instance.until_applied(&journal[2]).await;
    let (_, health) = instance.get("/readyz").await;
    let refill = &health["components"]["refill"];
    let id = sqlx::query_scalar::<_, i64>("select id from rebuilds");
    let id = id.fetch_one(world.pool()).await.unwrap();
    let way_out = format!("walletctl rebuild --end {id}");
    assert!(refill["reason"].to_string().contains(&way_out), "{refill}");

    let path = format!("/admin/rebuilds/{id}/end");
    let (status, problem) = post(instance.address, &path, Some(&json!({"actor": "olga"})))
        .await
        .unwrap();
    assert_eq!(
        (status, &problem["errors"][0]["field"]),
        (400, &json!("reason"))
    );
    let word = json!({"reason": "republished", "actor": "olga"});
    for _ in 0..2 {
        let (status, order) = post(instance.address, &path, Some(&word)).await.unwrap();
        assert_eq!(
            (status, &order["status"]),
            (200, &json!("ended")),
            "{order}"
        );
        assert_eq!(order["ended_by"], "olga");
        assert_eq!(order["ended_reason"], "republished");
    }
    eventually("history is well", SOON, async || {
        let (_, health) = instance.get("/readyz").await;
        (health["components"]["refill"]["status"] == "ok").then_some(())
    })
    .await;
    let none = "/admin/rebuilds/99/end";
    let (status, problem) = post(instance.address, none, Some(&word)).await.unwrap();
    assert_eq!((status, &problem["code"]), (404, &json!("order_not_found")));
    assert_eq!(problem["errors"][0]["field"], "id");
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_were_deleted_unread_are_noticed_without_another_message() {
    let world = World::with_partitions(1).await;
    let mut chain = Chain::new("alice");
    let (read, unread) = (chain.journal(2), [chain.funded(1), chain.funded(1)]);
    let instance = world.start().await;
    world.publish(&read).await;
    instance.until_applied(&read[1]).await;
    instance.stop().await;
    world.publish(&unread).await;
    world.truncate(4).await;
    let instance = world.start().await;
    until_told(&world, &instance).await;
    instance.stop().await;
}
