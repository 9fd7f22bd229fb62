//! One connection's requests on their way through the router.
//!
//! A request is being answered until the last of its answer is written: one whose body has no end keeps its connection from
//! being taken for one that rests.

use std::{
    convert::Infallible,
    future::Future,
    net::IpAddr,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
    http::{
        HeaderValue,
        header::{CONNECTION, CONTENT_TYPE},
    },
    response::Response,
};
use hyper::{
    Request,
    body::{Frame, Incoming, SizeHint},
};
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::{stream::Serving, wire};
use crate::server::rate_limit::Peer;

/// How a connection is told that the answer on it is its last.
const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// The media type of an answer that goes on for as long as its reader stays.
pub const EVENT_STREAM: &str = "text/event-stream";

/// The router as hyper calls it.
pub(super) struct RouterService {
    pub(super) router: Router,
    pub(super) peer: Option<IpAddr>,
    pub(super) serving: Serving,
    pub(super) leaving: CancellationToken,
}

impl hyper::service::Service<Request<Incoming>> for RouterService {
    type Response = Response;
    type Error = Infallible;
    type Future = Serve<<Router as Service<Request<Body>>>::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let mut request = request.map(Body::new);
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(Peer(peer));
        }
        let ambiguous = self.serving.start();
        wire::mark(&mut request, ambiguous);
        // A router is always ready, and a clone of it is two reference counts.
        let answer = self.router.clone().call(request);
        Serve {
            answer,
            // What comes behind it may be a part of it.
            is_last: ambiguous.is_some(),
            answering: Some(Answering(self.serving.clone())),
            serving: self.serving.clone(),
            leaving: self.leaving.clone(),
        }
    }
}

/// The answer on its way; when it is there, or given up, the connection waits for its next request.
pub(super) struct Serve<F> {
    answer: F,
    is_last: bool,
    answering: Option<Answering>,
    serving: Serving,
    leaving: CancellationToken,
}

impl<F: Future<Output = Result<Response, Infallible>> + Unpin> Future for Serve<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let answer = Pin::new(&mut self.answer).poll(cx);
        answer.map_ok(|mut answer| {
            if self.is_last || self.leaving.is_cancelled() {
                answer.headers_mut().insert(CONNECTION, CLOSE);
            }
            if answer.body().size_hint().exact().is_some() {
                return answer;
            }
            if is_event_stream(&answer) {
                self.serving.stream();
            }
            let answering = self.answering.take();
            answer.map(|body| {
                Body::new(StreamedBody {
                    body,
                    _answering: answering,
                })
            })
        })
    }
}

fn is_event_stream(answer: &Response) -> bool {
    let media_type = answer.headers().get(CONTENT_TYPE);
    media_type.is_some_and(|value| value == EVENT_STREAM)
}

/// That a request is being answered, until this is dropped.
struct Answering(Serving);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// A body of a length that is not known: its request is being answered for as long as it is written.
struct StreamedBody {
    body: Body,
    _answering: Option<Answering>,
}

impl HttpBody for StreamedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
