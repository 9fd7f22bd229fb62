//! What a process tells about itself in numbers, at `GET /metrics`, in Prometheus' text format.
//!
//! Every number has a [`Definition`], which its registration takes: so the list of them is what is printed, and pages,
//! alarms and dashboards can be held against it. Nothing is asked for when the numbers are fetched: what needs the
//! database or Kafka is kept by those who look at it anyway, so the answer also comes in an outage, and at once.
//!
//! Labels are few and their values come from closed sets: never the id of a wallet or a user, a key, or a text of a caller.

mod clock;
mod components;
mod histogram;
mod pool;
mod process;
mod read;
mod requests;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use axum::{
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, prometheus_text},
    metrics::MetricType,
    registry::{Metric, Registry},
};

use self::read::Read;
pub(in crate::server) use self::requests::tell_connections;
pub use self::{
    clock::{POSTGRES_CLOCK, tell_clock},
    components::{COMPONENTS, tell_health},
    histogram::Histogram,
    pool::{POOL, tell_pool},
    process::{BuildInfo, PROCESS, tell_process},
    read::Sample,
    requests::{Answered, REQUESTS, RequestMetrics},
};
use super::{http::Routes, openapi::Operation};
use crate::access::Scope;

/// Where the numbers are.
pub const ROUTE: &str = "/metrics";

/// One number, or several that differ by labels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Definition {
    /// As it is printed: `_total` at the end of a counter, the unit before it.
    pub name: &'static str,
    pub kind: Kind,
    /// What it counts in, as the name has it: `seconds`, `bytes`, `events`. Nothing for what is 0 or 1.
    pub unit: &'static str,
    pub labels: &'static [&'static str],
    /// One sentence without its full stop.
    pub help: &'static str,
}

/// What a number may do over time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, strum::Display)]
#[strum(serialize_all = "snake_case")]
pub enum Kind {
    /// Only grows, from 0 at the start of the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How many were as large as this or smaller, for a few fixed sizes.
    Histogram,
}

impl Definition {
    pub const fn counter(name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::Counter, unit, help)
    }

    pub const fn gauge(name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::Gauge, unit, help)
    }

    pub const fn histogram(name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::Histogram, unit, help)
    }

    const fn new(name: &'static str, kind: Kind, unit: &'static str, help: &'static str) -> Self {
        Self {
            name,
            kind,
            unit,
            labels: &[],
            help,
        }
    }

    #[must_use]
    pub const fn by(self, labels: &'static [&'static str]) -> Self {
        Self { labels, ..self }
    }
}

/// What every service tells of itself.
pub const OF_EVERY_SERVICE: [&[Definition]; 4] = [PROCESS, COMPONENTS, REQUESTS, POOL];

/// The numbers of one process. Clones share them.
#[derive(Clone, Default, Debug)]
pub struct Metrics(Arc<RwLock<Registered>>);

#[derive(Default, Debug)]
struct Registered {
    registry: Registry,
    definitions: Vec<Definition>,
}

impl Metrics {
    pub fn new() -> Self {
        Self::default()
    }

    /// A number that its owner keeps. Each definition is registered once.
    pub fn add(&self, definition: Definition, metric: impl Metric) {
        let mut registered = self.0.write().unwrap_or_else(PoisonError::into_inner);
        debug_assert!(
            !registered.definitions.contains(&definition),
            "{} is registered twice",
            definition.name
        );
        registered.definitions.push(definition);
        // The library adds what ends the name of a counter.
        let name = definition.name;
        let name = name.strip_suffix("_total").unwrap_or(name);
        registered
            .registry
            .register(name, definition.help, Always(metric));
    }

    /// A number that is read when it is asked for, from what is in memory. Nothing is printed while it is not known.
    pub fn read(
        &self,
        definition: Definition,
        read: impl Fn() -> Option<f64> + Send + Sync + 'static,
    ) {
        let read = move || Vec::from_iter(read().map(|value| (Vec::new(), value)));
        self.add(definition, Read::new(definition.kind, read));
    }

    /// The same of how many there are; nothing for more than anything that is counted here.
    pub fn read_count(
        &self,
        definition: Definition,
        read: impl Fn() -> Option<usize> + Send + Sync + 'static,
    ) {
        let told = |count: usize| u32::try_from(count).ok().map(f64::from);
        self.read(definition, move || read().and_then(told));
    }

    /// The same of several that differ by labels.
    pub fn read_all(
        &self,
        definition: Definition,
        read: impl Fn() -> Vec<Sample> + Send + Sync + 'static,
    ) {
        self.add(definition, Read::new(definition.kind, read));
    }

    /// What is registered, in its order.
    pub fn definitions(&self) -> Vec<Definition> {
        let registered = self.0.read().unwrap_or_else(PoisonError::into_inner);
        registered.definitions.clone()
    }

    /// All of them, as Prometheus reads them.
    pub fn text(&self) -> String {
        let registered = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        // Writing into a text cannot fail.
        let _ = prometheus_text::encode(&mut text, &registered.registry);
        text
    }

    /// `/metrics`. Its scope grants nothing else: the token of it lies with the one that scrapes.
    pub fn routes() -> Routes<Self> {
        let operation = Operation::new("getMetrics", "Numbers for Prometheus");
        let operation = operation.answers_text(prometheus_text::CONTENT_TYPE, "All of them.");
        Routes::new().get(Scope::MetricsRead, ROUTE, operation, print)
    }
}

/// Is printed with its help and type also while it has no value, so that what there is can be seen before it happens.
#[derive(Debug)]
struct Always<M>(M);

impl<M: Metric> EncodeMetric for Always<M> {
    fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
        self.0.encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        self.0.metric_type()
    }
}

async fn print(State(metrics): State<Metrics>) -> Response {
    let media_type = [(CONTENT_TYPE, prometheus_text::CONTENT_TYPE)];
    (media_type, metrics.text()).into_response()
}

/// Whether a definition keeps the rules of names: for tests of the lists.
///
/// # Errors
/// With what is wrong.
pub fn check(definition: &Definition) -> Result<(), String> {
    let Definition {
        name,
        kind,
        unit,
        labels,
        help,
    } = *definition;
    let fault = |what: &str| Err(format!("{name}: {what}"));
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if !name.bytes().all(plain) {
        return fault("lower case, digits and _ only");
    }
    if name.ends_with("_total") != (kind == Kind::Counter) {
        return fault("counters end in _total, and nothing else does");
    }
    if !name.strip_suffix("_total").unwrap_or(name).ends_with(unit) {
        return fault("the unit ends the name");
    }
    if help.is_empty() || help.ends_with('.') {
        return fault("help is a sentence without its full stop");
    }
    if labels.iter().any(|label| !LABELS.contains(label)) {
        return fault("its labels are not among those that are allowed");
    }
    Ok(())
}

/// All labels there are. Each has few values, which no caller chooses.
const LABELS: &[&str] = &[
    "code",
    "commit",
    "component",
    "kind",
    "method",
    "outcome",
    "phase",
    "reason",
    "route",
    "service",
    "state",
    "status",
    "version",
];
