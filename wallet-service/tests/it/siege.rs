//! Callers that open thousands of connections and do nothing with them, or send a byte now and then: an honest caller is
//! answered all the while, and the service does not grow.
//!
//! Every time-out of the service is longer than an honest caller is waited for: what lets that one in, while the siege goes
//! on, is that others give way.
#![cfg(target_os = "linux")]

use std::{fs, net::SocketAddr, sync::Arc, time::Duration};

use futures::future::join_all;
use serde_json::json;
use shared::testing::{TestDatabase, eventually, patience};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{interval, timeout},
};
use wallet_service::app::SCHEMA;

use crate::process::{DEADLINE, Process};

const MIB: u64 = 1024 * 1024;
const RESIDENT_BYTES_MAX: u64 = 300 * MIB;
/// More than twice the places there are.
const HOSTILE: usize = 10_000;
/// So many are held at a time, whatever they do: those with bodies are bounded by what these may hold together.
const SIEGE: usize = 150;
/// More than an honest caller is waited for.
const TIMEOUT_MS: &str = "120000";
/// Callers that open connections one after the other.
const HANDS: usize = 100;

/// What a hostile connection sends before it falls silent.
fn openings() -> [(&'static str, Vec<u8>); 4] {
    let post = |route: &str, bytes: usize| {
        let head = format!(
            "POST {route} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{{\"a\":\"",
            bytes + 100
        );
        [head.as_bytes(), &vec![b'x'; bytes]].concat()
    };
    let head = format!("GET /wallets HTTP/1.1\r\nx-long: {}", "x".repeat(12_000));
    [
        ("nothing", Vec::new()),
        ("half a head", head.into_bytes()),
        ("half a body", post("/wallets", 60_000)),
        (
            "a part of a large body",
            post("/transactions/batch", 150_000),
        ),
    ]
}

/// How many files this process may have open.
fn open_files_max() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let soft = line.unwrap().split_whitespace().nth(3).unwrap();
    soft.parse().unwrap_or(usize::MAX)
}

/// Opens its share of connections again and again: one that is closed is opened anew.
async fn besiege(address: SocketAddr, opening: Arc<Vec<u8>>, connections: usize) {
    let mut open: Vec<Option<TcpStream>> = (0..connections).map(|_| None).collect();
    // All at once at first; then each hand opens one now and then in the place of one that was closed.
    let mut is_full = false;
    let mut pause = interval(Duration::from_millis(250));
    loop {
        for place in &mut open {
            let is_closed = match place {
                // What it is told is nothing to it; an end, or an error, is one.
                Some(stream) => !matches!(
                    stream.try_read(&mut [0; 1024]),
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock
                ),
                None => true,
            };
            if !is_closed {
                continue;
            }
            *place = None;
            let connect = timeout(Duration::from_secs(5), TcpStream::connect(address));
            if let Ok(Ok(mut stream)) = connect.await {
                let sent = timeout(Duration::from_secs(1), stream.write_all(&opening));
                let _ = sent.await;
                *place = Some(stream);
            }
            if is_full {
                pause.tick().await;
            }
        }
        is_full = true;
        pause.tick().await;
    }
}

/// Over a connection of its own.
async fn ask_honestly(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_honest_caller_is_answered_and_memory_stays_bounded_under_thousands_of_hostile_connections()
 {
    let files = open_files_max();
    assert!(
        files > HOSTILE + 500,
        "this test opens {HOSTILE} connections, and the shell allows {files} files: ulimit -n 16384"
    );
    let database = TestDatabase::create(SCHEMA).await;
    let settings = [
        ("HTTP_HEADER_TIMEOUT_MS", TIMEOUT_MS),
        ("HTTP_BODY_TIMEOUT_MS", TIMEOUT_MS),
        ("HTTP_IDLE_TIMEOUT_MS", TIMEOUT_MS),
        ("REQUEST_TIMEOUT_MS", TIMEOUT_MS),
    ];
    let process = Process::start_with(&database, &settings).await;
    let wallet = process.create_wallet().await;
    let address = process.address();
    let body = json!({"amount": "0.01"}).to_string();
    let request = format!(
        "POST /wallets/{wallet}/fund HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut funded = 0;
    for (what, opening) in openings() {
        let opening = Arc::new(opening);
        let mut siege = JoinSet::new();
        for _ in 0..HANDS {
            siege.spawn(besiege(address, Arc::clone(&opening), HOSTILE / HANDS));
        }
        eventually("the siege is on", DEADLINE, async || {
            (process.open_files() > SIEGE).then_some(())
        })
        .await;
        let mut resident = 0;
        for _ in 0..5 {
            let callers = (0..4).map(|_| ask_honestly(address, &request));
            let answers = timeout(patience(DEADLINE), join_all(callers));
            for answer in answers.await.expect(what) {
                assert!(answer.starts_with("HTTP/1.1 201"), "{what}: {answer}");
                funded += 1;
            }
            resident = resident.max(process.resident_bytes());
        }
        assert!(process.open_files() > SIEGE, "{what}: the siege goes on");
        assert!(
            resident < RESIDENT_BYTES_MAX,
            "{what}: {} MiB",
            resident / MIB
        );
        siege.shutdown().await;
    }
    let (status, found) = process.get(&format!("/wallets/{wallet}")).await;
    assert_eq!(status, 200);
    assert_eq!(found["version"], json!(1 + funded));
    process.terminate().await;
    process.ended_well().await;
}
