//! One connection's requests on their way through the router.
//!
//! A request is being answered until the last of its answer is written: one whose body has no end keeps its connection from
//! being taken for one that rests.

use std::{
    convert::Infallible,
    future::Future,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::{
    Router,
    body::{Body, HttpBody},
    http::{
        HeaderValue,
        header::{CONNECTION, CONTENT_TYPE},
    },
    response::Response,
};
use hyper::{Request, body::Incoming};
use tokio::task::coop;
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::{
    stream::Serving,
    unread::{PiecedBody, Reader, SMALL_BYTES_MAX, Unread},
    wire,
};
use crate::server::rate_limit::Peer;

/// Of the 128 steps that a task has before others have theirs, those of one request: four are begun in a row.
const SHARE_OF_TURN: u8 = 32;

/// How a connection is told that the answer on it is its last.
const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// The media type of an answer that goes on for as long as its reader stays.
pub const EVENT_STREAM: &str = "text/event-stream";

/// The router as hyper calls it.
pub(super) struct RouterService {
    pub(super) router: Router,
    pub(super) connection: Arc<Connection>,
}

/// What the requests of one connection have in common.
pub(super) struct Connection {
    pub(super) peer: Option<IpAddr>,
    pub(super) serving: Serving,
    pub(super) leaving: CancellationToken,
    /// Ends it.
    pub(super) end: CancellationToken,
    pub(super) unread: Unread,
}

impl hyper::service::Service<Request<Incoming>> for RouterService {
    type Response = Response;
    type Error = Infallible;
    type Future = Serve<<Router as Service<Request<Body>>>::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let mut request = request.map(Body::new);
        if let Some(peer) = self.connection.peer {
            request.extensions_mut().insert(Peer(peer));
        }
        let ambiguous = self.connection.serving.start();
        wire::mark(&mut request, ambiguous);
        // A router is always ready, and a clone of it is two reference counts.
        let answer = self.router.clone().call(request);
        Serve {
            answer,
            is_begun: false,
            // What comes behind it may be a part of it.
            is_last: ambiguous.is_some(),
            answering: Some(Answering(Arc::clone(&self.connection))),
            connection: Arc::clone(&self.connection),
        }
    }
}

/// The answer on its way; when it is there, or given up, the connection waits for its next request.
pub(super) struct Serve<F> {
    answer: F,
    is_begun: bool,
    is_last: bool,
    answering: Option<Answering>,
    connection: Arc<Connection>,
}

impl<F: Future<Output = Result<Response, Infallible>> + Unpin> Future for Serve<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if !self.is_begun {
            ready!(takes_its_turn(cx));
            self.is_begun = true;
        }
        let answer = Pin::new(&mut self.answer).poll(cx);
        answer.map_ok(|mut answer| {
            if self.is_last || self.connection.leaving.is_cancelled() {
                answer.headers_mut().insert(CONNECTION, CLOSE);
            }
            let length = answer.body().size_hint().exact();
            if length.is_some_and(|length| length <= SMALL_BYTES_MAX as u64) {
                return answer;
            }
            if is_event_stream(&answer) {
                self.connection.serving.stream();
            }
            // Of one whose length is not known: its request is being answered for as long as it is written.
            let answering = self.answering.take().filter(|_| length.is_none());
            let Connection {
                peer, end, unread, ..
            } = &*self.connection;
            let reader = Reader::of(&answer, *peer);
            answer.map(|body| {
                let held = (unread.clone(), reader, end.clone());
                Body::new(PiecedBody::new(body, held, answering))
            })
        })
    }
}

/// A connection on which many requests arrive at once gives way to others after some of them.
fn takes_its_turn(cx: &mut Context<'_>) -> Poll<()> {
    for _ in 0..SHARE_OF_TURN {
        ready!(coop::poll_proceed(cx)).made_progress();
    }
    Poll::Ready(())
}

fn is_event_stream(answer: &Response) -> bool {
    let media_type = answer.headers().get(CONTENT_TYPE);
    media_type.is_some_and(|value| value == EVENT_STREAM)
}

/// That a request is being answered, until this is dropped.
struct Answering(Arc<Connection>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.serving.end();
    }
}
