//! What the edge itself answers: problems, like every other refusal.

use std::any::Any;

use axum::{
    http::Method,
    response::{IntoResponse, Response},
};

use super::body::{BodyTimedOut, BodyTooLarge};
use crate::problem::{Code, Problem};

pub(super) async fn route_not_found() -> Problem {
    Problem::new(Code::RouteNotFound, "There is no such path here.")
}

/// `Allow` is added by the router, which knows the methods of the path.
pub(super) async fn method_not_allowed(method: Method) -> Problem {
    Problem::new(
        Code::MethodNotAllowed,
        format!("{method} is not possible on this path."),
    )
}

impl From<BodyTooLarge> for Problem {
    fn from(BodyTooLarge { limit_bytes }: BodyTooLarge) -> Self {
        Self::new(
            Code::BodyTooLarge,
            format!("A body may have at most {limit_bytes} bytes."),
        )
    }
}

impl From<BodyTimedOut> for Problem {
    fn from(_: BodyTimedOut) -> Self {
        Self::new(Code::BodyTimeout, "The body did not arrive in time.")
    }
}

/// A write that was handed over may still commit, so this says neither that it did nor that it did not.
pub(super) fn request_timed_out() -> Problem {
    Problem::new(
        Code::RequestTimeout,
        "The answer was not ready in time. What was asked for may still happen: \
         ask again with the same Idempotency-Key, or read before you repeat.",
    )
}

#[derive(Debug, thiserror::Error)]
#[error("a handler panicked: {0}")]
struct Panicked(String);

/// What a panic is answered with; its message is for the log.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the layer that catches it gives it away"
)]
pub(super) fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let message = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let message = message.or_else(|| panic.downcast_ref::<String>().cloned());
    let cause = Panicked(message.unwrap_or_else(|| "without a message".to_owned()));
    Problem::internal().with_cause(cause).into_response()
}
