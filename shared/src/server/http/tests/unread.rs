//! Answers that nobody reads, by sockets.

use std::time::Duration;

use axum::{Router, body::Body, routing::get};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use super::listener::serve;
use crate::server::http::HttpLimits;

/// Far more than the kernel keeps of one.
const ANSWER_BYTES: usize = 12 * 1024 * 1024;

fn large() -> Router {
    let whole = async || vec![b'x'; ANSWER_BYTES];
    let streamed = async || {
        let parts = (0..2).map(|_| Ok::<_, std::io::Error>(vec![b'x'; ANSWER_BYTES / 2]));
        Body::from_stream(futures::stream::iter(parts))
    };
    Router::new()
        .route("/whole", get(whole))
        .route("/streamed", get(streamed))
}

async fn asked(address: std::net::SocketAddr, path: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// The answer to the end of its connection, head and all.
async fn read(mut stream: TcpStream) -> std::io::Result<usize> {
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    timeout(Duration::from_secs(60), reading).await.unwrap()?;
    Ok(answer.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_left_unread_give_way_and_one_that_is_read_arrives_whole() {
    let server = serve(large(), HttpLimits::default()).await;
    for path in ["/whole", "/streamed"] {
        let mut silent = Vec::new();
        for _ in 0..12 {
            let stream = asked(server.address, path).await;
            // Its answer is on the way.
            stream.readable().await.unwrap();
            silent.push(stream);
        }
        let whole = read(asked(server.address, path).await).await.unwrap();
        assert!(whole > ANSWER_BYTES);
        let mut cut = 0;
        for stream in silent {
            let is_whole = read(stream).await.is_ok_and(|bytes| bytes > ANSWER_BYTES);
            cut += usize::from(!is_whole);
        }
        assert!(cut >= 6, "{path}: {cut}");
    }
    server.stop().await;
}
