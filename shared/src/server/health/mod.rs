//! What the process says about itself: alive, ready, and why not.
//!
//! Long-lived parts report through a [`Probe`] as things happen; what can only be known by asking is a check, asked for
//! each report. Liveness looks at nothing: an outage of a dependency must not restart the process. Readiness says
//! `down` only for what the process cannot work without; a part that can wait reports `degraded`.
//!
//! Reasons are public to all who reach the port: they name what is wrong, never an address or a credential.

mod probe;
mod report;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fmt::Display,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse};
use futures::future::join_all;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use self::probe::locked;
pub use self::{
    probe::Probe,
    report::{Component, Report, Status},
};

use super::{
    auth::{Access, Guard},
    http::Routes,
    openapi::Operation,
};

/// How long a check may take before it counts as failed: an orchestrator's probe gives up soon after.
pub const CHECK_TIMEOUT: Duration = Duration::from_secs(1);
const ASK_EVERY: Duration = Duration::from_secs(5);

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
    /// What it said when it was asked last.
    last: Arc<Mutex<Component>>,
}

impl Health {
    pub fn new() -> Self {
        Self::default()
    }

    /// A part that reports for itself. Until its first report it is down (`starting`), so a process is not ready before
    /// all its parts are.
    pub fn component(&self, name: &'static str) -> Probe {
        let component = Arc::new(Mutex::new(Component::starting()));
        self.0
            .components
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name, Arc::clone(&component));
        Probe(component)
    }

    /// A part that is asked for each report, for at most [`CHECK_TIMEOUT`]; its error is public.
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
        self.0
            .checks
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Check {
                name,
                run: Arc::new(run),
                last: Arc::new(Mutex::new(Component::starting())),
            });
    }

    /// Says not ready from now on: the process is about to stop, and should get no more work.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    /// Everything known at this moment. Runs the checks, beside each other.
    pub async fn report(&self) -> Report {
        let mut components = self.reported();
        let checks = self.checks();
        components.extend(join_all(checks.iter().map(Check::ask)).await);
        Report::of(components, self.is_draining())
    }

    /// The same without asking: checks as they were when they were asked last.
    pub fn last_report(&self) -> Report {
        let mut components = self.reported();
        let checks = self.checks();
        components.extend(checks.iter().map(Check::last));
        Report::of(components, self.is_draining())
    }

    /// Asks from time to time, so that [`Self::last_report`] is not old where no probe asks.
    pub async fn keep_asking(self, stop: CancellationToken) {
        let asking = async {
            loop {
                drop(self.report().await);
                tokio::time::sleep(ASK_EVERY).await;
            }
        };
        // May be cut anywhere.
        let _: Option<()> = stop.run_until_cancelled(asking).await;
    }

    fn reported(&self) -> BTreeMap<&'static str, Component> {
        let components = self.0.components.read();
        let components = components.unwrap_or_else(PoisonError::into_inner);
        let reported = components.iter();
        reported
            .map(|(name, component)| (*name, locked(component).clone()))
            .collect()
    }

    fn checks(&self) -> Vec<Check> {
        let checks = self.0.checks.read();
        checks.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Relaxed)
    }

    /// `/livez`, and one document under `/readyz` and `/health`.
    ///
    /// They refuse query parameters, as every route does: probes ask for the path they were given and add none.
    pub fn routes() -> Routes<Self> {
        Routes::new()
            .get(
                Access::Open,
                "/livez",
                Operation::new("getLivez", "Whether the process runs")
                    .answers::<Alive>(200, "It does."),
                async || Json(Alive { status: Status::Ok }),
            )
            .get(
                Access::Open,
                "/readyz",
                reporting("getReadyz", "Whether to send requests here"),
                ready,
            )
            .get(
                Access::Open,
                "/health",
                reporting(
                    "getHealth",
                    "Whether to send requests here, under another name",
                ),
                ready,
            )
    }

    /// [`Self::routes`] of this health.
    pub fn router(&self) -> Router {
        let routes = Self::routes().with_state(self);
        routes.into_router(&Guard::open())
    }
}

fn reporting(id: &'static str, summary: &'static str) -> Operation {
    Operation::new(id, summary)
        .answers::<Report>(200, "`ok` or `degraded`.")
        .answers::<Report>(503, "`down` or `draining`.")
}

async fn ready(State(health): State<Health>) -> impl IntoResponse {
    let report = health.report().await;
    let status = if report.is_ready() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(report))
}

#[derive(Serialize, schemars::JsonSchema)]
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
        locked(&self.last).clone_from(&component);
        (self.name, component)
    }

    fn last(&self) -> (&'static str, Component) {
        (self.name, locked(&self.last).clone())
    }
}
