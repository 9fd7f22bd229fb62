//! HTTP/1.1 to one service, at little cost: the tool shares the machine with what it measures.
//!
//! A connection is driven by whoever waits for its answer, so that a request needs no other task, and is kept for the
//! next one. One that did not answer, or was closed, is never used again.

use std::{fmt, future::poll_fn, pin::pin, sync::Mutex, task::Poll, time::Duration};

use futures::FutureExt;
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Method, Request, StatusCode, Uri,
    body::Bytes,
    client::conn::http1::{Builder, Connection, SendRequest},
    header::{CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER},
};
use hyper_util::rt::TokioIo;
use reqwest::Url;
use shared::server::headers::IDEMPOTENCY_KEY;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};

use super::measure::locked;

/// A host that does not take the connection by then is away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Below the services' own limit, so that no request goes into a connection that is just being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// A service, with the connections that wait for their next request.
pub(super) struct Peer {
    base: Url,
    host: String,
    port: u16,
    authority: HeaderValue,
    /// Before every path; without a slash at its end.
    prefix: String,
    timeout: Duration,
    idle: Mutex<Vec<Line>>,
}

/// A request that can be sent as often as it takes.
pub(super) struct Call<'peer> {
    peer: &'peer Peer,
    method: Method,
    uri: Uri,
    key: Option<HeaderValue>,
    body: Bytes,
    timeout: Duration,
}

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Bytes,
}

/// Why there is no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lost {
    /// Nothing was sent.
    NoConnection,
    TimedOut,
    HungUp,
}

impl Lost {
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::NoConnection => "no connection",
            Self::TimedOut => "no answer in time",
            Self::HungUp => "connection lost",
        }
    }
}

/// One connection.
struct Line {
    sender: SendRequest<Full<Bytes>>,
    connection: Connection<TokioIo<TcpStream>, Full<Bytes>>,
    used: Instant,
}

/// How far a request came.
enum Sent {
    Answered(Answer),
    /// The connection had been closed before: nothing was sent.
    Stale,
    Lost,
}

impl Peer {
    /// Of an `http://` URL, which has a host.
    pub(super) fn new(base: &Url, timeout: Duration) -> anyhow::Result<Self> {
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
            idle: Mutex::default(),
        })
    }

    pub(super) fn get(&self, path: fmt::Arguments<'_>) -> Call<'_> {
        self.call(Method::GET, path, None, String::new())
    }

    pub(super) fn post(
        &self,
        path: fmt::Arguments<'_>,
        key: Option<&str>,
        body: String,
    ) -> Call<'_> {
        // A key is letters, digits and dashes.
        let key = key.and_then(|key| HeaderValue::from_str(key).ok());
        self.call(Method::POST, path, key, body)
    }

    fn call(
        &self,
        method: Method,
        path: fmt::Arguments<'_>,
        key: Option<HeaderValue>,
        body: String,
    ) -> Call<'_> {
        let place = format!("{}{path}", self.prefix);
        Call {
            peer: self,
            method,
            // Paths are made of ids and numbers behind the path of a URL: there is nothing to escape.
            uri: Uri::from_maybe_shared(place).unwrap_or_default(),
            key,
            body: body.into(),
            timeout: self.timeout,
        }
    }

    /// A connection that is kept and still open, as far as can be known.
    fn kept(&self) -> Option<Line> {
        let mut idle = locked(&self.idle);
        while let Some(line) = idle.pop() {
            if line.used.elapsed() < IDLE_TIMEOUT && !line.sender.is_closed() {
                return Some(line);
            }
        }
        None
    }

    async fn connected(&self) -> Option<Line> {
        let opened = TcpStream::connect((self.host.as_str(), self.port));
        let stream = timeout(CONNECT_TIMEOUT, opened).await.ok()?.ok()?;
        stream.set_nodelay(true).ok()?;
        let shaken = Builder::new()
            // A request is small: one piece costs less than the list of its pieces.
            .writev(false)
            .handshake(TokioIo::new(stream))
            .await;
        let (sender, connection) = shaken.ok()?;
        Some(Line {
            sender,
            connection,
            used: Instant::now(),
        })
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.base.fmt(f)
    }
}

impl Call<'_> {
    pub(super) const fn within(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Whether it may be sent again although it may have been carried out.
    pub(super) fn is_repeatable(&self) -> bool {
        self.key.is_some() || self.method == Method::GET
    }

    /// Sends it once.
    pub(super) async fn answer(&self) -> Result<Answer, Lost> {
        while let Some(mut line) = self.peer.kept() {
            match self.sent(&mut line).await? {
                Sent::Answered(answer) => return Ok(self.keep(line, answer)),
                Sent::Stale => {}
                Sent::Lost => return Err(Lost::HungUp),
            }
        }
        let mut line = self.peer.connected().await.ok_or(Lost::NoConnection)?;
        match self.sent(&mut line).await? {
            Sent::Answered(answer) => Ok(self.keep(line, answer)),
            Sent::Stale | Sent::Lost => Err(Lost::HungUp),
        }
    }

    fn keep(&self, mut line: Line, answer: Answer) -> Answer {
        line.used = Instant::now();
        locked(&self.peer.idle).push(line);
        answer
    }

    async fn sent(&self, line: &mut Line) -> Result<Sent, Lost> {
        timeout(self.timeout, exchange(line, self))
            .await
            .map_err(|_| Lost::TimedOut)
    }

    fn request(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.insert(HOST, self.peer.authority.clone());
        if self.method == Method::POST {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(key) = &self.key {
            headers.insert(IDEMPOTENCY_KEY, key.clone());
        }
        request
    }
}

/// Sends a request and reads its answer, driving the connection meanwhile.
async fn exchange(line: &mut Line, call: &Call<'_>) -> Sent {
    let Line {
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
        let response = sender.send_request(call.request()).await?;
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
    answered.await.map_or(Sent::Lost, Sent::Answered)
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?;
    seconds.parse().ok().map(Duration::from_secs)
}
