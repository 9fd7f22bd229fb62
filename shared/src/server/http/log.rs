//! One log line per request.
//!
//! `tower-http`'s `TraceLayer` is not used: it makes a span for each request, and its events know neither the route nor the
//! problem that is answered, whose code and cause are what the line is for.

use std::error::Error;

use axum::{
    extract::{MatchedPath, Request},
    http::{Method, StatusCode},
    response::Response,
};
use tokio::time::Instant;

use super::request_id::RequestId;
use crate::problem::Problem;

/// What the log line and the answer need to know of the request, kept while a handler owns it.
pub(super) struct Seen {
    pub(super) id: RequestId,
    method: Method,
    pub(super) path: Option<MatchedPath>,
    pub(super) started: Instant,
}

impl Seen {
    pub(super) fn of(request: &Request) -> Self {
        Self {
            id: RequestId::accept_or_generate(request.headers()),
            method: request.method().clone(),
            path: request.extensions().get::<MatchedPath>().cloned(),
            started: Instant::now(),
        }
    }

    /// A 503 is a warning: the service says so by design, and who found the dependency away has logged it.
    pub(super) fn log(&self, response: &Response) {
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
