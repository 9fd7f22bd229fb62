//! A proxy before Postgres that cuts the connection at the worst moments: the statement was sent and its answer is lost,
//! or the statement itself is lost. It can also keep a batch back; and it stands behind a [`FreezingProxy`].

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
    },
};

use shared::{event::EventKind, testing::FreezingProxy};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    sync::Notify,
};

/// What happens to the next batch that passes.
#[derive(Clone, Copy)]
pub(super) enum Cut {
    /// It does not arrive.
    Request = 1,
    /// It arrives, and its answer does not come back.
    Reply = 2,
    /// It arrives late, when [`CuttingProxy::deliver`] says so; by then its sender has long lost the connection.
    Late = 3,
    /// It waits until [`CuttingProxy::deliver`]; its sender waits with it.
    Hold = 4,
}

const NONE: u8 = 0;
const REQUEST: u8 = Cut::Request as u8;
const REPLY: u8 = Cut::Reply as u8;
const LATE: u8 = Cut::Late as u8;
const HOLD: u8 = Cut::Hold as u8;

#[derive(Default)]
struct Plan {
    /// No connection is let through.
    away: AtomicBool,
    next: AtomicU8,
    /// What happens to the batch after the next.
    then: AtomicU8,
    /// The answer to the next commit does not come back.
    commit: AtomicBool,
    done: AtomicUsize,
    deliver: Notify,
}

/// See the module. Unencrypted, for tests on loopback.
pub(super) struct CuttingProxy {
    front: FreezingProxy,
    plan: Arc<Plan>,
}

impl CuttingProxy {
    pub(super) async fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let plan = Arc::new(Plan::default());
        let shared = Arc::clone(&plan);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if shared.away.load(Ordering::SeqCst) {
                    continue;
                }
                let server = TcpStream::connect(upstream).await.unwrap();
                tokio::spawn(serve(client, server, Arc::clone(&shared)));
            }
        });
        let front = FreezingProxy::start(address).await;
        Self { front, plan }
    }

    /// `options` by way of this proxy.
    pub(super) fn options(&self, options: &PgConnectOptions) -> PgConnectOptions {
        let options = options.clone().host("127.0.0.1").port(self.front.port());
        options.ssl_mode(PgSslMode::Disable)
    }

    /// Lets a batch that was kept back arrive.
    pub(super) fn deliver(&self) {
        self.plan.deliver.notify_one();
    }

    /// Turns new connections away, or lets them through again.
    pub(super) fn set_away(&self, away: bool) {
        self.plan.away.store(away, Ordering::SeqCst);
    }

    pub(super) fn cut_next(&self, cut: Cut) {
        self.plan.next.store(cut as u8, Ordering::SeqCst);
    }

    pub(super) fn cut_next_two(&self, next: Cut, then: Cut) {
        self.plan.then.store(then as u8, Ordering::SeqCst);
        self.cut_next(next);
    }

    /// Loses the answer to the next commit of a transaction; a batch alone is no transaction.
    pub(super) fn cut_commit(&self) {
        self.plan.commit.store(true, Ordering::SeqCst);
    }

    /// From now on nothing passes on the connections there are, and none of them ends. New ones pass.
    pub(super) fn freeze(&self) {
        self.front.freeze();
    }

    /// How many cuts were made: a fault that never bit proves nothing.
    pub(super) fn cuts(&self) -> usize {
        self.plan.done.load(Ordering::SeqCst)
    }
}

async fn serve(client: TcpStream, server: TcpStream, plan: Arc<Plan>) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let swallow = Arc::new(AtomicU8::new(NONE));
    let upward = forward_requests(from_client, to_server, plan, Arc::clone(&swallow));
    let downward = forward_replies(from_server, to_client, swallow);
    // Either side ending ends the connection.
    tokio::select! {
        () = upward => {}
        () = downward => {}
    }
}

async fn forward_requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    plan: Arc<Plan>,
    swallow: Arc<AtomicU8>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let bytes = &buffer[..length];
        if is_commit(bytes) && plan.commit.swap(false, Ordering::SeqCst) {
            plan.done.fetch_add(1, Ordering::SeqCst);
            swallow.store(REPLY, Ordering::SeqCst);
        }
        if is_batch(bytes) && plan.next.load(Ordering::SeqCst) != NONE {
            plan.done.fetch_add(1, Ordering::SeqCst);
            let then = plan.then.swap(NONE, Ordering::SeqCst);
            match plan.next.swap(then, Ordering::SeqCst) {
                REQUEST => return,
                HOLD => plan.deliver.notified().await,
                LATE => {
                    tokio::spawn(deliver_late(to, bytes.to_vec(), Arc::clone(&plan)));
                    return;
                }
                _ => swallow.store(REPLY, Ordering::SeqCst),
            }
        }
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
}

/// A batch is the only message of the write path that carries events.
fn is_batch(bytes: &[u8]) -> bool {
    EventKind::ALL.iter().any(|kind| {
        let kind = kind.as_str().as_bytes();
        bytes.windows(kind.len()).any(|window| window == kind)
    })
}

/// A commit is a statement of its own.
fn is_commit(bytes: &[u8]) -> bool {
    bytes.first() == Some(&b'Q') && bytes.windows(6).any(|window| window == b"COMMIT")
}

async fn deliver_late(mut to: OwnedWriteHalf, bytes: Vec<u8>, plan: Arc<Plan>) {
    plan.deliver.notified().await;
    to.write_all(&bytes).await.unwrap();
}

async fn forward_replies(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, swallow: Arc<AtomicU8>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if swallow.load(Ordering::SeqCst) == REPLY || to.write_all(&buffer[..length]).await.is_err()
        {
            return;
        }
    }
}
