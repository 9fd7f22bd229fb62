//! A proxy before Postgres or Kafka whose connections freeze: nothing passes any more, and no end is told, as when a host
//! dies or a switch forgets a connection.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

use super::{
    expect,
    kafka_message::{name_another_port, next_message},
};

/// What is read at once.
const CHUNK: usize = 64 * 1024;

#[derive(Clone, Copy, Default)]
struct Ice {
    /// Connections that were made before this many freezings are frozen.
    freezings: u64,
    /// New connections are frozen from their beginning.
    all: bool,
    /// Connections that were made before this many thaws have ended.
    thaws: u64,
}

/// What stands behind the proxy.
#[derive(Clone, Copy)]
enum Server {
    Any,
    /// Its answers say where it listens: the proxy puts its own port in that place, or clients would go past it.
    Kafka {
        port: u16,
        own_port: u16,
    },
}

/// See the module. Unencrypted, for loopback. A server that is away is no end of the proxy: its clients are sent away.
pub struct FreezingProxy {
    address: SocketAddr,
    ice: watch::Sender<Ice>,
    opened: Arc<Mutex<HashSet<u16>>>,
}

impl FreezingProxy {
    /// # Panics
    /// When there is no port.
    pub async fn start(upstream: SocketAddr) -> Self {
        Self::before(upstream, |_| Server::Any).await
    }

    /// Before the one broker of a cluster, which calls itself `127.0.0.1`.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn before_kafka(upstream: SocketAddr) -> Self {
        let port = upstream.port();
        Self::before(upstream, |own_port| Server::Kafka { port, own_port }).await
    }

    async fn before(upstream: SocketAddr, server: impl FnOnce(u16) -> Server) -> Self {
        let listener = expect(TcpListener::bind("127.0.0.1:0").await, "a port is free");
        let address = expect(listener.local_addr(), "a listener has an address");
        let server = server(address.port());
        let ice = watch::Sender::new(Ice::default());
        let opened = Arc::new(Mutex::new(HashSet::new()));
        let (watched, ports) = (ice.clone(), Arc::clone(&opened));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(upstream) = TcpStream::connect(upstream).await else {
                    continue;
                };
                let connection = Connection {
                    made_at: *watched.borrow(),
                    ice: watched.subscribe(),
                    server,
                };
                let (port, ports) = (upstream.local_addr().ok(), Arc::clone(&ports));
                tokio::spawn(async move {
                    let ports = || ports.lock().unwrap_or_else(PoisonError::into_inner);
                    ports().extend(port.map(|address| address.port()));
                    connection.serve(client, upstream).await;
                    if let Some(address) = port {
                        ports().remove(&address.port());
                    }
                });
            }
        });
        Self {
            address,
            ice,
            opened,
        }
    }

    pub const fn port(&self) -> u16 {
        self.address.port()
    }

    /// Freezes every connection that there is. New ones pass.
    pub fn freeze(&self) {
        self.ice.send_modify(|ice| ice.freezings += 1);
    }

    /// Freezes every connection, new ones too.
    pub fn freeze_all(&self) {
        self.ice.send_modify(|ice| {
            ice.freezings += 1;
            ice.all = true;
        });
    }

    /// Every connection that there is ends, and new ones pass.
    pub fn thaw(&self) {
        self.ice.send_modify(|ice| {
            ice.all = false;
            ice.thaws += 1;
        });
    }

    /// Whether the server sees a connection from this port that is one of this proxy's.
    pub fn has_opened(&self, port: u16) -> bool {
        let ports = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        ports.contains(&port)
    }
}

struct Connection {
    made_at: Ice,
    ice: watch::Receiver<Ice>,
    server: Server,
}

impl Connection {
    async fn serve(self, client: TcpStream, server: TcpStream) {
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let mut thaw = self.ice.clone();
        let thaws = self.made_at.thaws;
        tokio::select! {
            () = self.pass(from_client, to_server) => {}
            () = self.pass_answers(from_server, to_client) => {}
            _ = thaw.wait_for(|ice| ice.thaws > thaws) => {}
        }
    }

    fn is_frozen(&self) -> bool {
        let now = *self.ice.borrow();
        now.all || now.freezings > self.made_at.freezings || self.made_at.all
    }

    async fn pass_answers(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let Server::Kafka { port, own_port } = self.server else {
            return self.pass(from, to).await;
        };
        while let Some(mut message) = next_message(&mut from).await {
            name_another_port(&mut message, port, own_port);
            if !self.hand_on(&message, &mut to).await {
                return;
            }
        }
        self.end().await;
    }

    async fn pass(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut buffer = vec![0; CHUNK];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            if !self.hand_on(&buffer[..length], &mut to).await {
                return;
            }
        }
        self.end().await;
    }

    /// Whether the connection goes on. What comes while it is frozen is taken and kept, like packets that are lost.
    async fn hand_on(&self, bytes: &[u8], to: &mut OwnedWriteHalf) -> bool {
        self.is_frozen() || to.write_all(bytes).await.is_ok()
    }

    /// The end is told at once, or never when the connection is frozen.
    async fn end(&self) {
        if self.is_frozen() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::ErrorKind, time::Duration};

    use super::*;
    use crate::testing::eventually;

    const SOON: Duration = Duration::from_secs(20);

    /// Gives back what it gets.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = client.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        address
    }

    async fn connect(proxy: &FreezingProxy) -> TcpStream {
        TcpStream::connect(("127.0.0.1", proxy.port()))
            .await
            .unwrap()
    }

    async fn assert_passes(connection: &mut TcpStream) {
        connection.write_all(b"hello").await.unwrap();
        let mut got = [0; 5];
        connection.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"hello");
    }

    /// As far as can be seen: what was sent on it before others were served is not answered, and it is not ended.
    fn assert_frozen(connection: &TcpStream) {
        let read = connection.try_read(&mut [0; 5]);
        assert_eq!(read.unwrap_err().kind(), ErrorKind::WouldBlock);
    }

    async fn until_ended(connection: &mut TcpStream) {
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(SOON, connection.read_to_end(&mut rest)).await;
        drop(ended.unwrap());
        assert_eq!(rest, b"");
    }

    #[tokio::test]
    async fn connections_freeze_without_an_end_and_end_when_it_thaws() {
        let proxy = FreezingProxy::start(echo().await).await;
        let mut first = connect(&proxy).await;
        assert_passes(&mut first).await;
        proxy.freeze();
        first.write_all(b"hello").await.unwrap();
        let mut second = connect(&proxy).await;
        assert_passes(&mut second).await;
        assert_frozen(&first);

        proxy.freeze_all();
        let mut third = connect(&proxy).await;
        for connection in [&mut second, &mut third] {
            connection.write_all(b"hello").await.unwrap();
        }
        eventually("the third is taken too", SOON, async || {
            let opened = proxy.opened.lock().unwrap().len();
            (opened == 3).then_some(())
        })
        .await;
        proxy.thaw();
        for connection in [&mut first, &mut second, &mut third] {
            until_ended(connection).await;
        }
        assert_passes(&mut connect(&proxy).await).await;
    }

    #[tokio::test]
    async fn a_server_that_is_away_is_no_end_of_the_proxy() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let proxy = FreezingProxy::start(address).await;
        until_ended(&mut connect(&proxy).await).await;
        let listener = TcpListener::bind(address).await.unwrap();
        let _client = connect(&proxy).await;
        let (server, _) = listener.accept().await.unwrap();
        let port = server.peer_addr().unwrap().port();
        eventually("it knows its own connections", SOON, async || {
            proxy.has_opened(port).then_some(())
        })
        .await;
    }
}
