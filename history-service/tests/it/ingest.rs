//! From Kafka to rows: each event once, in its wallet's order, whatever arrives.

use std::sync::Arc;

use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::{Value, json};
use shared::{
    Hash, Sequence,
    event::WalletEvent,
    testing::{eventually, unique_topic},
};

use crate::{
    chain::Chain,
    harness::{SOON, World},
};

#[tokio::test(flavor = "multi_thread")]
async fn events_become_history_and_the_offset_moves_with_them() {
    let world = World::new().await;
    let instance = world.start().await;
    let journal = Chain::new("alice").journal(5);
    world.publish(&journal).await;
    instance.until_applied(&journal[4]).await;
    world.assert_stored(&journal).await;
    let offsets: i64 = sqlx::query_scalar("select sum(next_offset)::bigint from consumer_offsets")
        .fetch_one(world.pool())
        .await
        .unwrap();
    assert_eq!(offsets, 5);
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_where_the_database_says() {
    let world = World::new().await;
    let journal = Chain::new("alice").journal(4);
    let first = world.start().await;
    world.publish(&journal[..2]).await;
    first.until_applied(&journal[1]).await;
    first.stop().await;
    world.publish(&journal[2..]).await;
    let second = world.start().await;
    second.until_applied(&journal[3]).await;
    assert_eq!(
        second.ok("/admin/projection").await["instance"]["duplicates"],
        0
    );
    world.assert_stored(&journal).await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_sent_again_changes_nothing() {
    let world = World::new().await;
    let instance = world.start().await;
    let (alice, bob) = (Chain::new("alice").journal(6), Chain::new("bob").journal(3));
    for _ in 0..3 {
        world.publish(alice.iter().chain(&bob)).await;
    }
    eventually("all copies are consumed", SOON, || async {
        let projection = instance.ok("/admin/projection").await;
        (projection["instance"]["duplicates"] == 18).then_some(())
    })
    .await;
    world.assert_stored(&alice).await;
    world.assert_stored(&bob).await;
    assert_eq!(
        (world.count("events").await, world.count("quarantine").await),
        (9, 0)
    );
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_the_topic_again_from_its_beginning_changes_nothing() {
    let world = World::new().await;
    let journal = Chain::new("alice").journal(5);
    let first = world.start().await;
    world.publish(&journal).await;
    world.publish_bytes(b"key", Some(b"garbage")).await;
    first.until_applied(&journal[4]).await;
    world.until_count("quarantine", 1).await;
    first.stop().await;
    let rows = "select coalesce(jsonb_agg(to_jsonb(events) order by sequence), '[]') from events";
    let before: Value = sqlx::query_scalar(rows)
        .fetch_one(world.pool())
        .await
        .unwrap();

    sqlx::query("update consumer_offsets set next_offset = 0")
        .execute(world.pool())
        .await
        .unwrap();
    let second = world.start().await;
    eventually("the topic is read again", SOON, || async {
        let instance = &second.ok("/admin/projection").await["instance"];
        (instance["duplicates"] == 5 && instance["refused"] == 1).then_some(())
    })
    .await;
    let after: Value = sqlx::query_scalar(rows)
        .fetch_one(world.pool())
        .await
        .unwrap();
    assert_eq!(before, after);
    assert_eq!(world.count("quarantine").await, 1);
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_parks_what_follows_until_it_is_filled() {
    let world = World::new().await;
    let instance = world.start().await;
    let journal = Chain::new("alice").journal(5);
    let other = Chain::new("bob").journal(2);
    world
        .publish([
            &journal[0],
            &journal[4],
            &journal[2],
            &journal[3],
            &journal[3],
        ])
        .await;
    world.publish(&other).await;
    world.until_count("parked_events", 3).await;
    instance.until_applied(&other[1]).await;
    world.assert_stored(&journal[..1]).await;

    world.publish([&journal[1]]).await;
    instance.until_applied(&journal[4]).await;
    world.until_count("parked_events", 0).await;
    world.assert_stored(&journal).await;
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_one_batch_can_take_up_waits_behind_a_gap_and_is_taken_up() {
    let world = World::new().await;
    let instance = world.start().await;
    let journal = Chain::new("alice").journal(2_500);
    world
        .publish(
            journal
                .iter()
                .rev()
                .filter(|event| event.sequence != Sequence::FIRST),
        )
        .await;
    world.until_count("parked_events", 2_499).await;
    world.publish([&journal[0]]).await;
    instance.until_applied(&journal[2_499]).await;
    world.until_count("parked_events", 0).await;
    world.assert_stored(&journal).await;
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_two_writers_of_a_new_wallet_left_parked_is_taken_up() {
    let world = World::new().await;
    let journal = Chain::new("alice").journal(3);
    // The first writer applied 1 and 2 while the second, which saw no head yet, parked 3.
    let first = world.start().await;
    world.publish(&journal[..1]).await;
    first.until_applied(&journal[0]).await;
    world.publish([&journal[2]]).await;
    world.until_count("parked_events", 1).await;
    first.stop().await;
    sqlx::query("create table kept as select * from parked_events")
        .execute(world.pool())
        .await
        .unwrap();
    sqlx::query("delete from parked_events")
        .execute(world.pool())
        .await
        .unwrap();
    let second = world.start().await;
    world.publish([&journal[1]]).await;
    second.until_applied(&journal[1]).await;
    sqlx::query("insert into parked_events select * from kept")
        .execute(world.pool())
        .await
        .unwrap();

    second.until_applied(&journal[2]).await;
    world.until_count("parked_events", 0).await;
    world.assert_stored(&journal).await;
    second.stop().await;
}

/// Key, value, and the reason it is quarantined for.
type Poison<'a> = (&'a [u8], Option<Vec<u8>>, &'a str);

#[tokio::test(flavor = "multi_thread")]
async fn poison_is_quarantined_with_its_bytes_and_holds_up_nobody() {
    let world = World::new().await;
    let instance = world.start().await;
    let journal = Chain::new("alice").journal(3);
    let key = journal[0].wallet_id.to_string();
    let edited = |field: &str, value: Value| {
        let mut json: Value = serde_json::from_slice(&journal[2].to_json()).unwrap();
        json[field] = value;
        json.to_string().into_bytes()
    };
    let mut nul = journal[2].clone();
    nul.actor = "nul\0".to_owned();
    world.publish(&journal[..2]).await;
    let poison: [Poison<'_>; 7] = [
        (key.as_bytes(), Some(vec![0, 255, 1, 254]), "malformed"),
        (
            key.as_bytes(),
            Some(b"{\"schema_version\":1}".to_vec()),
            "malformed",
        ),
        (key.as_bytes(), None, "malformed"),
        (key.as_bytes(), Some(nul.sealed().to_json()), "malformed"),
        (
            key.as_bytes(),
            Some(edited("schema_version", json!(0))),
            "malformed",
        ),
        (
            key.as_bytes(),
            Some(edited("actor", json!("mallory"))),
            "wrong_hash",
        ),
        (b"another key", Some(journal[2].to_json()), "key_mismatch"),
    ];
    for (key, value, _) in &poison {
        world.publish_bytes(key, value.as_deref()).await;
    }
    world.publish([&journal[2]]).await;
    instance.until_applied(&journal[2]).await;
    world.until_count("quarantine", 7).await;
    world.assert_stored(&journal).await;
    let kept: Vec<(Vec<u8>, Option<Vec<u8>>, String)> =
        sqlx::query_as("select key, value, reason from quarantine")
            .fetch_all(world.pool())
            .await
            .unwrap();
    for (key, value, reason) in poison {
        assert!(
            kept.contains(&(key.to_vec(), value, reason.to_owned())),
            "{reason}"
        );
    }
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_message_is_quarantined_whole() {
    let world = World::new().await;
    let instance = world.start().await;
    let large = vec![b'x'; 900_000];
    world.publish_bytes(b"key", Some(&large)).await;
    world.until_count("quarantine", 1).await;
    let kept: Vec<u8> = sqlx::query_scalar("select value from quarantine")
        .fetch_one(world.pool())
        .await
        .unwrap();
    assert_eq!(kept, large);
    let listed = instance.ok("/admin/quarantine").await;
    assert_eq!(listed["items"][0]["value_bytes"], 900_000);
    assert_eq!(listed["items"][0]["reason"], "malformed");
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_event_under_a_known_number_is_an_alarm_and_changes_nothing() {
    let world = World::new().await;
    let instance = world.start().await;
    let journal = Chain::new("alice").journal(3);
    world.publish(&journal).await;
    instance.until_applied(&journal[2]).await;
    world.publish([&Chain::rival(&journal[1])]).await;
    world.until_count("quarantine", 1).await;
    assert_eq!(world.quarantined().await, ["conflicting_event"]);
    let claim: (Option<uuid::Uuid>, Option<i64>) =
        sqlx::query_as("select wallet_id, sequence from quarantine")
            .fetch_one(world.pool())
            .await
            .unwrap();
    assert_eq!(claim, (Some(journal[1].wallet_id.uuid()), Some(2)));
    world.assert_stored(&journal).await;
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_does_not_follow_is_quarantined_and_the_true_one_still_applies() {
    let world = World::new().await;
    let instance = world.start().await;
    let journal = Chain::new("alice").journal(3);
    let forged = WalletEvent {
        prev_hash: Hash::from_bytes([9; 32]),
        ..journal[1].clone()
    }
    .sealed();
    world.publish([&journal[0], &forged, &journal[2]]).await;
    world.until_count("quarantine", 1).await;
    world.until_count("parked_events", 1).await;
    assert_eq!(world.quarantined().await, ["chain_broken"]);
    world.publish([&journal[1]]).await;
    instance.until_applied(&journal[2]).await;
    world.assert_stored(&journal).await;
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_database_refuses_is_set_aside_alone() {
    let world = World::new().await;
    // Nothing that can be read is refused today, so the test makes the database stricter than the code.
    sqlx::query("alter table events add constraint no_mallory check (user_id <> 'mallory')")
        .execute(world.pool())
        .await
        .unwrap();
    let (alice, mallory) = (
        Chain::new("alice").journal(2),
        Chain::new("mallory").journal(2),
    );
    world
        .publish([&alice[0], &mallory[0], &mallory[1], &alice[1]])
        .await;
    let instance = world.start().await;
    instance.until_applied(&alice[1]).await;
    world.until_count("quarantine", 1).await;
    assert_eq!(world.quarantined().await, ["not_storable"]);
    // The one after it can never follow, but is not lost either.
    world.until_count("parked_events", 1).await;
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_beyond_the_topic_are_reported_and_nothing_is_skipped() {
    let world = World::new().await;
    let journal = Chain::new("alice").journal(3);
    let first = world.start().await;
    world.publish(&journal[..2]).await;
    first.until_applied(&journal[1]).await;
    first.stop().await;
    // As if the topic had been deleted and made again, shorter than it was.
    sqlx::query("update consumer_offsets set next_offset = 1000")
        .execute(world.pool())
        .await
        .unwrap();
    world.publish(&journal[2..]).await;
    let second = world.start().await;
    second.until_applied(&journal[2]).await;
    world.assert_stored(&journal).await;
    let projection = second.ok("/admin/projection").await;
    assert_eq!(projection["instance"]["offset_jumps"], 3, "one a partition");
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_wallets_at_once_are_all_complete() {
    let world = World::new().await;
    let instance = world.start().await;
    let journals: Vec<Vec<WalletEvent>> =
        (0..60).map(|_| Chain::new("crowd").journal(40)).collect();
    let interleaved: Vec<&WalletEvent> = (0..40)
        .flat_map(|n| journals.iter().map(move |journal| &journal[n]))
        .collect();
    let (world, instance) = (Arc::new(world), instance);
    world.publish(interleaved).await;
    world.until_count("events", 60 * 40).await;
    for journal in &journals {
        world.assert_stored(journal).await;
    }
    assert_eq!(
        (
            world.count("parked_events").await,
            world.count("quarantine").await
        ),
        (0, 0)
    );
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_of_another_producer_that_was_aborted_is_no_loss() {
    let world = World::new().await;
    let instance = world.start().await;
    let journal = Chain::new("alice").journal(2);
    world.publish(&journal[..1]).await;
    instance.until_applied(&journal[0]).await;
    let mut config = world.kafka.producer_config();
    let foreign: BaseProducer = config
        .set("transactional.id", unique_topic("foreign"))
        .set("message.timeout.ms", "60000")
        .create()
        .unwrap();
    let topic = world.kafka.topic.clone();
    tokio::task::spawn_blocking(move || {
        foreign.init_transactions(SOON).unwrap();
        foreign.begin_transaction().unwrap();
        for partition in 0..3 {
            let record = BaseRecord::<str, str>::to(&topic).partition(partition);
            foreign.send(record.payload("given up")).unwrap();
        }
        foreign.flush(SOON).unwrap();
        foreign.abort_transaction(SOON).unwrap();
    })
    .await
    .unwrap();
    world.publish(&journal[1..]).await;
    instance.until_applied(&journal[1]).await;
    let projection = instance.ok("/admin/projection").await;
    assert_eq!(projection["instance"]["offset_jumps"], 0);
    instance.stop().await;
}
