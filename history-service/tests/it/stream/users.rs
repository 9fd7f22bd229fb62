//! Streams of a user: all wallets, each in its order, and going on in all of them at once.

use std::collections::BTreeMap;

use shared::event::WalletEvent;

use super::Reader;
use crate::{chain::Chain, harness::World};

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_leaves_again_and_again_sees_each_event_of_each_wallet_once() {
    const WALLETS: usize = 12;
    const EACH: usize = 30;
    let world = World::new().await;
    let instance = world.start().await;
    let journals: Vec<Vec<WalletEvent>> = (0..WALLETS)
        .map(|_| Chain::new("alice").journal(EACH))
        .collect();
    let publishing = async {
        // Side by side, in other partitions, and by turns ahead of each other.
        for part in 0..EACH / 3 {
            for journal in &journals {
                world.publish(&journal[part * 3..part * 3 + 3]).await;
            }
        }
    };
    let reading = async {
        let mut seen: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        let (mut count, mut last_id) = (0, "0".to_owned());
        while count < WALLETS * EACH {
            let mut reader = Reader::after(instance.address, "/users/alice/stream", &last_id).await;
            for _ in 0..(WALLETS * EACH - count).min(17) {
                let event = reader.event().await.unwrap().data;
                let wallet = event["wallet_id"].as_str().unwrap().to_owned();
                let sequence = event["sequence"].as_i64().unwrap();
                seen.entry(wallet).or_default().push(sequence);
                count += 1;
            }
            last_id.clone_from(&reader.last_id);
        }
        (seen, last_id)
    };
    let ((), (seen, last_id)) = tokio::join!(publishing, reading);
    let all: Vec<i64> = (1..).take(EACH).collect();
    assert_eq!(seen.len(), WALLETS);
    for (wallet, sequences) in seen {
        assert_eq!(sequences, all, "{wallet}");
    }
    let mut reader = Reader::after(instance.address, "/users/alice/stream", &last_id).await;
    assert!(reader.is_silent().await);
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_late_is_told_though_it_occurred_before_what_was_told() {
    let world = World::new().await;
    let instance = world.start().await;
    let mut early = Chain::new("alice").at("2026-11-01T00:00:00Z");
    let mut late = Chain::new("alice").at("2026-11-20T00:00:00Z");
    let first = [early.opened(), late.opened()];
    world.publish(&first).await;
    instance.until_applied(&first[0]).await;
    instance.until_applied(&first[1]).await;
    let mut reader = Reader::now(instance.address, "/users/alice/stream").await;
    world.publish([&late.funded(1)]).await;
    assert_eq!(reader.sequences(1).await, [2]);
    // It leaves, and only then comes what had happened weeks before.
    let last_id = reader.last_id.clone();
    drop(reader);
    let event = early.funded(1);
    world.publish([&event]).await;
    instance.until_applied(&event).await;
    let mut reader = Reader::after(instance.address, "/users/alice/stream", &last_id).await;
    let message = reader.event().await.unwrap();
    assert_eq!(message.data["event_id"], event.event_id.to_string());
    assert!(reader.is_silent().await);
    instance.stop().await;
}
