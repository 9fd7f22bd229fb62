//! HTTP/1.1 to one service, at little cost: the tool shares the machine with what it measures.
//!
//! A connection is driven by the task that waits for its answer, so that a request needs no other task, and is kept for the
//! next one. One that did not answer, or was closed, is never used again.

use std::{fmt, future::poll_fn, pin::pin, task::Poll, time::Duration};

use futures::FutureExt;
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Method, Request, StatusCode, Uri,
    body::Bytes,
    client::conn::http1::{Builder, Connection, SendRequest},
    header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER},
};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use reqwest::Url;
use shared::server::headers::IDEMPOTENCY_KEY;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};

/// A host that does not take the connection by then is away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Below the services' own limit, so that no request goes into a connection that is just being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// A service, with the connections that wait for their next request.
pub(crate) struct ServiceClient {
    base: Url,
    host: String,
    port: u16,
    authority: HeaderValue,
    /// Before every path; without a slash at its end.
    prefix: String,
    timeout: Duration,
    /// `Bearer` and the token, if there is one.
    authorization: Option<HeaderValue>,
    idle: Mutex<Vec<PooledConnection>>,
}

/// A request that can be sent as often as it takes.
pub(crate) struct PreparedRequest<'client> {
    client: &'client ServiceClient,
    method: Method,
    uri: Uri,
    key: Option<HeaderValue>,
    body: Bytes,
    timeout: Duration,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Bytes,
}

/// Why there is no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TransportError {
    /// Nothing was sent.
    ConnectFailed,
    TimedOut,
    Disconnected,
}

impl TransportError {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::ConnectFailed => "no connection",
            Self::TimedOut => "no answer in time",
            Self::Disconnected => "connection lost",
        }
    }
}

/// One connection.
struct PooledConnection {
    sender: SendRequest<Full<Bytes>>,
    connection: Connection<TokioIo<TcpStream>, Full<Bytes>>,
    used: Instant,
}

/// How far a request came.
enum Sent {
    Answered(Answer),
    /// The connection had been closed before: nothing was sent.
    Stale,
    TransportError,
}

impl ServiceClient {
    /// Of an `http://` URL, which has a host.
    pub(crate) fn new(
        base: &Url,
        timeout: Duration,
        authorization: Option<HeaderValue>,
    ) -> anyhow::Result<Self> {
        anyhow::ensure!(base.scheme() == "http", "the load speaks http:// only");
        let host = base.host_str().unwrap_or_default();
        let port = base.port_or_known_default().unwrap_or(80);
        let authority = HeaderValue::from_str(&format!("{host}:{port}"))?;
        Ok(Self {
            base: base.clone(),
            // An IPv6 address is in brackets in a URL, and only there.
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            authority,
            prefix: base.path().trim_end_matches('/').to_owned(),
            timeout,
            authorization,
            idle: Mutex::default(),
        })
    }

    pub(crate) fn get(&self, path: fmt::Arguments<'_>) -> PreparedRequest<'_> {
        self.request(Method::GET, path, None, String::new())
    }

    pub(crate) fn post(
        &self,
        path: fmt::Arguments<'_>,
        key: Option<&str>,
        body: String,
    ) -> PreparedRequest<'_> {
        // A key is letters, digits and dashes.
        let key = key.and_then(|key| HeaderValue::from_str(key).ok());
        self.request(Method::POST, path, key, body)
    }

    /// As [`post`](Self::post).
    pub(crate) fn put(
        &self,
        path: fmt::Arguments<'_>,
        key: Option<&str>,
        body: String,
    ) -> PreparedRequest<'_> {
        let key = key.and_then(|key| HeaderValue::from_str(key).ok());
        self.request(Method::PUT, path, key, body)
    }

    fn request(
        &self,
        method: Method,
        path: fmt::Arguments<'_>,
        key: Option<HeaderValue>,
        body: String,
    ) -> PreparedRequest<'_> {
        let place = format!("{}{path}", self.prefix);
        PreparedRequest {
            client: self,
            method,
            // Paths are made of ids and numbers behind the path of a URL: there is nothing to escape.
            uri: Uri::from_maybe_shared(place).unwrap_or_default(),
            key,
            body: body.into(),
            timeout: self.timeout,
        }
    }

    /// A connection that is kept and still open, as far as can be known.
    fn kept(&self) -> Option<PooledConnection> {
        let mut idle = self.idle.lock();
        while let Some(line) = idle.pop() {
            if line.used.elapsed() < IDLE_TIMEOUT && !line.sender.is_closed() {
                return Some(line);
            }
        }
        None
    }

    async fn connected(&self) -> Option<PooledConnection> {
        let opened = TcpStream::connect((self.host.as_str(), self.port));
        let stream = timeout(CONNECT_TIMEOUT, opened).await.ok()?.ok()?;
        stream.set_nodelay(true).ok()?;
        let shaken = Builder::new()
            // A request is small: one piece costs less than the list of its pieces.
            .writev(false)
            .handshake(TokioIo::new(stream))
            .await;
        let (sender, connection) = shaken.ok()?;
        Some(PooledConnection {
            sender,
            connection,
            used: Instant::now(),
        })
    }
}

impl fmt::Display for ServiceClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.base.fmt(f)
    }
}

impl PreparedRequest<'_> {
    pub(crate) const fn within(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Whether it may be sent again although it may have been carried out.
    pub(crate) fn is_repeatable(&self) -> bool {
        self.key.is_some() || self.method == Method::GET
    }

    /// Sends it once.
    pub(crate) async fn answer(&self) -> Result<Answer, TransportError> {
        while let Some(mut line) = self.client.kept() {
            match self.sent(&mut line).await? {
                Sent::Answered(answer) => return Ok(self.keep(line, answer)),
                Sent::Stale => {}
                Sent::TransportError => return Err(TransportError::Disconnected),
            }
        }
        let mut line = self
            .client
            .connected()
            .await
            .ok_or(TransportError::ConnectFailed)?;
        match self.sent(&mut line).await? {
            Sent::Answered(answer) => Ok(self.keep(line, answer)),
            Sent::Stale | Sent::TransportError => Err(TransportError::Disconnected),
        }
    }

    fn keep(&self, mut line: PooledConnection, answer: Answer) -> Answer {
        line.used = Instant::now();
        self.client.idle.lock().push(line);
        answer
    }

    async fn sent(&self, line: &mut PooledConnection) -> Result<Sent, TransportError> {
        timeout(self.timeout, exchange(line, self))
            .await
            .map_err(|_| TransportError::TimedOut)
    }

    fn request(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.insert(HOST, self.client.authority.clone());
        if let Some(authorization) = &self.client.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        if self.method != Method::GET {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(key) = &self.key {
            headers.insert(IDEMPOTENCY_KEY, key.clone());
        }
        request
    }
}

/// Sends a request and reads its answer, driving the connection meanwhile.
async fn exchange(line: &mut PooledConnection, request: &PreparedRequest<'_>) -> Sent {
    let PooledConnection {
        sender, connection, ..
    } = line;
    let is_open = poll_fn(|context| {
        // It may have been closed since it was last used.
        if connection.poll_unpin(context).is_ready() {
            return Poll::Ready(false);
        }
        sender.poll_ready(context).map(|ready| ready.is_ok())
    });
    if !is_open.await {
        return Sent::Stale;
    }
    let mut answer = pin!(async {
        let response = sender.send_request(request.request()).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        hyper::Result::Ok(Answer {
            status: head.status,
            retry_after: retry_after(&head.headers),
            body,
        })
    });
    let mut over = false;
    let answered = poll_fn(|context| {
        for turn in 0.. {
            if let Poll::Ready(answer) = answer.as_mut().poll(context) {
                return Poll::Ready(answer.ok());
            }
            if over {
                return Poll::Ready(None);
            }
            // Twice, because what the connection has read is there at once. What comes later wakes this task.
            if turn == 1 {
                break;
            }
            over = connection.poll_unpin(context).is_ready();
        }
        Poll::Pending
    });
    answered.await.map_or(Sent::TransportError, Sent::Answered)
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?;
    seconds.parse().ok().map(Duration::from_secs)
}
