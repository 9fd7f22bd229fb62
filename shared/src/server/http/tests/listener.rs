//! The listener by sockets: slow and resting connections, and the end of a server.

use std::{net::SocketAddr, time::Duration};

use axum::{Router, routing::post};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::router;
use crate::{
    server::{
        http::{HttpLimits, Server, finish},
        request::{Fields, FromFields, JsonBody},
    },
    testing::patience,
};

/// A running server, and the means to stop it.
pub(super) struct Running {
    pub(super) address: SocketAddr,
    pub(super) stop: CancellationToken,
    pub(super) served: JoinHandle<()>,
}

pub(super) async fn serve(router: Router, limits: HttpLimits) -> Running {
    let router = finish(router, &limits);
    let server = Server::bind(([127, 0, 0, 1], 0).into(), router, limits)
        .await
        .unwrap();
    let (address, stop) = (server.local_addr(), CancellationToken::new());
    let served = tokio::spawn(server.run(stop.clone()));
    Running {
        address,
        stop,
        served,
    }
}

impl Running {
    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.served.await.unwrap();
    }
}

/// Long beside what should happen. What never comes is not waited for without end.
const DEADLINE: Duration = Duration::from_secs(20);

pub(super) async fn read_to_end(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let read = timeout(patience(DEADLINE), stream.read_to_end(&mut answer)).await;
    // A reset instead of an end is still an end.
    let _ = read.expect("the connection ends");
    String::from_utf8(answer).unwrap()
}

pub(super) async fn read_answer(stream: &mut TcpStream, body_end: &str) -> String {
    let mut answer = String::new();
    while !answer.ends_with(body_end) {
        let mut chunk = [0; 1024];
        let length = stream.read(&mut chunk).await.unwrap();
        assert_ne!(length, 0, "ended early: {answer}");
        answer.push_str(std::str::from_utf8(&chunk[..length]).unwrap());
    }
    answer
}

/// For what never comes in time.
pub(super) const SOON: Duration = Duration::from_millis(40);
/// For what comes in time also on a busy machine, and is then waited for.
pub(super) const SOON_ENOUGH: Duration = Duration::from_millis(400);

#[tokio::test]
async fn a_client_that_is_slow_with_its_headers_is_cut() {
    let limits = HttpLimits {
        header_timeout: SOON,
        ..HttpLimits::default()
    };
    let server = serve(router(), limits).await;
    for beginning in ["", "GET /wallets/1 HTTP/1.1\r\nhos"] {
        let mut slow = server.connect().await;
        slow.write_all(beginning.as_bytes()).await.unwrap();
        assert_eq!(
            read_to_end(slow).await,
            "",
            "no answer, only the end: {beginning:?}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn a_connection_that_rests_between_requests_outlives_the_header_time() {
    let limits = HttpLimits {
        header_timeout: SOON_ENOUGH,
        ..HttpLimits::default()
    };
    let server = serve(router(), limits).await;
    let mut client = server.connect().await;
    for rest in [SOON_ENOUGH * 2, Duration::ZERO] {
        client
            .write_all(b"GET /wallets/1 HTTP/1.1\r\nhost: x\r\nx-request-id: mine\r\n\r\n")
            .await
            .unwrap();
        let answer = read_answer(&mut client, "mine").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let nothing = tokio::time::timeout(rest, client.read_u8()).await;
        assert!(nothing.is_err(), "the connection rests");
    }
    client.write_all(b"GET /wallets/1 HT").await.unwrap();
    assert_eq!(
        read_to_end(client).await,
        "",
        "the header time counts again from the first byte"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_resting_connection_is_ended_after_the_idle_time() {
    let limits = HttpLimits {
        idle_timeout: SOON_ENOUGH,
        ..HttpLimits::default()
    };
    let server = serve(router(), limits).await;
    let mut client = server.connect().await;
    client
        .write_all(b"GET /wallets/1 HTTP/1.1\r\nhost: x\r\nx-request-id: mine\r\n\r\n")
        .await
        .unwrap();
    read_answer(&mut client, "mine").await;
    assert_eq!(read_to_end(client).await, "");
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_dawdles_is_cut_with_408() {
    let limits = HttpLimits {
        body_timeout: SOON,
        ..HttpLimits::default()
    };
    let echo = Router::new().route(
        "/read",
        post(|body: JsonBody<Nothing>| async move {
            let _ = body;
        }),
    );
    let server = serve(echo, limits).await;
    let mut slow = server.connect().await;
    let head = "POST /read HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{";
    slow.write_all(head.as_bytes()).await.unwrap();
    let answer = read_to_end(slow).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains(r#""code":"body_timeout""#), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn an_answer_before_the_body_was_read_says_that_the_connection_ends() {
    let early = Router::new().route("/early", post(|| async { "early" }));
    let server = serve(early, HttpLimits::default()).await;
    let ask = |lines: &str| format!("POST /early HTTP/1.1\r\nhost: x\r\n{lines}\r\n\r\n");
    for unread in [
        ask("content-length: 9000") + "{",
        ask("content-length: 2") + "{",
        ask("content-length: 2\r\nexpect: 100-continue"),
        ask("transfer-encoding: chunked") + "5\r\n{",
        ask("content-length: 99999999"),
    ] {
        let mut client = server.connect().await;
        client.write_all(unread.as_bytes()).await.unwrap();
        let answer = read_to_end(client).await;
        // Nobody is asked for a body that is not wanted.
        assert!(!answer.contains("100 Continue"), "{answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_little_body_that_nobody_wanted_ends_no_connection_also_when_it_comes_after_its_head() {
    let (answers, mut answered) = mpsc::unbounded_channel();
    let early = async move || {
        answers.send(()).unwrap();
        "early"
    };
    let early = Router::new().route("/early", post(early));
    let server = serve(early, HttpLimits::default()).await;
    let mut client = server.connect().await;
    for length in [2, 60_000] {
        for comes_later in [false, true] {
            let head =
                format!("POST /early HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
            let body = "x".repeat(length);
            if comes_later {
                client.write_all(head.as_bytes()).await.unwrap();
                answered.recv().await.unwrap();
                client.write_all(body.as_bytes()).await.unwrap();
            } else {
                client.write_all((head + &body).as_bytes()).await.unwrap();
                answered.recv().await.unwrap();
            }
            let answer = read_answer(&mut client, "early").await;
            assert!(!answer.contains("connection: close"), "{answer}");
        }
    }
    server.stop().await;
}

struct Nothing;

impl FromFields for Nothing {
    fn from_fields(_: &mut Fields) -> Option<Self> {
        Some(Self)
    }
}

#[tokio::test]
async fn headers_over_the_limit_are_431() {
    let server = serve(
        router(),
        HttpLimits {
            header_limit_bytes: 1024,
            ..HttpLimits::default()
        },
    )
    .await;
    let mut client = server.connect().await;
    let head = format!(
        "GET /wallets/1 HTTP/1.1\r\nhost: x\r\nlong: {}\r\n\r\n",
        "y".repeat(2000)
    );
    client.write_all(head.as_bytes()).await.unwrap();
    let answer = read_to_end(client).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    server.stop().await;
}

/// The status of the answer to these bytes, and its body.
async fn answered(server: &Running, bytes: &str) -> (u16, String) {
    let mut client = server.connect().await;
    client.write_all(bytes.as_bytes()).await.unwrap();
    let answer = read_to_end(client).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

#[tokio::test]
async fn a_request_that_can_be_read_in_two_ways_is_refused() {
    let server = serve(router(), HttpLimits::default()).await;
    for (headers, body, status, code) in [
        (
            "content-length: 5\r\ntransfer-encoding: chunked",
            "0\r\n\r\n",
            400,
            "malformed_request",
        ),
        (
            "transfer-encoding: chunked\r\ncontent-length: 5",
            "0\r\n\r\n",
            400,
            "malformed_request",
        ),
        (
            "content-type: text/plain\r\ncontent-type: application/json\r\ncontent-length: 0",
            "",
            400,
            "malformed_request",
        ),
        ("host: y\r\ncontent-length: 0", "", 400, "malformed_request"),
        (
            "transfer-encoding: gzip, chunked",
            "0\r\n\r\n",
            501,
            "unsupported_transfer_encoding",
        ),
        (
            "transfer-encoding: gzip\r\ntransfer-encoding: chunked",
            "0\r\n\r\n",
            501,
            "unsupported_transfer_encoding",
        ),
        (
            "content-encoding: gzip\r\ncontent-length: 2",
            "{}",
            415,
            "unsupported_media_type",
        ),
        (
            "content-encoding: identity, br\r\ncontent-length: 2",
            "{}",
            415,
            "unsupported_media_type",
        ),
    ] {
        let request = format!(
            "POST /echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n\r\n{body}"
        );
        let (found, said) = answered(&server, &request).await;
        assert_eq!(found, status, "{headers}: {said}");
        assert!(
            said.contains(&format!(r#""code":"{code}""#)),
            "{headers}: {said}"
        );
    }
    let (status, said) = answered(
        &server,
        "GET /wallets/1 HTTP/1.1\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert_eq!(status, 400, "{said}");
    assert!(said.contains("Host"), "{said}");
    server.stop().await;
}

#[tokio::test]
async fn a_request_that_can_be_read_in_one_way_is_served() {
    let server = serve(router(), HttpLimits::default()).await;
    for (request, body) in [
        (
            "GET /wallets/1 HTTP/1.0\r\nx-request-id: mine\r\n\r\n",
            "mine",
        ),
        (
            "POST /echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-encoding: Identity\r\ncontent-length: 2\r\n\r\n{}",
            "{}",
        ),
        (
            "POST /echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: Chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            "{}",
        ),
    ] {
        assert_eq!(
            answered(&server, request).await,
            (200, body.to_owned()),
            "{request}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn two_lengths_are_seen_behind_other_requests_sent_at_once() {
    let server = serve(router(), HttpLimits::default()).await;
    let good = "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n\r\n\r\n";
    let bad = "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    let mut client = server.connect().await;
    let all = [good, good, bad, good].concat();
    client.write_all(all.as_bytes()).await.unwrap();
    let answer = read_to_end(client).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 2, "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 400").count(), 1, "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let server = serve(router(), HttpLimits::default()).await;
    let error = Server::bind(server.address, router(), HttpLimits::default())
        .await
        .err()
        .unwrap();
    assert!(
        error.to_string().contains(&server.address.to_string()),
        "{error}"
    );
    server.stop().await;
}
