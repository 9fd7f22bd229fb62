//! A reader that does not read: told, cut, and of no concern to others.

use std::{net::SocketAddr, time::Duration};

use history_service::{config::Config, history::live::StreamSettings};
use shared::{server::http::HttpLimits, testing::eventually};
use sqlx::Executor;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use super::{Reader, with_streams};
use crate::{
    chain::Chain,
    harness::{Instance, SOON, World},
};

/// Of `events` more than all buffers between a reader and the service hold.
const EVENTS: i64 = 10_000;
const FILL: &str = "
    insert into events (wallet_id, sequence, event_id, schema_version, user_id, kind, transaction_id, amount, currency,
                        balance_after, occurred_at, actor, data, hash)
    select '01900000-0000-7000-8000-000000000000', sequence, gen_random_uuid(), 1, 'heavy', 'wallet.funded',
           gen_random_uuid(), 1, 'USD', sequence, timestamptz '2026-11-21 08:00:00Z' + sequence * interval '1 second',
           'anonymous', '{\"description\": \"' || repeat('x', 400) || '\"}', sha256('a')
    from generate_series(1, 10000) as sequence;
    insert into wallets (wallet_id, user_id, currency) values ('01900000-0000-7000-8000-000000000000', 'heavy', 'USD')";
const PATH: &str = "/wallets/01900000-0000-7000-8000-000000000000/stream";

/// A connection that asks for the whole stream and reads nothing, with as little room for it as there can be.
async fn deaf(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(2_048).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let request = format!(
        "GET {PATH} HTTP/1.1\r\nhost: test\r\nlast-event-id: 0\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// An instance that cuts nobody for what is not read, however long the others take, and waits as long at its end.
async fn patient(world: &World) -> Instance {
    const HOUR: Duration = Duration::from_secs(3_600);
    let config = world.config();
    let instance = Instance::start(Config {
        http: HttpLimits {
            idle_timeout: HOUR,
            drain_timeout: HOUR,
            ..config.http
        },
        streams: StreamSettings {
            stall_timeout: HOUR,
            ..StreamSettings::default()
        },
        ..config
    })
    .await;
    instance.until_consuming().await;
    instance
}

async fn ended(instance: &Instance, reason: &str) -> f64 {
    let asked =
        shared::server::http_client::plain().get(format!("http://{}/metrics", instance.address));
    let text = asked.send().await.unwrap().text().await.unwrap();
    let told = shared::testing::exposition::Exposition::parse(&text);
    let of = told.sum("history_ended_streams_total", &[("reason", reason)]);
    of.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_takes_nothing_is_told_and_cut_and_others_go_on() {
    let world = World::new().await;
    world.pool().execute(FILL).await.unwrap();
    let streams = StreamSettings {
        stall_timeout: Duration::from_millis(500),
        ..StreamSettings::default()
    };
    let instance = with_streams(&world, streams).await;
    let mut deaf = deaf(instance.address).await;
    let mut quick = Reader::after(instance.address, PATH, "0").await;
    let mut alice = Chain::new("alice");
    let mut other = Reader::now(instance.address, "/users/alice/stream").await;
    // Those who read get all of it, as fast as they read, and what happens elsewhere meanwhile.
    let all: Vec<i64> = (1..=EVENTS).collect();
    let length = usize::try_from(EVENTS).unwrap();
    let (told, ()) = tokio::join!(quick.sequences(length), async {
        world.publish([&alice.opened(), &alice.funded(1)]).await;
        assert_eq!(other.sequences(2).await, [1, 2]);
    });
    assert_eq!(told, all);
    // What was sent to it is still to be read, then why nothing else comes, then the end.
    let read = async {
        let mut text = String::new();
        // It begins to read when it has been cut: not before its time is over.
        eventually("it was cut", SOON, async || {
            (ended(&instance, "slow").await > 0.0).then_some(())
        })
        .await;
        deaf.read_to_string(&mut text).await.unwrap();
        text
    };
    let text = tokio::time::timeout(SOON, read).await.unwrap();
    assert!(text.contains("event: end\ndata: {"), "it was told");
    assert!(
        text.contains("reader_too_slow"),
        "{}",
        &text[text.len() - 400..]
    );
    let sent = text.matches("event: wallet.funded").count();
    assert!(sent < length, "it was given all of it");
    assert_eq!(ended(&instance, "slow").await, 1.0);
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_process_does_not_wait_for_one_that_does_not_read() {
    let world = World::new().await;
    world.pool().execute(FILL).await.unwrap();
    let instance = patient(&world).await;
    let _deaf = deaf(instance.address).await;
    let mut quick = Reader::after(instance.address, PATH, "0").await;
    quick.sequences(usize::try_from(EVENTS).unwrap()).await;
    let stopped = tokio::time::timeout(SOON, instance.stop()).await;
    assert!(stopped.is_ok(), "it waits for as long as it may");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_whose_next_event_is_moved_to_an_archive_before_it_is_read_is_told() {
    let world = World::new().await;
    world.pool().execute(FILL).await.unwrap();
    let instance = patient(&world).await;
    let mut deaf = deaf(instance.address).await;
    // The service reads for both in turns: what one did not take by now is behind it.
    let mut quick = Reader::after(instance.address, PATH, "0").await;
    quick.sequences(usize::try_from(EVENTS).unwrap()).await;
    assert_eq!(world.archive("2026-11-21T10:30:00Z").await, 8_999);
    let mut text = String::new();
    let read = tokio::time::timeout(SOON, deaf.read_to_string(&mut text)).await;
    read.expect("it is ended").unwrap();
    let sent = text.matches("event: wallet.funded").count();
    assert!(sent < 8_999, "it was given what was moved away: {sent}");
    let end = &text[text.len() - 400..];
    assert!(
        end.contains("event: end") && end.contains("\"code\":\"archived\""),
        "{end}"
    );
    assert_eq!(ended(&instance, "archived").await, 1.0);
    instance.stop().await;
}
