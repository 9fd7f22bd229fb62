//! Streams: what happens, told as it happens.

mod browser;
mod crowd;
mod ends;
mod reader;
mod replaced;
mod resume;
mod slow;
mod unreadable;
mod users;

use std::time::Duration;

use history_service::{config::Config, history::live::StreamSettings};
use serde_json::{Value, json};
use shared::{WalletId, event::WalletEvent};

use self::reader::{Asked, Reader};
use crate::{
    chain::Chain,
    harness::{Instance, World},
};

/// The id of the message that tells an event on its wallet's stream.
fn id_of(event: &WalletEvent) -> String {
    format!("{}-{}", event.sequence, &event.hash.to_string()[..8])
}

/// An instance whose streams are kept so.
async fn with_streams(world: &World, streams: StreamSettings) -> Instance {
    let config = world.config();
    let instance = Instance::start(Config { streams, ..config }).await;
    instance.until_consuming().await;
    instance
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_tells_each_event_as_the_listing_shows_it() {
    let world = World::new().await;
    let instance = world.start().await;
    let (mut alice, mut bob) = (Chain::new("alice"), Chain::new("bob"));
    let opened = [alice.opened(), bob.opened()];
    world.publish(&opened).await;
    instance.until_applied(&opened[0]).await;
    instance.until_applied(&opened[1]).await;
    let path = format!("/wallets/{}/stream", alice.wallet());
    let mut reader = Reader::now(instance.address, &path).await;
    assert_eq!(
        (reader.position.clone(), &reader.last_id),
        (json!({"applied_sequence": 1}), &id_of(&opened[0]))
    );
    let mut events = vec![alice.funded(5_000)];
    events.extend(alice.transferred(&mut bob, 100));
    events.extend(alice.hold(1_000, 200));
    world.publish(&events).await;
    let mut told = Vec::new();
    for sequence in 2..=10 {
        let message = reader.event().await.unwrap();
        let hash = message.data["hash"].as_str().unwrap();
        assert_eq!(message.id, Some(format!("{sequence}-{}", &hash[..8])));
        assert_eq!(json!(message.event), message.data["kind"]);
        told.push(message.data);
    }
    let listing = format!("/wallets/{}/history?order=asc", alice.wallet());
    let listed = instance.all(&listing).await;
    // Whose Bob's wallet is, is said in both once it is here.
    assert_eq!(told, listed[1..]);
    assert_eq!(told[1]["counterparty_user_id"], "bob");
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_happens_is_a_comment_now_and_then() {
    let world = World::new().await;
    let heartbeat = Duration::from_millis(50);
    let streams = StreamSettings {
        heartbeat,
        ..StreamSettings::default()
    };
    let instance = with_streams(&world, streams).await;
    let mut alice = Chain::new("alice");
    let opened = alice.opened();
    world.publish([&opened]).await;
    instance.until_applied(&opened).await;
    let path = format!("/wallets/{}/stream", alice.wallet());
    let mut reader = Reader::now(instance.address, &path).await;
    for _ in 0..3 {
        let comment = reader.next().await.unwrap();
        assert_eq!((comment.event, comment.id), (String::new(), None));
    }
    world.publish([&alice.funded(1)]).await;
    assert_eq!(reader.sequences(1).await, [2]);
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_streamed_is_refused() {
    let world = World::new().await;
    let instance = world.start().await;
    let opened = Chain::new("alice").opened();
    world.publish([&opened]).await;
    instance.until_applied(&opened).await;
    let wallet = format!("/wallets/{}/stream", opened.wallet_id);
    let nothing = format!("/wallets/{}/stream", WalletId::generate());
    let bob = Reader::now(instance.address, "/users/bob/stream").await;
    let alice = Reader::now(instance.address, "/users/alice/stream").await;
    assert_eq!(bob.last_id, "0", "he has no wallet");
    let cut = &alice.last_id[..alice.last_id.len() - 1];
    for (path, last_id, status, code) in [
        (&*nothing, None, 404, "wallet_not_found"),
        ("/wallets/x/stream", None, 400, "invalid_uuid"),
        (&*wallet, Some("x"), 400, "last_event_id_invalid"),
        (&*wallet, Some("-1"), 400, "last_event_id_invalid"),
        (&*wallet, Some("01"), 400, "last_event_id_invalid"),
        (&*wallet, Some("1.5"), 400, "last_event_id_invalid"),
        (&*wallet, Some("1-"), 400, "last_event_id_invalid"),
        (&*wallet, Some("1-1fe8323"), 400, "last_event_id_invalid"),
        (&*wallet, Some("1-1FE83239"), 400, "last_event_id_invalid"),
        (
            &*wallet,
            Some(&*alice.last_id),
            400,
            "last_event_id_invalid",
        ),
        (
            "/users/alice/stream",
            Some("1"),
            400,
            "last_event_id_invalid",
        ),
        (
            "/users/alice/stream",
            Some(cut),
            400,
            "last_event_id_invalid",
        ),
        (
            "/users/bob/stream",
            Some(&*alice.last_id),
            400,
            "last_event_id_invalid",
        ),
    ] {
        let asked = Asked {
            last_id,
            token: None,
        };
        let refused = Reader::open(instance.address, path, asked).await.err();
        let (answered, problem) = refused.unwrap_or_else(|| panic!("{path} {last_id:?}"));
        assert_eq!(
            (answered, &problem["code"]),
            (status, &json!(code)),
            "{path} {last_id:?}"
        );
        if status == 400 && last_id.is_some() {
            assert_eq!(problem["errors"][0]["field"], "last-event-id");
        }
    }
    let twice = shared::server::http_client::plain()
        .get(format!("http://{}{wallet}", instance.address))
        .header("last-event-id", "1")
        .header("last-event-id", "1");
    let twice: Value = twice.send().await.unwrap().json().await.unwrap();
    assert_eq!(twice["code"], "last_event_id_invalid");
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_begins_when_history_is_as_far_as_its_reader_says() {
    let world = World::new().await;
    let instance = world.start().await;
    let journal = Chain::new("alice").journal(3);
    let wallet = journal[0].wallet_id;
    let too_early = [
        (format!("/wallets/{wallet}/stream?min_sequence=3"), 503),
        (format!("/users/alice/stream?min_sequences={wallet}:3"), 503),
        (format!("/wallets/{wallet}/stream?wait_ms=5"), 400),
        (format!("/wallets/{wallet}/stream?sequence=5"), 400),
    ];
    for (path, status) in too_early {
        let asked = Asked {
            last_id: None,
            token: None,
        };
        let refused = Reader::open(instance.address, &path, asked).await.err();
        let (answered, problem) = refused.unwrap();
        assert_eq!(answered, status, "{path}: {problem}");
        let is_behind = problem["code"] == "history_behind";
        assert_eq!(is_behind, status == 503, "{path}: {problem}");
    }
    let of_wallet = format!("/wallets/{wallet}/stream?min_sequence=3&wait_ms=30000");
    let of_user = format!("/users/alice/stream?min_sequences={wallet}:3&wait_ms=30000");
    let (mut all, of_user, ()) = tokio::join!(
        Reader::after(instance.address, &of_wallet, "0"),
        Reader::now(instance.address, &of_user),
        world.publish(&journal),
    );
    assert_eq!(all.position, json!({"applied_sequence": 3}));
    assert_eq!(all.sequences(3).await, [1, 2, 3]);
    assert_eq!(
        of_user.position,
        json!({"applied_sequences": {wallet.to_string(): 3}})
    );
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_room_for_so_many_streams_and_no_more() {
    let world = World::new().await;
    let streams = StreamSettings {
        all_max: 2,
        ..StreamSettings::default()
    };
    let instance = with_streams(&world, streams).await;
    let path = "/users/alice/stream";
    let first = Reader::now(instance.address, path).await;
    let _second = Reader::now(instance.address, path).await;
    let third = Reader::open(instance.address, path, Asked::default()).await;
    let (status, problem) = third.err().unwrap();
    assert_eq!((status, &problem["code"]), (503, &json!("streams_full")));
    drop(first);
    shared::testing::eventually(
        "its place is free again",
        crate::harness::SOON,
        async || {
            let next = Reader::open(instance.address, path, Asked::default()).await;
            next.ok().map(drop)
        },
    )
    .await;
    instance.stop().await;
}
