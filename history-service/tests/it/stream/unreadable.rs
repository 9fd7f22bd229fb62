//! A row that cannot be read: its wallet's streams wait for it, and nobody else's.

use super::Reader;
use crate::{chain::Chain, harness::World};

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_cannot_be_read_holds_up_the_streams_of_its_wallet_alone() {
    let world = World::new().await;
    let instance = world.start().await;
    let journals = [Chain::new("alice").journal(6), Chain::new("bob").journal(6)];
    for journal in &journals {
        world.publish(journal).await;
        instance.until_applied(&journal[5]).await;
    }
    let [alice, bob] = [&journals[0], &journals[1]].map(|journal| journal[0].wallet_id);
    // Of a currency that no build knows.
    let spoilt = |currency: &str| {
        format!(
            "update events set currency = '{currency}' where wallet_id = '{alice}' and sequence = 4"
        )
    };
    world.tampered(&spoilt("XQX")).await;
    let path = |wallet| format!("/wallets/{wallet}/stream");
    let mut of_alice = Reader::after(instance.address, &path(alice), "0").await;
    assert_eq!(of_alice.sequences(3).await, [1, 2, 3]);
    let mut of_bob = Reader::after(instance.address, &path(bob), "0").await;
    assert_eq!(of_bob.sequences(6).await, [1, 2, 3, 4, 5, 6]);
    // It goes on by itself when the row is as it was.
    world.tampered(&spoilt("USD")).await;
    assert_eq!(of_alice.sequences(3).await, [4, 5, 6]);
    instance.stop().await;
}
