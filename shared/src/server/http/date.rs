//! The date of answers. hyper keeps it for each thread and makes it when it first serves on one: where the clock is before
//! 1970 then, that thread panics. So it is made when a thread starts, and a clock that jumps there later finds it made.

use std::{
    convert::Infallible,
    pin::pin,
    task::{Context, Poll, Waker},
    time::SystemTime,
};

use axum::{body::Body, response::Response};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;

/// To be called on every thread that may serve, when it starts. A start with a clock before 1970 is refused elsewhere, in
/// words.
pub(in crate::server) fn prepare_thread() {
    if SystemTime::now() < SystemTime::UNIX_EPOCH {
        return;
    }
    let nothing =
        service_fn(async |_: Request<Incoming>| Ok::<_, Infallible>(Response::new(Body::empty())));
    let ended = TokioIo::new(tokio::io::empty());
    let connection = pin!(http1::Builder::new().serve_connection(ended, nothing));
    let polled = connection.poll(&mut Context::from_waker(Waker::noop()));
    debug_assert!(matches!(polled, Poll::Ready(_)), "an ended connection ends");
}
