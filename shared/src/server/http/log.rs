//! One log line per request.
//!
//! `tower-http`'s `TraceLayer` is not used: it makes a span for each request, and its events know neither the route nor the
//! problem that is answered, whose code and cause are what the line is for.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    extract::{MatchedPath, Request},
    http::{Method, StatusCode},
    response::Response,
};
use tokio::time::Instant;

use super::request_id::RequestId;
use crate::{
    problem::Problem,
    server::outage::{Outage, chain},
};

/// How long a route must not have answered 503 before an answer ends what is logged as one outage of it.
const CALM: Duration = Duration::from_secs(5);

/// The outages of the routes: while one lasts, its further 503 are no lines of their own.
#[derive(Debug, Default)]
pub(super) struct Outages {
    /// Whether there are any, to be asked without a lock.
    any: AtomicBool,
    open: Mutex<BTreeMap<(String, &'static str), Outage>>,
}

impl Outages {
    /// Whether this 503 is the first of its route and code, or has a reason that none before it had.
    fn begins(&self, path: &str, code: &'static str, error: Option<&str>) -> bool {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        self.any.store(true, Ordering::Relaxed);
        open.entry((path.to_owned(), code))
            .or_insert_with(|| {
                let what = format!("requests to {path} are answered with 503 {code}");
                Outage::over_after(what.into(), CALM)
            })
            .begins_with(error.unwrap_or(code))
    }

    /// The route has answered what it is there for.
    fn answered(&self, path: &str) {
        if !self.any.load(Ordering::Relaxed) {
            return;
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(of, _), outage| of != path || !outage.worked());
        self.any.store(!open.is_empty(), Ordering::Relaxed);
    }
}

/// Whether the route did its work, as far as the status tells: a request that was refused before does not show it.
fn is_at_work(status: StatusCode) -> bool {
    status.is_success()
        || status.is_redirection()
        || matches!(status.as_u16(), 404 | 409 | 412 | 422)
}

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

    /// A 503 is a warning: the service says so by design, and who found the dependency away has logged it. The first of
    /// an outage is logged, and its end; those between are lines at `debug` only.
    pub(super) fn log(&self, response: &Response, outages: &Outages) {
        let status = response.status();
        if is_at_work(status) {
            outages.answered(self.route());
        }
        if status == StatusCode::SERVICE_UNAVAILABLE && self.is_news(response, outages) {
            self.line(response, |line| tracing::warn!(
                method = %line.method, path = line.path, status = line.status, duration_ms = line.duration_ms,
                request_id = line.request_id, code = line.code, error = line.error, "request unavailable"
            ));
        } else if status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE {
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

    fn is_news(&self, response: &Response, outages: &Outages) -> bool {
        let Some(problem) = response.extensions().get::<Problem>() else {
            // A health report, which says itself that something is wrong, each time it is asked.
            return false;
        };
        let error = problem.cause().map(|cause| chain(cause.as_ref()));
        outages.begins(self.route(), problem.code(), error.as_deref())
    }

    fn route(&self) -> &str {
        self.path.as_ref().map_or("(none)", MatchedPath::as_str)
    }

    fn line(&self, response: &Response, write: impl FnOnce(Line<'_>)) {
        let problem = response.extensions().get::<Problem>();
        write(Line {
            method: &self.method,
            path: self.route(),
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
