//! Migrations expand first and contract a release later: this build starts and works on the schema of the next one.

use shared::testing::expand_to_next_schema;

use crate::{
    chain::Chain,
    harness::{Instance, World, numbers},
};

/// Ingests events of two new wallets, one too early and one message that is none, and reads them; `round` counts from 1.
async fn work(world: &World, instance: &Instance, round: i64) {
    let user = format!("bob-{round}");
    let (mut alice, mut bob) = (Chain::new("alice"), Chain::new(&user));
    let mut events = vec![alice.opened(), alice.funded(10_000), bob.opened()];
    let sent = alice.transferred(&mut bob, 3_000);
    events.extend(sent.clone());
    events.push(alice.withdrawn(500));
    // Another one each time: the same message is one entry.
    let garbage = format!("no event {round}").into_bytes();
    world.publish_bytes(b"no wallet", Some(&garbage)).await;
    // The last one first, so that it is parked and applied later.
    world.publish(events.last()).await;
    world.until_count("parked_events", 1).await;
    world.publish(&events[..5]).await;
    world.until_count("events", 6 * round).await;
    world.until_count("parked_events", 0).await;
    world.until_count("quarantine", round).await;

    let history = format!("/wallets/{}/history", alice.wallet());
    assert_eq!(numbers(&instance.all(&history).await), [4, 3, 2, 1]);
    let oldest_first = format!("{history}?order=asc&limit=2");
    assert_eq!(numbers(&instance.all(&oldest_first).await), [1, 2, 3, 4]);
    let filtered = format!("{history}?kind=transfer.sent&min_sequence=4");
    assert_eq!(numbers(&instance.all(&filtered).await), [3]);
    instance.ok(&format!("/users/{user}/activity")).await;
    let transaction = sent[0].transaction_id.unwrap();
    instance.ok(&format!("/transactions/{transaction}")).await;
    instance.ok("/admin/quarantine").await;
    instance.ok("/admin/projection").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn this_build_runs_on_and_starts_on_the_schema_of_the_next_release() {
    let world = World::new().await;
    let instance = world.start().await;
    work(&world, &instance, 1).await;
    expand_to_next_schema(world.pool()).await;
    work(&world, &instance, 2).await;
    instance.stop().await;
    let instance = world.start().await;
    work(&world, &instance, 3).await;
    instance.stop().await;
}
