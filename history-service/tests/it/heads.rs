//! Where a wallet is: what its events say, also when another consumer wrote them.

use std::sync::Arc;

use history_service::ingest::{
    batch::{self, BatchError},
    heads::HeadCache,
    message::{Headers, Message, Position, ReceivedHeaders},
    store::{self, Advance},
};
use shared::{event::WalletEvent, testing::eventually};

use crate::{
    chain::Chain,
    harness::{SOON, World},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_another_writer_is_giving_away_is_waited_for_and_found_taken() {
    let world = World::new().await;
    let journal = Chain::new("alice").journal(2);
    let instance = world.start().await;
    world.publish([&journal[0]]).await;
    instance.until_applied(&journal[0]).await;
    instance.stop().await;
    // Another writer is about to commit the next event.
    let mut other = world.pool().begin_with("begin").await.unwrap();
    sqlx::query(
        "insert into events select (jsonb_populate_record(e, '{\"sequence\": 2}')).* from events e",
    )
    .execute(&mut *other)
    .await
    .unwrap();

    let mut connection = world.pool().acquire().await.unwrap();
    let projecting = tokio::spawn({
        let message = message(&journal[1], "elsewhere");
        async move {
            store::claim_offsets(&mut connection, "elsewhere", &[0])
                .await
                .unwrap();
            let step = Advance {
                partition: 0,
                expected: 0,
                next: 1,
                previous: message.identity(),
            };
            let heads = &mut HeadCache::default();
            batch::apply(&mut connection, heads, "elsewhere", &[message], &[step]).await
        }
    });
    eventually("the batch waits for the other writer", SOON, || async {
        let waiting: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity \
             where datname = current_database() and wait_event_type = 'Lock'",
        )
        .fetch_one(world.pool())
        .await
        .unwrap();
        (waiting > 0).then_some(())
    })
    .await;
    other.commit().await.unwrap();

    let projected = projecting.await.unwrap();
    assert!(
        matches!(projected, Err(BatchError::HeadsMoved)),
        "{projected:?}"
    );
    assert_eq!(world.count("events").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_whose_row_is_gone_goes_on_and_holds_up_nobody() {
    let world = World::new().await;
    let (lost, other) = (Chain::new("alice").journal(3), Chain::new("bob").journal(3));
    let instance = world.start().await;
    world.publish(lost[..2].iter().chain(&other[..2])).await;
    instance.until_applied(&lost[1]).await;
    instance.until_applied(&other[1]).await;
    instance.stop().await;
    sqlx::query("delete from wallets where user_id = 'alice'")
        .execute(world.pool())
        .await
        .unwrap();

    // It knows no heads of its own yet.
    let instance = world.start().await;
    world.publish([&lost[2], &other[2]]).await;
    instance.until_applied(&other[2]).await;
    world.until_count("events", 6).await;
    assert_eq!(world.stored(lost[0].wallet_id).await.len(), 3);
    world.assert_stored(&other).await;
    assert_eq!(world.count("quarantine").await, 0);
    instance.stop().await;
}

fn message(event: &WalletEvent, topic: &str) -> Arc<Message> {
    Arc::new(Message {
        position: Position {
            topic: Arc::from(topic),
            partition: 0,
            offset: 0,
            sent_at: None,
        },
        key: Some(event.wallet_id.to_string().into_bytes()),
        value: Some(event.to_json()),
        headers: Headers::Received(ReceivedHeaders::default()),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_head_that_another_consumer_moved_is_found_out() {
    let world = World::new().await;
    let journal = Chain::new("alice").journal(5);
    let mut connection = world.pool().acquire().await.unwrap();
    let (here, there) = (&mut HeadCache::default(), &mut HeadCache::default());
    for topic in ["here", "there"] {
        store::claim_offsets(&mut connection, topic, &[0])
            .await
            .unwrap();
    }
    let mut project =
        async |heads: &mut HeadCache, topic: &str, from: i64, events: &[WalletEvent]| {
            let messages = Vec::from_iter(events.iter().map(|event| message(event, topic)));
            let step = Advance {
                partition: 0,
                expected: from,
                next: from + 1,
                previous: messages[0].identity(),
            };
            batch::apply(&mut connection, heads, topic, &messages, &[step]).await
        };
    project(here, "here", 0, &journal[..2]).await.unwrap();
    project(there, "there", 0, &journal[2..3]).await.unwrap();

    // Here the wallet is believed to be at 2 still.
    let overtaken = project(here, "here", 1, &journal[2..4]).await;
    assert!(
        matches!(overtaken, Err(BatchError::HeadsMoved)),
        "{overtaken:?}"
    );
    let applied = project(here, "here", 1, &journal[2..4]).await.unwrap();
    assert_eq!((applied.duplicates, applied.events), (1, 1));
    // There it is believed to be at 3: what does not carry on from that is decided on what is stored.
    let applied = project(there, "there", 1, &journal[4..]).await.unwrap();
    assert_eq!((applied.parked, applied.events), (0, 1));
    world.assert_stored(&journal).await;
    assert_eq!(world.count("quarantine").await, 0);
}
