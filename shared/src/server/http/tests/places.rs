//! More connections than places, by sockets: which give way, and which never do.

use std::time::Duration;

use tokio::{io::AsyncWriteExt, time::timeout};

use super::{
    listener::{GATED, gated, read_answer, serve},
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
