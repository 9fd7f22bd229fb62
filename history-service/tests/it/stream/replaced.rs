//! Events that an operator has replaced: who was told them is told so, and what stands there now.

use serde_json::json;

use super::{Reader, reader::Message};
use crate::{
    chain::Chain,
    harness::{Instance, World},
};

/// As a repair does, whichever instance it is of.
async fn set_aside(world: &World, wallet: shared::WalletId, sequences: &[i64]) {
    sqlx::query(
        "with gone as (select set_events_aside($1, $2, 'a fork', 'olga') as events) \
         update consumer_offsets set set_asides = set_asides + gone.events from gone",
    )
    .bind(wallet)
    .bind(sequences)
    .execute(world.pool())
    .await
    .unwrap();
}

fn is_of(message: &Message, event: &shared::event::WalletEvent) -> bool {
    message.data["event_id"] == event.event_id.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_events_that_were_replaced_is_told_so_and_gets_those_that_stand_there_now() {
    let world = World::new().await;
    let instance = world.start().await;
    let (mut alice, mut other) = (Chain::new("alice"), Chain::new("alice"));
    let journal = alice.journal(3);
    let mut branch = alice.clone();
    let gone = [alice.funded(1), alice.funded(1)];
    let opened = other.opened();
    world.publish(journal.iter().chain(&gone)).await;
    world.publish([&opened]).await;
    instance.until_applied(&gone[1]).await;
    instance.until_applied(&opened).await;
    let of_wallet = format!("/wallets/{}/stream", alice.wallet());
    let mut by_wallet = Reader::after(instance.address, &of_wallet, "0").await;
    let mut by_user = Reader::now(instance.address, "/users/alice/stream").await;
    assert_eq!(by_wallet.sequences(5).await, [1, 2, 3, 4, 5]);

    set_aside(&world, alice.wallet(), &[4, 5]).await;
    for reader in [&mut by_wallet, &mut by_user] {
        let told = reader.event().await.unwrap();
        let expected = json!({"wallet_id": alice.wallet(), "from_sequence": 4});
        assert_eq!((&*told.event, told.data), ("replaced", expected));
    }
    assert_eq!(by_wallet.last_id, "3");
    // What comes now comes under the numbers that it had been told already.
    let now = [branch.funded(2), branch.funded(2)];
    world.publish(&now).await;
    for reader in [&mut by_wallet, &mut by_user] {
        for event in &now {
            assert!(is_of(&reader.event().await.unwrap(), event));
        }
    }
    goes_on(&instance, &of_wallet, by_wallet, &now).await;
    goes_on(&instance, "/users/alice/stream", by_user, &now).await;
    instance.stop().await;
}

/// Who leaves after it was told so goes on with the events that stand there now.
async fn goes_on(
    instance: &Instance,
    path: &str,
    mut reader: Reader,
    now: &[shared::event::WalletEvent],
) {
    assert!(reader.is_silent().await);
    let mut again = Reader::after(instance.address, path, &reader.last_id).await;
    assert!(again.is_silent().await);
    if path.starts_with("/wallets") {
        let mut from_there = Reader::after(instance.address, path, "3").await;
        for event in now {
            assert!(is_of(&from_there.event().await.unwrap(), event));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_was_not_told_of_them_hears_nothing_of_it() {
    let world = World::new().await;
    let instance = world.start().await;
    let mut alice = Chain::new("alice");
    let journal = alice.journal(3);
    world.publish(&journal).await;
    instance.until_applied(&journal[2]).await;
    let path = format!("/wallets/{}/stream", alice.wallet());
    let mut bob = Reader::now(instance.address, "/users/bob/stream").await;
    // It is at the second event, and waits for nothing.
    set_aside(&world, alice.wallet(), &[3]).await;
    let mut reader = Reader::after(instance.address, &path, "2").await;
    assert!(reader.is_silent().await);
    assert!(bob.is_silent().await);
    instance.stop().await;
}
