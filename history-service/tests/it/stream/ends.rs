//! How streams end: with the token, with the process, and only for whom they are.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, http::header::CONTENT_TYPE};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use history_service::{config::Config, history::live::StreamSettings};
use serde_json::{Value, json};
use shared::{
    Timestamp,
    access::Scopes,
    server::{
        auth::{
            AuthSettings,
            mint::{MintKey, NewKeyPair, NewToken},
        },
        http::HttpLimits,
        settings::Settings,
    },
    testing::{eventually, tokens},
};
use tokio::{net::TcpListener, time::Instant};

use super::{Reader, reader::Asked};
use crate::{
    chain::Chain,
    harness::{Instance, SOON, World},
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

/// An issuer's list of one key.
fn list_of(pair: &NewKeyPair) -> Value {
    let lines = pair.public.lines().filter(|line| !line.starts_with('-'));
    let spki = STANDARD.decode(lines.collect::<String>()).unwrap();
    let key = URL_SAFE_NO_PAD.encode(&spki[spki.len() - 32..]);
    json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "use": "sig", "x": key}]})
}

fn token_of(pair: &NewKeyPair) -> String {
    let token = NewToken {
        issuer: tokens::ISSUER.to_owned(),
        audience: tokens::AUDIENCE.to_owned(),
        subject: "alice".parse().unwrap(),
        scopes: Scopes::all(),
        act_for: None,
        lasts: Duration::from_secs(3_600),
    };
    let key = MintKey::of_pem(&pair.private).unwrap();
    key.mint(&token, Timestamp::now()).unwrap()
}

/// Says what it is told to, at the address.
async fn issuer(list: Arc<Mutex<Value>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let router = Router::new().fallback(async move || {
        let list = list.lock().unwrap().to_string();
        ([(CONTENT_TYPE, "application/json")], list)
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_when_the_key_of_its_token_is_withdrawn() {
    let world = World::new().await;
    let [before, after] = [(); 2].map(|()| NewKeyPair::generate().unwrap());
    let list = Arc::new(Mutex::new(list_of(&before)));
    let url = issuer(Arc::clone(&list)).await;
    let settings = [
        ("AUTH", "jwt"),
        ("AUTH_JWKS_URL", &*url),
        ("AUTH_ISSUER", tokens::ISSUER),
        ("AUTH_AUDIENCE", tokens::AUDIENCE),
    ];
    let auth = Settings::from_pairs(settings)
        .read(|settings| AuthSettings::from_settings(settings, [127, 0, 0, 1].into()))
        .unwrap();
    let config = world.config();
    let instance = Instance::start(Config { auth, ..config }).await;
    let (path, token) = ("/users/alice/stream", token_of(&before));
    let mut reader = eventually("the key is known", SOON, async || {
        Reader::open(instance.address, path, by(&token)).await.ok()
    })
    .await;
    let ended = async {
        *list.lock().unwrap() = list_of(&after);
        // Tokens of keys that there are not have the list asked for again.
        let unknown = tokens::signed_by("unknown", &tokens::claims("alice"));
        let asking = eventually("the list is asked for again", SOON, async || {
            drop(Reader::open(instance.address, path, by(&unknown)).await);
            None
        });
        tokio::select! {
            code = reader.end() => code,
            never = asking => never,
        }
    };
    assert_eq!(ended.await, "token_invalid");
    let renewed = token_of(&after);
    Reader::open(instance.address, path, by(&renewed))
        .await
        .unwrap();
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
async fn who_may_see_less_of_an_event_is_told_less_of_it() {
    let world = World::new().await;
    let instance = guarded(&world).await;
    let (mut alice, mut bob) = (Chain::new("alice"), Chain::new("bob"));
    let opened = [alice.opened(), bob.opened()];
    world.publish(&opened).await;
    world.until_count("events", 2).await;
    let path = format!("/wallets/{}/stream", alice.wallet());
    let (token, operator) = (tokens::user("alice"), tokens::service("op", json!("*")));
    let address = instance.address;
    let mut full = Reader::open(address, &path, by(&operator)).await.unwrap();
    let mut own = Reader::open(address, &path, by(&token)).await.unwrap();
    world.publish(&alice.transferred(&mut bob, 1)).await;
    let (full, own) = (full.event().await.unwrap(), own.event().await.unwrap());
    assert_eq!(full.data["counterparty_user_id"], "bob");
    assert_eq!(own.data["counterparty_user_id"], Value::Null);
    assert_eq!(own.data["event_id"], full.data["event_id"]);
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
    // The first answer waits for a connection to the database.
    eventually("it answers in that time", SOON, async || {
        (instance.get("/users/alice/activity").await.0 == 200).then_some(())
    })
    .await;
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
