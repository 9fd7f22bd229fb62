//! One layer around every route: id, limits, panic, log line.
//!
//! It is on the path of every request, so it is one boxed future and no more: no span, no header map scans beyond the
//! few names it needs, and a timer only where something has to be waited for.

use std::{
    any::Any,
    convert::Infallible,
    error::Error,
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    Router,
    body::{Body, HttpBody},
    extract::{MatchedPath, Request},
    http::{
        HeaderValue, Method, StatusCode,
        header::{CONTENT_LENGTH, X_CONTENT_TYPE_OPTIONS},
    },
    response::{IntoResponse, Response},
};
use futures::FutureExt;
use tokio::time::{Instant, timeout_at};
use tower::{Layer, Service};

use super::{
    HttpLimits,
    body::{BodyTimedOut, BodyTooLarge, GuardedBody},
    request_id::{REQUEST_ID, RequestId},
};
use crate::problem::{Code, Problem};

/// Completes a router. Call it last: routes added afterwards would go without.
pub fn finish(router: Router, limits: &HttpLimits) -> Router {
    finish_with_large_bodies(router, limits, &[])
}

/// As [`finish`], with routes whose bodies may be larger than [`HttpLimits::body_limit_bytes`].
pub fn finish_with_large_bodies(
    router: Router,
    limits: &HttpLimits,
    large: &'static [LargeBody],
) -> Router {
    router
        .fallback(route_not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(EdgeLayer {
            limits: Arc::new(limits.clone()),
            large,
        })
}

/// A route whose body may be larger than those of the others. One layer guards all routes, so the route is named here
/// and not layered: an inner layer could not widen what an outer one has cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LargeBody {
    /// As the router has it, parameters in braces.
    pub route: &'static str,
    /// Counts where it is more than [`HttpLimits::body_limit_bytes`].
    pub limit_bytes: usize,
}

async fn route_not_found() -> Problem {
    Problem::new(Code::RouteNotFound, "There is no such path here.")
}

/// `Allow` is added by the router, which knows the methods of the path.
async fn method_not_allowed(method: Method) -> Problem {
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
fn request_timed_out() -> Problem {
    Problem::new(
        Code::RequestTimeout,
        "The answer was not ready in time. What was asked for may still happen: \
         ask again with the same Idempotency-Key, or read before you repeat.",
    )
}

#[derive(Debug, thiserror::Error)]
#[error("a handler panicked: {0}")]
struct Panicked(String);

fn panicked(panic: &(dyn Any + Send)) -> Problem {
    let message = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let message = message.or_else(|| panic.downcast_ref::<String>().cloned());
    Problem::internal().with_cause(Panicked(
        message.unwrap_or_else(|| "without a message".to_owned()),
    ))
}

#[derive(Clone)]
struct EdgeLayer {
    limits: Arc<HttpLimits>,
    large: &'static [LargeBody],
}

impl<S> Layer<S> for EdgeLayer {
    type Service = Edge<S>;

    fn layer(&self, inner: S) -> Edge<S> {
        Edge {
            inner,
            limits: Arc::clone(&self.limits),
            large: self.large,
        }
    }
}

#[derive(Clone)]
struct Edge<S> {
    inner: S,
    limits: Arc<HttpLimits>,
    large: &'static [LargeBody],
}

impl<S> Edge<S> {
    fn body_limit_bytes(&self, route: Option<&MatchedPath>) -> usize {
        let large = self
            .large
            .iter()
            .find(|large| route.is_some_and(|route| route.as_str() == large.route));
        let usual = self.limits.body_limit_bytes;
        large.map_or(usual, |large| usual.max(large.limit_bytes))
    }
}

impl<S> Service<Request> for Edge<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let seen = Seen::of(&request);
        let id = seen.id.clone();
        let limit_bytes = self.body_limit_bytes(seen.path.as_ref());
        let body_deadline = seen.started + self.limits.body_timeout;
        let answer = match guarded(request, limit_bytes, body_deadline) {
            Ok(request) => {
                let inner = AssertUnwindSafe(self.inner.call(request)).catch_unwind();
                let inner = timeout_at(seen.started + self.limits.request_timeout, inner);
                Answer::Expected(inner)
            }
            Err(problem) => Answer::Refused(problem),
        };
        Box::pin(async move {
            let mut response = id
                .scope(async move {
                    match answer {
                        Answer::Refused(problem) => problem.into_response(),
                        Answer::Expected(inner) => match inner.await {
                            Ok(Ok(Ok(response))) => response,
                            Ok(Err(panic)) => panicked(panic.as_ref()).into_response(),
                            Err(_) => request_timed_out().into_response(),
                        },
                    }
                })
                .await;
            seen.finish(&mut response);
            Ok(response)
        })
    }
}

/// What the edge does with a request: pass it on, or answer itself.
enum Answer<F> {
    Expected(F),
    Refused(Problem),
}

/// The request with its body under guard; refused at once when it says itself that it is too large.
fn guarded(request: Request, limit_bytes: usize, deadline: Instant) -> Result<Request, Problem> {
    if request.body().is_end_stream() {
        return Ok(request);
    }
    let declared = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > limit_bytes) {
        return Err(Problem::from(BodyTooLarge { limit_bytes }));
    }
    Ok(request.map(|body| Body::new(GuardedBody::new(body, limit_bytes, deadline))))
}

/// What the log line and the answer need to know of the request, kept while a handler owns it.
struct Seen {
    id: RequestId,
    method: Method,
    path: Option<MatchedPath>,
    started: Instant,
}

impl Seen {
    fn of(request: &Request) -> Self {
        Self {
            id: RequestId::accept_or_generate(request.headers()),
            method: request.method().clone(),
            path: request.extensions().get::<MatchedPath>().cloned(),
            started: Instant::now(),
        }
    }

    fn finish(&self, response: &mut Response) {
        self.log(response);
        let headers = response.headers_mut();
        headers.insert(REQUEST_ID, self.id.header_value());
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }

    /// A 503 is a warning: the service says so by design, and who found the dependency away has logged it.
    fn log(&self, response: &Response) {
        let status = response.status();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            self.line(response, |line| tracing::warn!(
                method = %line.method, path = line.path, status = line.status, duration_ms = line.duration_ms,
                request_id = line.request_id, code = line.code, error = line.error, "request unavailable"
            ));
        } else if status.is_server_error() {
            self.line(response, |line| tracing::error!(
                method = %line.method, path = line.path, status = line.status, duration_ms = line.duration_ms,
                request_id = line.request_id, code = line.code, error = line.error, "request failed"
            ));
        } else if tracing::enabled!(tracing::Level::DEBUG) {
            self.line(response, |line| tracing::debug!(
                method = %line.method, path = line.path, status = line.status, duration_ms = line.duration_ms,
                request_id = line.request_id, code = line.code, error = line.error, "request"
            ));
        }
    }

    fn line(&self, response: &Response, write: impl FnOnce(Line<'_>)) {
        let problem = response.extensions().get::<Problem>();
        write(Line {
            method: &self.method,
            path: self.path.as_ref().map_or("(none)", MatchedPath::as_str),
            status: response.status().as_u16(),
            duration_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            request_id: self.id.as_str(),
            code: problem.map(Problem::code),
            error: problem
                .and_then(Problem::cause)
                .map(|cause| chain(cause.as_ref())),
        });
    }
}

struct Line<'a> {
    method: &'a Method,
    path: &'a str,
    status: u16,
    duration_ms: u64,
    request_id: &'a str,
    code: Option<&'a str>,
    error: Option<String>,
}

/// The error and everything below it, in one line.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(source) = below {
        text.push_str(": ");
        text.push_str(&source.to_string());
        below = source.source();
    }
    text
}
