//! The listener: accepts, bounds, drains.
//!
//! `axum::serve` (0.8) has no header timeout and no cap on connections, so the accept loop is our own.

use std::{
    borrow::Cow,
    future::Future,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    HttpLimits,
    places::Places,
    serve::{Connection, RouterService},
    stream::{GuardedStream, Serving, Stream},
    tls::{self, Tls},
    unread::Unread,
};
use crate::server::{
    health::{Health, Probe},
    metrics::{self, Metrics},
    outage::Outage,
};

/// How long the loop rests when the machine refuses to accept (out of files, mostly), so as not to spin.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);
/// A machine at its limit accepts one now and then.
const ACCEPT_CALM: Duration = Duration::from_secs(5);

/// Connections that the kernel has taken and that were not accepted yet. A client for which there is no room tries again a
/// second later. More than the kernel allows (`net.core.somaxconn`, mostly 4096) is as much as it allows.
const LISTEN_QUEUE: u32 = 4096;

/// What is read of one connection at a time, and what is written of its answers before they are sent. More would be faster for the largest bodies by nothing that can be measured,
/// and is memory that a client which stops in the middle of one keeps.
const READ_AHEAD_BYTES: usize = 32 * 1024;

/// How long a request may be on its way over a connection that was opened just before the port was closed.
const LINGER_MAX: Duration = Duration::from_secs(1);
/// Into how many steps that time is cut, so that one in which the process was held up is known.
const LINGER_STEPS: u32 = 10;

/// How long an answer without an end has to say that it ends, once the process was told to stop: its reader may have stopped
/// reading.
const STREAMS_END_MAX: Duration = Duration::from_secs(1);

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error(
        "cannot listen on {address}; is another process there? choose another address or port in the settings"
    )]
    Address {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("HTTPS cannot be spoken")]
    Tls(#[source] io::Error),
}

/// A bound listener and the router behind it. It serves nothing before [`Server::run`].
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
    limits: HttpLimits,
    /// Places for connections.
    permits: Arc<Semaphore>,
    closed: CancellationToken,
    tls: Option<Tls>,
    /// Hears when the certificate ends.
    certificate: Option<Probe>,
}

impl Server {
    /// Binds `address` (port 0 takes a free one) for a router that went through [`super::finish`].
    ///
    /// # Errors
    /// When the address is taken or not this machine's.
    pub async fn bind(
        address: SocketAddr,
        router: Router,
        limits: HttpLimits,
    ) -> Result<Self, BindError> {
        let failed = |source| BindError::Address { address, source };
        let listener = listen(address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let tls = limits.tls.as_ref().map(Tls::new).transpose();
        // `with_state` compiles the routes once instead of at each request.
        Ok(Self {
            listener,
            address,
            router: router.with_state(()),
            permits: Arc::new(Semaphore::new(limits.connections_max)),
            limits,
            closed: CancellationToken::new(),
            tls: tls.map_err(BindError::Tls)?,
            certificate: None,
        })
    }

    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Tells how many connections there are, and how many there may be.
    pub fn tell_connections(&self, metrics: &Metrics) {
        let (permits, max) = (Arc::clone(&self.permits), self.limits.connections_max);
        let used = move || max.saturating_sub(permits.available_permits());
        metrics::tell_connections(metrics, used, max);
    }

    #[cfg(test)]
    pub(super) fn shown(&self) -> Option<Arc<tls::Shown>> {
        self.tls.as_ref().map(Tls::shown)
    }

    /// Where HTTPS is spoken, tells when the certificate ends.
    pub fn tell_certificate(&mut self, health: &Health) {
        if self.tls.is_some() {
            self.certificate = Some(health.component("certificate"));
        }
    }

    /// Cancelled when the listener is closed: after the grace, and before requests in flight have finished.
    pub fn closed(&self) -> CancellationToken {
        self.closed.clone()
    }

    /// Serves until `shutdown` and for [`HttpLimits::shutdown_grace`] after it; then accepts no more, lets requests in
    /// flight finish for at most [`HttpLimits::drain_timeout`], cuts what is left and returns.
    ///
    /// Every answer of the grace ends its connection, so that pooled clients leave before the port is closed.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self {
            listener,
            router,
            limits,
            permits,
            closed,
            tls,
            certificate,
            ..
        } = self;
        // Also when this future is dropped: what waits for the listener's end must not wait for ever.
        let closed = closed.drop_guard();
        let places = Places::new(permits);
        let acceptor = tls.as_ref().map(Tls::acceptor);
        let connections =
            Connections::new(router, &limits, places.clone(), shutdown.clone(), acceptor);
        let outage =
            Outage::over_after(Cow::Borrowed("connections cannot be accepted"), ACCEPT_CALM);
        let over = CancellationToken::new();
        let renewing = async {
            if let Some(tls) = tls {
                over.run_until_cancelled(tls.keep(certificate)).await;
            }
        };
        let grace = async {
            shutdown.cancelled().await;
            tokio::time::sleep(limits.shutdown_grace).await;
            over.cancel();
        };
        let serve = async {
            while let Some((stream, permit)) = accept(&listener, &places, &outage, &over).await {
                connections.serve(stream, permit);
            }
        };
        tokio::join!(grace, serve, renewing);
        connections.serve_waiting(listener);
        drop(closed);
        connections
            .drain(limits.shutdown_grace.min(LINGER_MAX), limits.drain_timeout)
            .await;
    }
}

/// As [`TcpListener::bind`], with a longer queue.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(LISTEN_QUEUE)
}

/// The next connection and its place; nothing once the server is told to stop.
async fn accept(
    listener: &TcpListener,
    places: &Places,
    outage: &Outage,
    shutdown: &CancellationToken,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let next = async {
        let permit = places.try_take();
        let stream = loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    outage.worked();
                    break stream;
                }
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => {
                    outage.failed(&error);
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                }
            }
        };
        let permit = match permit {
            Some(permit) => permit,
            // Only now that one is there does another have to give way.
            None => places.take().await?,
        };
        Some((stream, permit))
    };
    shutdown.run_until_cancelled(next).await.flatten()
}

fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
    )
}

/// All connections being served, and what they share.
struct Connections {
    protocol: http1::Builder,
    router: Router,
    header_timeout: Duration,
    idle_timeout: Duration,
    leaving: CancellationToken,
    places: Places,
    unread: Unread,
    tasks: TaskTracker,
    graceful: GracefulShutdown,
    cut: CancellationToken,
    tls: Option<TlsAcceptor>,
}

impl Connections {
    fn new(
        router: Router,
        limits: &HttpLimits,
        places: Places,
        leaving: CancellationToken,
        tls: Option<TlsAcceptor>,
    ) -> Self {
        let mut protocol = http1::Builder::new();
        // hyper's timer runs from the end of one request to the headers of the next: the idle time.
        protocol
            .timer(TokioTimer::new())
            // Most answers are small, and large ones come in pieces: one copy costs less than the list of them.
            .writev(false)
            .header_read_timeout(limits.idle_timeout)
            .max_header_size(limits.header_limit_bytes)
            .max_buf_size(READ_AHEAD_BYTES.max(limits.header_limit_bytes));
        Self {
            protocol,
            router,
            header_timeout: limits.header_timeout,
            idle_timeout: limits.idle_timeout,
            leaving,
            places,
            unread: Unread::default(),
            tasks: TaskTracker::new(),
            graceful: GracefulShutdown::new(),
            cut: CancellationToken::new(),
            tls,
        }
    }

    /// Takes in whom the kernel has already connected, and closes the port: they would be reset with it.
    fn serve_waiting(&self, listener: TcpListener) {
        let Ok(listener) = listener.into_std() else {
            return;
        };
        while let Some(permit) = self.places.try_take()
            && let Ok((stream, _)) = listener.accept()
        {
            let stream = stream
                .set_nonblocking(true)
                .and_then(|()| TcpStream::from_std(stream));
            match stream {
                Ok(stream) => self.serve(stream, permit),
                Err(error) => tracing::debug!(%error, "a connection cannot be served"),
            }
        }
    }

    fn serve(&self, stream: TcpStream, permit: OwnedSemaphorePermit) {
        // Answers are small and written at once: waiting for more would only add delay.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY refused");
        }
        let serving = Serving::default();
        let peer = stream.peer_addr().ok().map(|peer| peer.ip());
        let cut = self.cut.child_token();
        let service = RouterService {
            router: self.router.clone(),
            connection: Arc::new(Connection {
                peer,
                serving: serving.clone(),
                leaving: self.leaving.clone(),
                end: cut.clone(),
                unread: self.unread.clone(),
            }),
        };
        let place = self.places.place(permit, serving.clone(), cut.clone());
        let (protocol, watcher) = (self.protocol.clone(), self.graceful.watcher());
        let (header_timeout, idle_timeout) = (self.header_timeout, self.idle_timeout);
        let acceptor = self.tls.clone();
        let connection = async move {
            let stream = match acceptor {
                None => Stream::Plain(stream),
                // Its place may be needed meanwhile: it has asked for nothing yet.
                Some(acceptor) => {
                    serving.wait();
                    let shaken = tls::handshake(&acceptor, stream, header_timeout).await;
                    Stream::Tls(Box::new(shaken?))
                }
            };
            let stream = GuardedStream::new(stream, serving, header_timeout, idle_timeout);
            let connection = protocol.serve_connection(TokioIo::new(stream), service);
            let ended = watched(watcher, connection).await;
            ended.map_err(io::Error::other)
        };
        self.tasks.spawn(async move {
            // A client that went away, or was too slow, is its own business; no line per broken connection.
            if let Some(Err(error)) = cut.run_until_cancelled(connection).await {
                tracing::debug!(%error, "connection ended");
            }
            drop(place);
        });
    }

    /// Connections that were opened last may have their first request on the way: after a grace they are served for
    /// `linger` before those that rest are ended.
    async fn drain(self, linger: Duration, deadline: Duration) {
        let Self {
            tasks,
            graceful,
            cut,
            places,
            ..
        } = self;
        tasks.close();
        tokio::select! {
            () = tasks.wait() => {}
            () = pass(linger) => {}
        }
        let finished = graceful.shutdown();
        let streams_end = async {
            tokio::time::sleep(STREAMS_END_MAX).await;
            places.end_streams();
            std::future::pending().await
        };
        let all_done = async {
            tokio::select! {
                () = finished => {}
                () = streams_end => {}
            }
        };
        if tokio::time::timeout(deadline, all_done).await.is_err() {
            tracing::warn!(
                connections = tasks.len(),
                "requests did not finish in time and were cut"
            );
        }
        cut.cancel();
        tasks.wait().await;
    }
}

/// Lets `time` pass while this process is awake. What arrived while it was held up it has not seen yet, so a step that
/// ended late counts for nothing; where most of them do, there is an end to that too.
async fn pass(time: Duration) {
    let step = time / LINGER_STEPS;
    let mut on_time = 0;
    for _ in 0..LINGER_STEPS * 3 {
        let begun = Instant::now();
        tokio::time::sleep(step).await;
        on_time += u32::from(begun.elapsed() < step * 2);
        if on_time == LINGER_STEPS {
            return;
        }
    }
}

fn watched(
    watcher: Watcher,
    connection: http1::Connection<TokioIo<GuardedStream>, RouterService>,
) -> impl Future<Output = Result<(), hyper::Error>> {
    watcher.watch(connection)
}
