//! What the process says about itself: alive, ready, and why not.
//!
//! Long-lived parts report through a [`Probe`] as things happen; what can only be known by asking is a check, asked when
//! somebody asks us. Liveness looks at nothing: an outage of a dependency must not restart the process. Readiness says
//! `down` only for what the process cannot work without; a part that can wait reports `degraded`.
//!
//! Reasons are read by whoever can reach the port: they name what is wrong, never an address or a credential.

use std::{
    collections::BTreeMap,
    fmt::Display,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use futures::future::join_all;
use serde::Serialize;
use serde_json::Number;

/// How long a check may take before it counts as failed: an orchestrator's probe gives up soon after.
pub const CHECK_TIMEOUT: Duration = Duration::from_secs(1);

/// The health of one process. Clones share it.
#[derive(Clone, Default)]
pub struct Health(Arc<Inner>);

#[derive(Default)]
struct Inner {
    draining: AtomicBool,
    components: RwLock<BTreeMap<&'static str, Arc<Mutex<Component>>>>,
    checks: RwLock<Vec<Check>>,
}

type CheckResult = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

#[derive(Clone)]
struct Check {
    name: &'static str,
    run: Arc<dyn Fn() -> CheckResult + Send + Sync>,
}

impl Health {
    pub fn new() -> Self {
        Self::default()
    }

    /// A part that reports for itself. Until its first report it is down (`starting`), so a process is not ready before
    /// all its parts are.
    pub fn component(&self, name: &'static str) -> Probe {
        let component = Arc::new(Mutex::new(Component::starting()));
        self.0.components.write().unwrap_or_else(PoisonError::into_inner).insert(name, Arc::clone(&component));
        Probe(component)
    }

    /// A part that is asked each time somebody asks us, for at most [`CHECK_TIMEOUT`]; its error is public.
    pub fn check<C, F, E>(&self, name: &'static str, check: C)
    where
        C: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Display,
    {
        let run = move || -> CheckResult {
            let answer = check();
            Box::pin(async move { answer.await.map_err(|error| error.to_string()) })
        };
        self.0.checks.write().unwrap_or_else(PoisonError::into_inner).push(Check { name, run: Arc::new(run) });
    }

    /// Says not ready from now on: the process is about to stop, and nobody should send it more work.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    /// Everything known at this moment. Runs the checks, beside each other.
    pub async fn report(&self) -> Report {
        let mut components: BTreeMap<&'static str, Component> = self
            .0
            .components
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .map(|(name, component)| (*name, locked(component).clone()))
            .collect();
        let checks = self.0.checks.read().unwrap_or_else(PoisonError::into_inner).clone();
        components.extend(join_all(checks.iter().map(Check::ask)).await);
        Report::of(components, self.0.draining.load(Ordering::Relaxed))
    }

    /// `/livez`, and one document under `/readyz` and `/health`.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/livez", get(|| async { Json(Alive { status: Status::Ok }) }))
            .route("/readyz", get(ready))
            .route("/health", get(ready))
            .with_state(self.clone())
    }
}

async fn ready(State(health): State<Health>) -> impl IntoResponse {
    let report = health.report().await;
    let status = if report.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report))
}

#[derive(Serialize)]
struct Alive {
    status: Status,
}

impl Check {
    async fn ask(&self) -> (&'static str, Component) {
        let component = match tokio::time::timeout(CHECK_TIMEOUT, (self.run)()).await {
            Ok(Ok(())) => Component::ok(),
            Ok(Err(reason)) => Component::down(reason),
            Err(_) => Component::down(format!("no answer within {} ms", CHECK_TIMEOUT.as_millis())),
        };
        (self.name, component)
    }
}

/// How one part reports about itself. Clones report for the same part.
#[derive(Clone)]
pub struct Probe(Arc<Mutex<Component>>);

impl Probe {
    pub fn ok(&self) {
        self.set(Status::Ok, None);
    }

    /// Works, but not as it should: the process stays ready.
    pub fn degraded(&self, reason: impl Into<String>) {
        self.set(Status::Degraded, Some(reason.into()));
    }

    /// Does not work, and the process cannot work without it.
    pub fn down(&self, reason: impl Into<String>) {
        self.set(Status::Down, Some(reason.into()));
    }

    /// A number that helps to judge the state, e.g. `outbox_pending`. The name carries the unit.
    pub fn detail(&self, name: &'static str, value: impl Into<Number>) {
        locked(&self.0).details.insert(name, value.into());
    }

    fn set(&self, status: Status, reason: Option<String>) {
        let mut component = locked(&self.0);
        component.status = status;
        component.reason = reason;
    }
}

/// A report is whole after every statement, so a panic elsewhere does not spoil it.
fn locked(component: &Mutex<Component>) -> MutexGuard<'_, Component> {
    component.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Ok,
    Degraded,
    Down,
    /// Asked to stop; only the process as a whole drains.
    Draining,
}

/// One part of the process.
#[derive(Clone, Debug, Serialize)]
pub struct Component {
    pub status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(flatten)]
    pub details: BTreeMap<&'static str, Number>,
}

impl Component {
    const fn ok() -> Self {
        Self { status: Status::Ok, reason: None, details: BTreeMap::new() }
    }

    fn down(reason: impl Into<String>) -> Self {
        Self { status: Status::Down, reason: Some(reason.into()), details: BTreeMap::new() }
    }

    fn starting() -> Self {
        Self::down("starting")
    }
}

/// The document under `/readyz`.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub status: Status,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    pub components: BTreeMap<&'static str, Component>,
}

impl Report {
    fn of(components: BTreeMap<&'static str, Component>, draining: bool) -> Self {
        let any = |status| components.values().any(|component| component.status == status);
        let status = if draining {
            Status::Draining
        } else if any(Status::Down) {
            Status::Down
        } else if any(Status::Degraded) {
            Status::Degraded
        } else {
            Status::Ok
        };
        let reasons = components
            .iter()
            .filter_map(|(name, component)| component.reason.as_ref().map(|reason| format!("{name}: {reason}")))
            .collect();
        Self { status, reasons, components }
    }

    pub const fn is_ready(&self) -> bool {
        matches!(self.status, Status::Ok | Status::Degraded)
    }
}
