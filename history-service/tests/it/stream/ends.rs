//! How streams end: with the token, with the process, and only for whom they are.

use std::time::Duration;

use history_service::{config::Config, history::live::StreamSettings};
use serde_json::json;
use shared::{
    Timestamp,
    server::{auth::AuthSettings, http::HttpLimits, settings::Settings},
    testing::tokens,
};
use tokio::time::Instant;

use super::{Reader, reader::Asked};
use crate::{
    chain::Chain,
    harness::{Instance, World},
};

async fn guarded(world: &World) -> Instance {
    let settings = Settings::from_pairs(tokens::SETTINGS);
    let loopback = [127, 0, 0, 1].into();
    let auth = settings
        .read(|settings| AuthSettings::from_settings(settings, loopback))
        .unwrap();
    let streams = StreamSettings {
        of_caller_max: 2,
        ..StreamSettings::default()
    };
    let config = world.config();
    Instance::start(Config {
        auth,
        streams,
        ..config
    })
    .await
}

/// Good for so many seconds more: tokens are believed for 30 s longer than they say.
fn ends_in(seconds: i64) -> String {
    let end = Timestamp::now().seconds() + seconds - 30;
    tokens::signed(&tokens::with(tokens::claims("alice"), "exp", json!(end)))
}

fn by(token: &str) -> Asked<'_> {
    Asked {
        last_id: None,
        token: Some(token),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_the_token_it_was_opened_with() {
    let world = World::new().await;
    let instance = guarded(&world).await;
    let mut alice = Chain::new("alice");
    let opened = alice.opened();
    world.publish([&opened]).await;
    world.until_count("events", 1).await;
    let address = instance.address;
    let path = format!("/wallets/{}/stream", alice.wallet());
    let (short, long) = (ends_in(3), tokens::user("alice"));
    let mut ending = Reader::open(address, &path, by(&short)).await.unwrap();
    let mut lasting = Reader::open(address, &path, by(&long)).await.unwrap();
    world.publish([&alice.funded(1)]).await;
    assert_eq!(ending.sequences(1).await, [2]);
    assert_eq!(ending.end().await, "token_expired");
    world.publish([&alice.funded(1)]).await;
    assert_eq!(lasting.sequences(2).await, [2, 3]);
    let (status, problem) = Reader::open(address, &path, by(&short))
        .await
        .err()
        .unwrap();
    assert_eq!((status, &problem["code"]), (401, &json!("token_expired")));
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_has_so_many_streams_and_only_of_its_own_things() {
    let world = World::new().await;
    let instance = guarded(&world).await;
    let (opened, others) = (Chain::new("alice").opened(), Chain::new("bob").opened());
    world.publish([&opened, &others]).await;
    world.until_count("events", 2).await;
    let (alice, bob) = (tokens::user("alice"), tokens::user("bob"));
    let operator = tokens::service("op", json!("*"));
    let address = instance.address;
    let theirs = format!("/wallets/{}/stream", others.wallet_id);
    for (path, code) in [
        (&*theirs, "wallet_not_found"),
        ("/users/bob/stream", "user_not_found"),
    ] {
        let (status, problem) = Reader::open(address, path, by(&alice)).await.err().unwrap();
        assert_eq!((status, &problem["code"]), (404, &json!(code)));
    }
    let path = "/users/alice/stream";
    let _open = [
        Reader::open(address, path, by(&alice)).await.unwrap(),
        Reader::open(address, path, by(&alice)).await.unwrap(),
    ];
    let (status, problem) = Reader::open(address, path, by(&alice)).await.err().unwrap();
    assert_eq!(
        (status, &problem["code"]),
        (429, &json!("too_many_streams"))
    );
    for (path, token) in [
        ("/users/bob/stream", &bob),
        (path, &operator),
        (path, &operator),
        (path, &operator),
    ] {
        Reader::open(address, path, by(token)).await.unwrap();
    }
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_process_is_told_and_waits_for_no_reader() {
    let world = World::new().await;
    let instance = world.start().await;
    let mut readers = Vec::new();
    for _ in 0..20 {
        readers.push(Reader::now(instance.address, "/users/alice/stream").await);
    }
    let began = Instant::now();
    let stopping = tokio::spawn(instance.stop());
    for reader in &mut readers {
        assert_eq!(reader.end().await, "unavailable");
    }
    stopping.await.unwrap();
    let limits = HttpLimits::default();
    assert!(began.elapsed() < limits.drain_timeout / 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_outlives_the_time_of_a_request_and_keeps_its_place_among_connections() {
    let world = World::new().await;
    let mut config = world.config();
    config.http = HttpLimits {
        request_timeout: Duration::from_millis(300),
        idle_timeout: Duration::from_millis(300),
        connections_max: 4,
        ..config.http
    };
    let instance = Instance::start(config).await;
    let mut reader = Reader::now(instance.address, "/users/alice/stream").await;
    let until = Instant::now() + Duration::from_secs(2);
    // Others come and go meanwhile, more than there is room for.
    let mut resting = Vec::new();
    while Instant::now() < until {
        let mut stream = tokio::net::TcpStream::connect(instance.address)
            .await
            .unwrap();
        let request = b"GET /livez HTTP/1.1\r\nhost: test\r\n\r\n";
        tokio::io::AsyncWriteExt::write_all(&mut stream, request)
            .await
            .unwrap();
        let mut answer = [0; 64];
        tokio::io::AsyncReadExt::read(&mut stream, &mut answer)
            .await
            .unwrap();
        resting.push(stream);
    }
    let mut alice = Chain::new("alice");
    world.publish([&alice.opened(), &alice.funded(1)]).await;
    assert_eq!(reader.sequences(2).await, [1, 2]);
    instance.stop().await;
}
