//! More connections than places, by sockets: which give way, and which never do.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, routing::get};
use futures::future::join_all;
use tokio::{io::AsyncWriteExt, task::yield_now, time::timeout};

use super::{
    leaving::{GATED, gated},
    listener::{read_answer, serve},
    router,
};
use crate::server::http::HttpLimits;

const ASK: &[u8] = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";

#[tokio::test]
async fn connections_over_the_cap_wait_their_turn() {
    let (router, entered, open) = gated();
    let server = serve(
        router,
        HttpLimits {
            connections_max: 1,
            ..HttpLimits::default()
        },
    )
    .await;
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    first.write_all(GATED).await.unwrap();
    second.write_all(GATED).await.unwrap();
    entered.notified().await;
    open.notify_one();
    read_answer(&mut first, "finished").await;
    drop(first);
    entered.notified().await;
    open.notify_one();
    read_answer(&mut second, "finished").await;
    server.stop().await;
}

#[tokio::test]
async fn no_more_requests_are_served_at_a_time_than_there_are_places() {
    const PLACES: usize = 2;
    let (served, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (serving, seen) = (served, Arc::clone(&most));
    let work = async move || {
        seen.fetch_max(
            serving.fetch_add(1, Ordering::Relaxed) + 1,
            Ordering::Relaxed,
        );
        // Long enough for all others to begin, if they may.
        for _ in 0..2_000 {
            yield_now().await;
        }
        serving.fetch_sub(1, Ordering::Relaxed);
        "done"
    };
    let limits = HttpLimits {
        connections_max: PLACES,
        ..HttpLimits::default()
    };
    let server = serve(Router::new().route("/work", get(work)), limits).await;
    let ask = async || {
        let mut stream = server.connect().await;
        let request = b"GET /work HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        read_answer(&mut stream, "done").await;
    };
    join_all((0..8).map(|_| ask())).await;
    assert!(most.load(Ordering::Relaxed) <= PLACES);
    server.stop().await;
}

#[tokio::test]
async fn connections_that_rest_keep_no_caller_out_and_one_that_is_answered_stays() {
    let (gate, entered, open) = gated();
    let limits = HttpLimits {
        connections_max: 8,
        ..HttpLimits::default()
    };
    let server = serve(gate.merge(router()), limits).await;
    let mut answered = server.connect().await;
    answered.write_all(GATED).await.unwrap();
    entered.notified().await;
    // One asked before and rests; the others are silent, or are slow with their headers.
    let mut pooled = server.connect().await;
    pooled.write_all(ASK).await.unwrap();
    read_answer(&mut pooled, "alive").await;
    let mut idle = Vec::new();
    for number in 0..14 {
        let mut stream = server.connect().await;
        if number % 2 == 0 {
            stream
                .write_all(b"GET / HTTP/1.1\r\nx-a: 1\r\n")
                .await
                .unwrap();
        }
        idle.push(stream);
    }
    // Far below the time-outs for headers and rest. Those before it give way one by one.
    for _ in 0..3 {
        let mut honest = server.connect().await;
        honest.write_all(ASK).await.unwrap();
        let answer = timeout(Duration::from_secs(9), read_answer(&mut honest, "alive"));
        assert!(answer.await.unwrap().starts_with("HTTP/1.1 200"));
    }
    open.notify_one();
    read_answer(&mut answered, "finished").await;
    // Silent ones had to go before it.
    pooled.write_all(ASK).await.unwrap();
    read_answer(&mut pooled, "alive").await;
    drop(idle);
    server.stop().await;
}

#[tokio::test]
async fn bodies_that_dawdle_keep_no_caller_out() {
    let limits = HttpLimits {
        connections_max: 8,
        // Longer than an honest caller is waited for below.
        body_timeout: Duration::from_secs(60),
        ..HttpLimits::default()
    };
    let server = serve(router(), limits).await;
    let mut pooled = server.connect().await;
    pooled.write_all(ASK).await.unwrap();
    read_answer(&mut pooled, "alive").await;
    let mut slow = Vec::new();
    for head in [
        "content-length: 9\r\n\r\n{",
        "transfer-encoding: chunked\r\n\r\n4\r\n{",
    ] {
        for _ in 0..7 {
            let mut stream = server.connect().await;
            let request = format!("POST /echo HTTP/1.1\r\nhost: x\r\n{head}");
            stream.write_all(request.as_bytes()).await.unwrap();
            slow.push(stream);
        }
    }
    for _ in 0..3 {
        let mut honest = server.connect().await;
        honest.write_all(ASK).await.unwrap();
        let answer = timeout(Duration::from_secs(9), read_answer(&mut honest, "alive"));
        assert!(answer.await.unwrap().starts_with("HTTP/1.1 200"));
    }
    pooled.write_all(ASK).await.unwrap();
    read_answer(&mut pooled, "alive").await;
    drop(slow);
    server.stop().await;
}

#[tokio::test]
async fn many_requests_on_one_connection_give_way_to_one_on_another() {
    const MANY: usize = 3_000;
    let served = Arc::new(AtomicUsize::new(0));
    let (of_many, of_one) = (Arc::clone(&served), Arc::clone(&served));
    let many = async move || {
        of_many.fetch_add(1, Ordering::Relaxed);
        "one"
    };
    let one = async move || format!("{:04} before", of_one.load(Ordering::Relaxed));
    let router = Router::new()
        .route("/many", get(many))
        .route("/one", get(one));
    let server = serve(router, HttpLimits::default()).await;
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    let requests = "GET /many HTTP/1.1\r\nhost: x\r\n\r\n".repeat(MANY);
    first.write_all(requests.as_bytes()).await.unwrap();
    while served.load(Ordering::Relaxed) == 0 {
        yield_now().await;
    }
    let begun = served.load(Ordering::Relaxed);
    let request = b"GET /one HTTP/1.1\r\nhost: x\r\n\r\n";
    second.write_all(request).await.unwrap();
    let answer = read_answer(&mut second, "before").await;
    let before: usize = answer[answer.len() - 11..][..4].parse().unwrap();
    assert!(before - begun < 64, "{begun}, {before}");
    drop(first);
    server.stop().await;
}
