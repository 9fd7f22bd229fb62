//! Requests, by route, answer and time. A request whose caller went away before the answer is not among them.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::http::{Method, StatusCode};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};
use strum::IntoEnumIterator;

use super::{Definition, Histogram, Metrics};
use crate::{problem::Code, server::http::Route};

const ANSWERED: Definition = Definition::counter(
    "http_requests_total",
    "requests",
    "Requests that were answered, with the code of the problem where the answer is one",
)
.by(&["method", "route", "status", "code"]);

const DURATION: Definition = Definition::histogram(
    "http_request_duration_seconds",
    "seconds",
    "From the end of a request's headers to the head of its answer",
)
.by(&["method", "route"]);

const CONNECTIONS: Definition = Definition::gauge(
    "http_connections",
    "connections",
    "Connections of callers that are open",
);

const CONNECTIONS_MAX: Definition = Definition::gauge(
    "http_max_connections",
    "connections",
    "How many connections of callers may be open; further ones wait",
);

/// Every number about requests.
pub const REQUESTS: &[Definition] = &[ANSWERED, DURATION, CONNECTIONS, CONNECTIONS_MAX];

/// Tells how many connections there are.
pub(in crate::server) fn tell_connections(
    metrics: &Metrics,
    used: impl Fn() -> usize + Send + Sync + 'static,
    max: usize,
) {
    metrics.read_count(CONNECTIONS, move || Some(used()));
    metrics.read_count(CONNECTIONS_MAX, move || Some(max));
}

/// A path that is none of the service, and a method that the path has not.
const NO_ROUTE: (&str, &str) = ("other", "(none)");

/// Statuses of answers that are no problems. Others are looked up.
const PLAIN: [StatusCode; 6] = [
    StatusCode::CREATED,
    StatusCode::OK,
    StatusCode::ACCEPTED,
    StatusCode::NO_CONTENT,
    StatusCode::NOT_MODIFIED,
    StatusCode::SERVICE_UNAVAILABLE,
];

/// See the module. Clones share what was counted.
#[derive(Clone)]
pub struct RequestMetrics(Arc<Requests>);

struct Requests {
    answered: Family<Answer, Counter>,
    durations: Family<Labels, Histogram, fn() -> Histogram>,
    routes: HashMap<&'static str, Vec<(Method, OfRoute)>>,
    other: OfRoute,
}

/// What is counted of one route, with handles that are made when they are first needed.
struct OfRoute {
    labels: Labels,
    duration: Histogram,
    plain: [OnceLock<Counter>; PLAIN.len()],
    /// By [`Code`], in its order.
    problems: Box<[OnceLock<Counter>]>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Labels {
    method: &'static str,
    route: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Answer {
    method: &'static str,
    route: &'static str,
    status: u32,
    code: &'static str,
}

/// What is counted of an answer.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    pub method: &'a Method,
    /// As the router has it.
    pub path: Option<&'a str>,
    pub status: StatusCode,
    pub code: Option<Code>,
    pub took: Duration,
}

impl RequestMetrics {
    /// Of these routes; what is on none of them is counted together.
    pub fn new(routes: &[Route]) -> Self {
        let durations = Family::new_with_constructor(Histogram::of_durations as fn() -> Histogram);
        let mut by_path: HashMap<_, Vec<_>> = HashMap::new();
        for route in routes {
            let labels = Labels {
                method: method(&route.method),
                route: route.path,
            };
            let of_route = OfRoute::new(labels, &durations);
            let of_path = by_path.entry(route.path).or_default();
            of_path.push((route.method.clone(), of_route));
        }
        let (method, route) = NO_ROUTE;
        let other = OfRoute::new(Labels { method, route }, &durations);
        Self(Arc::new(Requests {
            answered: Family::default(),
            durations,
            routes: by_path,
            other,
        }))
    }

    pub fn register(&self, metrics: &Metrics) {
        metrics.add(ANSWERED, self.0.answered.clone());
        metrics.add(DURATION, self.0.durations.clone());
    }

    pub fn count(&self, answer: Answered<'_>) {
        let Answered {
            method,
            path,
            status,
            code,
            took,
        } = answer;
        let of_path = path.and_then(|path| self.0.routes.get(path));
        let of_route = of_path.and_then(|methods| {
            let found = methods.iter().find(|(of, _)| of == method);
            found.map(|(_, of_route)| of_route)
        });
        let of_route = of_route.unwrap_or(&self.0.other);
        of_route.duration.observe(took);
        match of_route.handle(status, code) {
            Some(kept) => kept
                .get_or_init(|| self.0.counter(of_route, status, code))
                .inc(),
            None => self.0.counter(of_route, status, code).inc(),
        };
    }
}

impl fmt::Debug for RequestMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestMetrics").finish_non_exhaustive()
    }
}

impl Requests {
    fn counter(&self, of_route: &OfRoute, status: StatusCode, code: Option<Code>) -> Counter {
        let Labels { method, route } = of_route.labels;
        let answer = Answer {
            method,
            route,
            status: status.as_u16().into(),
            code: code.map_or("", Code::as_str),
        };
        self.answered.get_or_create_owned(&answer)
    }
}

impl OfRoute {
    fn new(labels: Labels, durations: &Family<Labels, Histogram, fn() -> Histogram>) -> Self {
        Self {
            duration: durations.get_or_create_owned(&labels),
            labels,
            plain: [const { OnceLock::new() }; PLAIN.len()],
            problems: Code::iter().map(|_| OnceLock::new()).collect(),
        }
    }

    fn handle(&self, status: StatusCode, code: Option<Code>) -> Option<&OnceLock<Counter>> {
        match code {
            Some(code) => self.problems.get(code as usize),
            None => {
                let at = PLAIN.iter().position(|plain| *plain == status)?;
                self.plain.get(at)
            }
        }
    }
}

/// As a label: a closed set, whatever a caller sends.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => NO_ROUTE.0,
    }
}
