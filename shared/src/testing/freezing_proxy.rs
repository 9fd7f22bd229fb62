//! A proxy before Postgres whose connections freeze: nothing passes any more, and no end is told, as when a host dies or a
//! switch forgets a connection.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::expect;

#[derive(Default)]
struct Ice {
    /// Connections that were made before this many freezings are frozen.
    freezings: AtomicU64,
    /// New connections are frozen from their beginning.
    all: AtomicBool,
}

/// See the module. Unencrypted, for tests on loopback.
pub struct FreezingProxy {
    address: SocketAddr,
    ice: Arc<Ice>,
}

impl FreezingProxy {
    /// # Panics
    /// When there is no port.
    pub async fn start(upstream: SocketAddr) -> Self {
        let listener = expect(TcpListener::bind("127.0.0.1:0").await, "a port is free");
        let address = expect(listener.local_addr(), "a listener has an address");
        let ice = Arc::new(Ice::default());
        let shared = Arc::clone(&ice);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = expect(TcpStream::connect(upstream).await, "the server answers");
                tokio::spawn(serve(client, server, Arc::clone(&shared)));
            }
        });
        Self { address, ice }
    }

    pub const fn port(&self) -> u16 {
        self.address.port()
    }

    /// Freezes every connection that there is. New ones pass.
    pub fn freeze(&self) {
        self.ice.freezings.fetch_add(1, Ordering::SeqCst);
    }

    /// Freezes every connection, new ones too.
    pub fn freeze_all(&self) {
        self.ice.all.store(true, Ordering::SeqCst);
        self.freeze();
    }
}

async fn serve(client: TcpStream, server: TcpStream, ice: Arc<Ice>) {
    let made_at = ice.freezings.load(Ordering::SeqCst);
    let is_frozen =
        || ice.all.load(Ordering::SeqCst) || ice.freezings.load(Ordering::SeqCst) > made_at;
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    let upward = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
            if is_frozen() {
                // Taken and kept, like packets that are lost; the end is not told either.
                continue;
            }
            if to_server.write_all(&buffer[..length]).await.is_err() {
                return;
            }
        }
        if is_frozen() {
            std::future::pending::<()>().await;
        }
    };
    let downward = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from_server.read(&mut buffer).await {
            if is_frozen() {
                continue;
            }
            if to_client.write_all(&buffer[..length]).await.is_err() {
                return;
            }
        }
        if is_frozen() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = upward => {}
        () = downward => {}
    }
}
