//! One log line per request, told by its route and never by its address: `request` at `info`, `request failed` at
//! `error`. Of an outage the first 503 and its end are lines (`warn`, `info`), the others are at `debug`, and so is what
//! probes ask for. Their target is [`LOG_TARGET`], so `RUST_LOG=info,request=warn` leaves out what went well.
//!
//! A line holds no header but the ids of request and trace, nothing of a body, and no parameter.
//!
//! `tower-http`'s `TraceLayer` is not used: it makes a span for each request, and its events know neither the route nor the
//! problem that is answered, whose code and cause are what the line is for.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
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

use super::{request_id::RequestId, trace::TraceParent};
use crate::{
    problem::{Code, Problem},
    server::{
        metrics::{Answered, RequestMetrics},
        outage::{Outage, chain},
        traces::{self, RequestSpan},
    },
};

/// What the lines of requests are logged under.
pub const LOG_TARGET: &str = "request";

/// What is asked for by machines, again and again.
const PROBES: [&str; 4] = ["/livez", "/readyz", "/health", "/metrics"];

/// Who called, in the line of a request: put into the extensions of its answer by what let the caller in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subject(pub Arc<str>);

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

/// The line, when its level is on. A macro: the level of an event is part of where it is logged.
macro_rules! write_line {
    ($level:ident, $line:expr, $message:literal) => {
        if tracing::enabled!(target: LOG_TARGET, tracing::Level::$level) {
            let line: Line<'_> = $line;
            tracing::event!(
                target: LOG_TARGET,
                tracing::Level::$level,
                method = line.method,
                route = line.route,
                status = line.status,
                duration_us = line.duration_us,
                request_id = line.request_id,
                trace_id = line.trace_id,
                subject = line.subject,
                code = line.code,
                error = line.error,
                $message
            );
        }
    };
}

/// What the log line and the answer need to know of the request, kept while a handler owns it.
pub(super) struct Seen {
    pub(super) id: RequestId,
    method: Method,
    pub(super) path: Option<MatchedPath>,
    pub(super) started: Instant,
    trace: Option<TraceParent>,
    span: Option<RequestSpan>,
}

impl Seen {
    pub(super) fn of(request: &Request) -> Self {
        Self {
            id: RequestId::accept_or_generate(request.headers()),
            method: request.method().clone(),
            path: request.extensions().get::<MatchedPath>().cloned(),
            started: Instant::now(),
            trace: TraceParent::of(request.headers()),
            span: None,
        }
    }

    /// Where traces are wanted, what is done for the request comes under a span of its own from here on.
    pub(super) fn begin_trace(&mut self, request: &mut Request) {
        let Some(traces) = traces::wanted().filter(|_| !self.is_probe()) else {
            return;
        };
        let parent = self.trace.as_ref().map(TraceParent::as_str);
        let span = traces.begin_request(&self.method, self.route(), parent);
        self.trace = TraceParent::put(request.headers_mut(), &span.traceparent());
        self.span = Some(span);
    }

    /// Counts the answer, and tells of it.
    pub(super) fn answered(
        &mut self,
        response: &Response,
        outages: &Outages,
        metrics: Option<&RequestMetrics>,
    ) {
        let took = self.started.elapsed();
        let problem = response.extensions().get::<Problem>();
        if let Some(metrics) = metrics {
            metrics.count(Answered {
                method: &self.method,
                path: self.path.as_ref().map(MatchedPath::as_str),
                status: response.status(),
                code: problem.map(Problem::kind),
                took,
            });
        }
        if let Some(span) = self.span.take() {
            span.answered(response.status().as_u16(), problem.map(Problem::code));
        }
        self.log(response, problem, took, outages);
    }

    /// A 503 is a warning: the service says so by design, and who found the dependency away has logged it. The first of
    /// an outage is logged, and its end; those between are lines at `debug` only.
    fn log(
        &self,
        response: &Response,
        problem: Option<&Problem>,
        took: Duration,
        outages: &Outages,
    ) {
        let status = response.status();
        // Nothing is away: the answer is how far history is.
        let is_behind = problem.is_some_and(|problem| problem.kind() == Code::HistoryBehind);
        if is_at_work(status) || is_behind {
            outages.answered(self.route());
        }
        let is_unavailable = status == StatusCode::SERVICE_UNAVAILABLE && !is_behind;
        let line = || self.line(response, problem, took);
        // What is asked for and not done here (501) is no failure.
        let is_declined = status == StatusCode::NOT_IMPLEMENTED;
        if status.is_server_error() && !is_unavailable && !is_declined && !is_behind {
            write_line!(ERROR, line(), "request failed");
        } else if is_unavailable && self.is_news(problem, outages) {
            write_line!(WARN, line(), "request unavailable");
        } else if is_unavailable || self.is_probe() {
            write_line!(DEBUG, line(), "request");
        } else {
            write_line!(INFO, line(), "request");
        }
    }

    fn is_news(&self, problem: Option<&Problem>, outages: &Outages) -> bool {
        let Some(problem) = problem else {
            // A health report, which says itself that something is wrong, each time it is asked.
            return false;
        };
        let error = problem.cause().map(|cause| chain(cause.as_ref()));
        outages.begins(self.route(), problem.code(), error.as_deref())
    }

    fn is_probe(&self) -> bool {
        PROBES.contains(&self.route())
    }

    fn route(&self) -> &str {
        self.path.as_ref().map_or("(none)", MatchedPath::as_str)
    }

    fn line<'a>(
        &'a self,
        response: &'a Response,
        problem: Option<&'a Problem>,
        took: Duration,
    ) -> Line<'a> {
        let subject = response.extensions().get::<Subject>();
        Line {
            method: self.method.as_str(),
            route: self.route(),
            status: response.status().as_u16(),
            duration_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            request_id: self.id.as_str(),
            trace_id: self.trace.as_ref().map(TraceParent::trace_id),
            subject: subject.map(|subject| &*subject.0),
            code: problem.map(Problem::code),
            error: problem
                .and_then(Problem::cause)
                .map(|cause| chain(cause.as_ref())),
        }
    }
}

struct Line<'a> {
    method: &'a str,
    route: &'a str,
    status: u16,
    duration_us: u64,
    request_id: &'a str,
    trace_id: Option<&'a str>,
    subject: Option<&'a str>,
    code: Option<&'a str>,
    error: Option<String>,
}
