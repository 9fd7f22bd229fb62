//! Events that an operator has replaced: who was told them is told so, and what stands there now.

use serde_json::json;

use super::{Reader, id_of, reader::Message};
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

/// That it is told that what it was told of a wallet from this number on is replaced.
async fn is_taken_back(reader: &mut Reader, wallet: shared::WalletId, from: i64) {
    let told = reader.event().await.unwrap();
    let expected = json!({"wallet_id": wallet, "from_sequence": from});
    assert_eq!((&*told.event, told.data), ("replaced", expected));
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
        is_taken_back(reader, alice.wallet(), 4).await;
    }
    assert_eq!(by_wallet.last_id, id_of(&journal[2]));
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

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_was_away_when_events_were_replaced_is_told_so_when_it_comes_back() {
    let world = World::new().await;
    let mut instance = world.start().await;
    let (mut alice, mut other) = (Chain::new("alice"), Chain::new("alice"));
    let journal = alice.journal(3);
    let (mut second, mut third) = (alice.clone(), alice.clone());
    let first = [alice.funded(1), alice.funded(1), alice.funded(1)];
    let opened = other.opened();
    world.publish(journal.iter().chain(&first)).await;
    world.publish([&opened]).await;
    instance.until_applied(&first[2]).await;
    instance.until_applied(&opened).await;
    let paths = [
        format!("/wallets/{}/stream", alice.wallet()),
        "/users/alice/stream".to_owned(),
    ];
    // They leave at the end of a branch that is no more then.
    let mut left_at = Vec::new();
    for path in &paths {
        let mut reader = Reader::after(instance.address, path, "0").await;
        let count = if path.starts_with("/users") { 7 } else { 6 };
        reader.sequences(count).await;
        left_at.push(reader.last_id);
    }

    // Twice: the second time further back than the first.
    set_aside(&world, alice.wallet(), &[5, 6]).await;
    let next = second.funded(2);
    assert_eq!(next.sequence.get(), 4);
    set_aside(&world, alice.wallet(), &[4]).await;
    world.publish([&next]).await;
    instance.until_applied(&next).await;
    // What they say of themselves is enough, whichever instance they ask.
    instance.stop().await;
    instance = world.start().await;
    for (path, left_at) in paths.iter().zip(&left_at) {
        let mut reader = Reader::after(instance.address, path, left_at).await;
        assert_eq!(reader.last_id, *left_at, "it begins where it left");
        is_told(&mut reader, alice.wallet(), &next).await;
        let mut again = Reader::after(instance.address, path, &reader.last_id).await;
        assert!(again.is_silent().await, "{path}: it is told once");
    }

    // And what stood there in between is gone again, while nothing stands there.
    set_aside(&world, alice.wallet(), &[4]).await;
    let mut reader = Reader::after(instance.address, &paths[0], &id_of(&next)).await;
    let last = third.funded(3);
    world.publish([&last]).await;
    is_told(&mut reader, alice.wallet(), &last).await;
    instance.stop().await;
}

/// That what was told from the fourth event on is replaced, by this event.
async fn is_told(reader: &mut Reader, wallet: shared::WalletId, by: &shared::event::WalletEvent) {
    is_taken_back(reader, wallet, 4).await;
    assert!(is_of(&reader.event().await.unwrap(), by));
    assert!(reader.is_silent().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_left_before_the_events_that_were_replaced_hears_nothing_of_it() {
    let world = World::new().await;
    let instance = world.start().await;
    let mut alice = Chain::new("alice");
    let journal = alice.journal(3);
    let mut branch = alice.clone();
    let gone = alice.funded(1);
    world.publish(journal.iter().chain([&gone])).await;
    instance.until_applied(&gone).await;
    set_aside(&world, alice.wallet(), &[4]).await;
    let now = branch.funded(2);
    world.publish([&now]).await;
    instance.until_applied(&now).await;
    let path = format!("/wallets/{}/stream", alice.wallet());
    for left_at in [id_of(&journal[2]), "3".to_owned(), id_of(&now)] {
        let mut reader = Reader::after(instance.address, &path, &left_at).await;
        if !left_at.starts_with('4') {
            assert!(is_of(&reader.event().await.unwrap(), &now), "{left_at}");
        }
        assert!(reader.is_silent().await, "{left_at}");
    }
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_a_branch_that_history_made_anew_never_knew_begins_anew() {
    let world = World::new().await;
    let instance = world.start().await;
    let mut alice = Chain::new("alice");
    let journal = alice.journal(3);
    let mut branch = alice.clone();
    // It was told the fourth event of another branch, which is nowhere any more.
    let gone = alice.funded(1);
    world.publish(&journal).await;
    instance.until_applied(&journal[2]).await;
    let path = format!("/wallets/{}/stream", alice.wallet());
    let mut reader = Reader::after(instance.address, &path, &id_of(&gone)).await;
    assert!(reader.is_silent().await, "it may be on its way");
    let now = branch.funded(2);
    world.publish([&now]).await;
    is_taken_back(&mut reader, alice.wallet(), 1).await;
    for event in journal.iter().chain([&now]) {
        assert!(is_of(&reader.event().await.unwrap(), event));
    }
    instance.stop().await;
}
