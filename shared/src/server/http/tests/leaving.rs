//! The end of a server: whom it still serves, and for how long.

use std::{
    net::SocketAddr,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use axum::{Router, routing::get};
use tokio::{io::AsyncWriteExt, net::TcpStream, runtime, sync::Notify, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    listener::{Running, SOON, SOON_ENOUGH, read_answer, read_to_end, serve},
    router,
};
use crate::server::http::{HttpLimits, Server, finish};

/// A route that says when it was entered and answers when it may.
pub(super) fn gated() -> (Router, Arc<Notify>, Arc<Notify>) {
    let (entered, open) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (at_entry, gate) = (Arc::clone(&entered), Arc::clone(&open));
    let handler = move || async move {
        at_entry.notify_one();
        gate.notified().await;
        "finished"
    };
    (Router::new().route("/gated", get(handler)), entered, open)
}

pub(super) const GATED: &[u8] = b"GET /gated HTTP/1.1\r\nhost: x\r\n\r\n";

#[tokio::test]
async fn a_drain_lets_the_request_in_flight_finish_and_takes_no_new_ones() {
    let (router, entered, open) = gated();
    let Running {
        address,
        stop,
        served,
    } = serve(router, HttpLimits::default()).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(GATED).await.unwrap();
    entered.notified().await;
    stop.cancel();
    // The listener closes before the drain; from then on no connection gets in.
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!served.is_finished());
    open.notify_one();
    let answer = read_to_end(client).await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("finished"),
        "{answer}"
    );
    served.await.unwrap();
}

#[tokio::test]
async fn in_the_grace_requests_are_served_and_their_connections_end() {
    let limits = HttpLimits {
        shutdown_grace: SOON_ENOUGH * 5,
        ..HttpLimits::default()
    };
    let Running {
        address,
        stop,
        served,
    } = serve(router(), limits).await;
    stop.cancel();
    let told = Instant::now();
    // Until the server has long seen that it is to stop, and well before the grace is over.
    while told.elapsed() < SOON_ENOUGH / 4 {
        let mut client = TcpStream::connect(address).await.unwrap();
        client
            .write_all(b"GET /wallets/1 HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        let answer = read_to_end(client).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
    assert!(!served.is_finished(), "the grace is not over");
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    served.await.unwrap();
}

#[tokio::test]
async fn a_drain_ends_at_its_deadline() {
    let (router, entered, _open) = gated();
    let server = serve(
        router,
        HttpLimits {
            drain_timeout: SOON,
            ..HttpLimits::default()
        },
    )
    .await;
    let mut client = server.connect().await;
    client.write_all(GATED).await.unwrap();
    entered.notified().await;
    server.stop().await;
    assert_eq!(read_to_end(client).await, "");
}

const ASK: &[u8] = b"GET /wallets/1 HTTP/1.1\r\nhost: x\r\nx-request-id: mine\r\n\r\n";

/// A server in a thread of its own, which is held up `after` its port closed, once `go` is heard.
struct HeldUp {
    address: SocketAddr,
    stop: CancellationToken,
    stands: mpsc::Receiver<()>,
    go: mpsc::Sender<()>,
}

impl HeldUp {
    fn start(after: Duration) -> Self {
        let stop = CancellationToken::new();
        let (at, address) = mpsc::channel();
        let (stood, stands) = mpsc::channel();
        let (go, gone) = mpsc::channel();
        let stopped = stop.clone();
        thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let limits = HttpLimits {
                    shutdown_grace: SOON_ENOUGH,
                    ..HttpLimits::default()
                };
                let router = finish(router(), &limits);
                let server = Server::bind(([127, 0, 0, 1], 0).into(), router, limits).await;
                let server = server.unwrap();
                at.send(server.local_addr()).unwrap();
                let closed = server.closed();
                tokio::spawn(async move {
                    closed.cancelled().await;
                    let _ = timeout(after, std::future::pending::<()>()).await;
                    stood.send(()).unwrap();
                    gone.recv().unwrap();
                    // Nothing else goes on in this thread.
                    let held_up = Instant::now();
                    while held_up.elapsed() < SOON_ENOUGH * 2 {
                        thread::yield_now();
                    }
                });
                server.run(stopped).await;
            });
        });
        Self {
            address: address.recv().unwrap(),
            stop,
            stands,
            go,
        }
    }
}

#[tokio::test]
async fn a_request_that_arrives_while_a_leaving_process_is_held_up_is_answered() {
    // From the first moment, and in the last tenth of the time for which it lingers.
    for after in [Duration::ZERO, SOON_ENOUGH.mul_f32(0.95)] {
        let server = HeldUp::start(after);
        let mut clients = Vec::new();
        for number in 0..20 {
            let mut client = TcpStream::connect(server.address).await.unwrap();
            if number % 2 == 0 {
                client.write_all(ASK).await.unwrap();
                read_answer(&mut client, "mine").await;
            }
            clients.push(client);
        }
        server.stop.cancel();
        server.stands.recv().unwrap();
        for client in &mut clients {
            client.write_all(ASK).await.unwrap();
        }
        server.go.send(()).unwrap();
        for (number, client) in clients.into_iter().enumerate() {
            let answer = read_to_end(client).await;
            assert!(
                answer.starts_with("HTTP/1.1 200"),
                "{after:?}, {number}: {answer:?}"
            );
        }
    }
}
