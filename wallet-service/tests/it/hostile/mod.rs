//! Hostile requests, byte for byte, to a guarded process: each has its one answer, none changes anything, and the next
//! caller is served.

mod bodies;
mod headers;
mod others;
mod wire;

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use shared::testing::{TestDatabase, patience, tokens};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use wallet_service::app::SCHEMA;

use crate::process::Process;

/// What is hostile about a request, its bytes, and the status and code of its answer.
type Hostile = (&'static str, Vec<u8>, u16, &'static str);

/// The connection is ended without an answer.
const ENDED: u16 = 0;
/// An answer without a problem: what is refused before there is a request, or what is let in.
const PLAIN: &str = "";

/// What the requests are about: Alice sends them, and Bob has money as well.
struct World {
    alice: String,
    alices: String,
    bobs: String,
    bobs_transaction: String,
    /// To the second page of all wallets, made for the operator.
    operators_cursor: String,
}

/// A request of Alice's, whole.
fn asks(world: &World, method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
    let token = &world.alice;
    let headers = format!("authorization: Bearer {token}\r\n{headers}");
    raw(method, path, &headers, body)
}

/// Each line of `headers` ends with its line end.
fn raw(method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = match (method, body) {
        ("GET", "") => String::new(),
        _ => format!("content-length: {}\r\n", body.len()),
    };
    format!(
        "{method} {path} HTTP/1.1\r\nhost: wallets\r\nconnection: close\r\n{headers}{length}\r\n{body}"
    )
    .into_bytes()
}

const JSON: &str = "content-type: application/json\r\n";

/// A body of JSON.
fn posts(world: &World, path: &str, body: &Value) -> Vec<u8> {
    asks(world, "POST", path, JSON, &body.to_string())
}

async fn answer_to(address: SocketAddr, request: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // One that is refused early may be closed before all of it is sent.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let read = timeout(
        patience(Duration::from_secs(20)),
        stream.read_to_end(&mut answer),
    );
    // A reset is an end as well.
    let _ = read.await.unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    (status.unwrap_or(ENDED), answer)
}

fn code_of(answer: &str) -> String {
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    body["code"].as_str().unwrap_or_default().to_owned()
}

/// Everything that a request could have changed.
async fn state(database: &TestDatabase) -> Vec<i64> {
    let mut counts = Vec::new();
    for sql in [
        "select count(*) from wallets",
        "select sum(version)::bigint from wallets",
        "select count(*) from transactions",
        "select count(*) from wallet_events",
        "select count(*) from idempotency_keys",
    ] {
        counts.push(
            sqlx::query_scalar(sql)
                .fetch_one(database.pool())
                .await
                .unwrap(),
        );
    }
    counts
}

async fn made(process: &Process, service: &str, user: &str) -> (String, String) {
    let http = shared::server::http_client::plain();
    let post = async |path: String, body: Value| -> Value {
        let request = http.post(format!("{}{path}", process.url)).json(&body);
        let answer = request.bearer_auth(service).send().await.unwrap();
        assert_eq!(answer.status(), 201);
        answer.json().await.unwrap()
    };
    let wallet = post("/wallets".to_owned(), json!({"user_id": user})).await;
    let wallet = wallet["id"].as_str().unwrap().to_owned();
    let funded = post(
        format!("/wallets/{wallet}/fund"),
        json!({"amount": "100.00"}),
    )
    .await;
    (
        wallet,
        funded["transaction"]["id"].as_str().unwrap().to_owned(),
    )
}

#[tokio::test]
async fn every_hostile_request_has_its_answer_and_changes_nothing() {
    let database = TestDatabase::create(SCHEMA).await;
    let settings = [
        &tokens::SETTINGS[..],
        &[
            ("HTTP_BODY_TIMEOUT_MS", "300"),
            ("HTTP_HEADER_TIMEOUT_MS", "300"),
        ],
    ];
    let process = Process::start_with(&database, &settings.concat()).await;
    let service = tokens::service("shop", json!("*"));
    let (alices, _) = made(&process, &service, "alice").await;
    let (bobs, bobs_transaction) = made(&process, &service, "bob").await;
    let address = process.address();
    let listed = format!("authorization: Bearer {service}\r\n");
    let (_, listed) = answer_to(address, &raw("GET", "/wallets?limit=1", &listed, "")).await;
    let (_, listed) = listed.split_once("\r\n\r\n").unwrap();
    let listed: Value = serde_json::from_str(listed).unwrap();
    let world = World {
        alice: tokens::user("alice"),
        alices,
        bobs,
        bobs_transaction,
        operators_cursor: listed["next_cursor"].as_str().unwrap().to_owned(),
    };
    let before = state(&database).await;
    let honest = asks(&world, "GET", &format!("/wallets/{}", world.alices), "", "");
    let tables = [
        headers::requests(&world),
        others::requests(&world),
        bodies::requests(&world),
        wire::requests(&world),
    ];
    let (mut count, mut wrong) = (0, Vec::new());
    for (what, request, status, code) in tables.into_iter().flatten() {
        let (answered, text) = answer_to(address, &request).await;
        if (answered, code_of(&text).as_str()) != (status, code) {
            wrong.push(format!("{what}: {text}"));
        }
        let (served, text) = answer_to(address, &honest).await;
        assert_eq!(served, 200, "after {what}: {text}");
        count += 1;
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(count >= 100, "{count}");
    assert_eq!(state(&database).await, before);
    process.terminate().await;
    process.ended_well().await;
}
