//! Going on where one was: each event once, whatever happens in between.

use serde_json::json;
use shared::server::kafka::KafkaSettings;
use sqlx::Executor;

use super::Reader;
use crate::{
    chain::Chain,
    harness::{Instance, World},
};

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_go_on_see_each_event_once_while_the_consumer_is_started_anew() {
    const EVENTS: usize = 600;
    let world = World::new().await;
    let mut alice = Chain::new("alice");
    let journal = alice.journal(EVENTS);
    let path = format!("/wallets/{}/stream", alice.wallet());
    let mut instance = world.start().await;
    world.publish(&journal[..1]).await;
    instance.until_applied(&journal[0]).await;
    let mut seen = vec![1];
    let mut last_id = "1".to_owned();
    for round in 0..6 {
        // Half of the rounds the service goes away, half only the connection.
        if round % 2 == 1 {
            instance.stop().await;
            instance = world.start().await;
        }
        let mut reader = Reader::after(instance.address, &path, &last_id).await;
        let part = 1 + round * 100..1 + (round + 1) * 100;
        let part = &journal[part.start..part.end.min(EVENTS)];
        let reading = async {
            // It leaves in the middle of what comes.
            let sequences = reader.sequences(part.len() - 7).await;
            seen.extend(sequences);
        };
        tokio::join!(world.publish(part), reading);
        last_id.clone_from(&reader.last_id);
    }
    let mut reader = Reader::after(instance.address, &path, &last_id).await;
    seen.extend(reader.sequences(EVENTS - seen.len()).await);
    let all: Vec<i64> = (1..).take(EVENTS).collect();
    assert_eq!(seen, all);
    assert!(reader.is_silent().await);
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zero_is_before_the_first_event() {
    let world = World::new().await;
    let instance = world.start().await;
    let mut alice = Chain::new("alice");
    let journal = alice.journal(170);
    world.publish(&journal).await;
    instance.until_applied(&journal[169]).await;
    let path = format!("/wallets/{}/stream", alice.wallet());
    for (path, position) in [
        (&*path, json!({"applied_sequence": 170})),
        (
            "/users/alice/stream",
            json!({"applied_sequences": {alice.wallet().to_string(): 170}}),
        ),
    ] {
        let mut reader = Reader::after(instance.address, path, "0").await;
        assert_eq!(reader.position, position);
        let all: Vec<i64> = (1..=170).collect();
        assert_eq!(reader.sequences(170).await, all, "{path}");
    }
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_here_yet_is_waited_for() {
    let world = World::new().await;
    let instance = world.start().await;
    let mut alice = Chain::new("alice");
    let journal = alice.journal(5);
    world.publish(&journal[..1]).await;
    instance.until_applied(&journal[0]).await;
    let path = format!("/wallets/{}/stream", alice.wallet());
    let mut behind = Reader::now(instance.address, &path).await;
    // History is behind what the reader knows of.
    let mut ahead = Reader::after(instance.address, &path, "3").await;
    assert_eq!(ahead.position, json!({"applied_sequence": 1}));
    // The second is missing: the others are parked behind it.
    world.publish(&journal[2..]).await;
    world.until_count("parked_events", 3).await;
    assert!(behind.is_silent().await && ahead.is_silent().await);
    world.publish(&journal[1..2]).await;
    assert_eq!(behind.sequences(4).await, [2, 3, 4, 5]);
    assert_eq!(ahead.sequences(2).await, [4, 5]);
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_instance_applies_is_told_here() {
    let world = World::new().await;
    let consuming = world.start().await;
    let mut alice = Chain::new("alice");
    let opened = alice.opened();
    world.publish([&opened]).await;
    consuming.until_applied(&opened).await;
    // It applies nothing itself.
    let mut config = world.config();
    config.kafka = KafkaSettings {
        topic: shared::testing::unique_topic("elsewhere"),
        ..config.kafka
    };
    let telling = Instance::start(config).await;
    let path = format!("/wallets/{}/stream", alice.wallet());
    let mut of_wallet = Reader::now(telling.address, &path).await;
    let mut of_user = Reader::now(telling.address, "/users/alice/stream").await;
    let mut second = Chain::new("alice");
    world
        .publish([&alice.funded(1), &second.opened(), &second.funded(1)])
        .await;
    assert_eq!(of_wallet.sequences(1).await, [2]);
    let mut of_user = of_user.sequences(3).await;
    of_user.sort_unstable();
    assert_eq!(of_user, [1, 2, 2]);
    telling.stop().await;
    consuming.stop().await;
}

/// As an operator who restores an empty database: everything comes again, from 1 on.
const EMPTY: &str = "
    alter table events disable trigger user;
    delete from events;
    alter table events enable trigger user;
    delete from wallets;
    delete from consumer_offsets";

#[tokio::test(flavor = "multi_thread")]
async fn history_that_is_made_anew_is_not_told_again() {
    let world = World::new().await;
    let instance = world.start().await;
    let (mut alice, mut other) = (Chain::new("alice"), Chain::new("alice"));
    let mut journal = alice.journal(120);
    journal.extend(other.journal(3));
    world.publish(&journal).await;
    instance.until_applied(&journal[119]).await;
    instance.until_applied(&journal[122]).await;
    let path = format!("/wallets/{}/stream", alice.wallet());
    let mut of_wallet = Reader::now(instance.address, &path).await;
    let mut of_user = Reader::now(instance.address, "/users/alice/stream").await;
    let left_at = of_user.last_id.clone();
    assert!(of_wallet.is_silent().await);
    world.pool().execute(EMPTY).await.unwrap();
    // One that comes back while nothing is known of the wallets goes on where it was.
    let mut comes_back = Reader::after(instance.address, "/users/alice/stream", &left_at).await;
    let more = [alice.funded(1), other.funded(1)];
    world.publish(&more).await;
    instance.until_applied(&more[0]).await;
    instance.until_applied(&more[1]).await;
    assert_eq!(of_wallet.sequences(1).await, [121]);
    for reader in [&mut of_user, &mut comes_back] {
        let mut told = reader.sequences(2).await;
        told.sort_unstable();
        assert_eq!(told, [4, 121]);
    }
    assert!(
        of_wallet.is_silent().await && of_user.is_silent().await && comes_back.is_silent().await
    );
    instance.stop().await;
}
