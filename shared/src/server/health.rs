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

use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse};
use futures::future::join_all;
use serde::Serialize;
use serde_json::Number;

use super::http::Routes;

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
        self.0
            .components
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name, Arc::clone(&component));
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
        self.0
            .checks
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Check {
                name,
                run: Arc::new(run),
            });
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
        let checks = self
            .0
            .checks
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        components.extend(join_all(checks.iter().map(Check::ask)).await);
        Report::of(components, self.0.draining.load(Ordering::Relaxed))
    }

    /// `/livez`, and one document under `/readyz` and `/health`.
    ///
    /// Query parameters are not looked at: who asks may be a probe that adds one against caches, and a refusal would say
    /// that the process is not well.
    pub fn routes() -> Routes<Self> {
        Routes::new()
            .get_with_query("/livez", async || Json(Alive { status: Status::Ok }))
            .get_with_query("/readyz", ready)
            .get_with_query("/health", ready)
    }

    /// [`Self::routes`] of this health.
    pub fn router(&self) -> Router {
        Self::routes().with_state(self.clone()).into_router()
    }
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
        Self {
            status: Status::Ok,
            reason: None,
            details: BTreeMap::new(),
        }
    }

    fn down(reason: impl Into<String>) -> Self {
        Self {
            status: Status::Down,
            reason: Some(reason.into()),
            details: BTreeMap::new(),
        }
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
        let any = |status| {
            components
                .values()
                .any(|component| component.status == status)
        };
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
            .filter_map(|(name, component)| {
                component
                    .reason
                    .as_ref()
                    .map(|reason| format!("{name}: {reason}"))
            })
            .collect();
        Self {
            status,
            reasons,
            components,
        }
    }

    pub const fn is_ready(&self) -> bool {
        matches!(self.status, Status::Ok | Status::Degraded)
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, future::pending};

    use axum::{body::Body, http::Request};
    use serde_json::{Value, json};
    use tower::ServiceExt;

    use super::*;

    async fn asked(health: &Health, path: &str) -> (u16, Value) {
        let response = health
            .router()
            .oneshot(Request::get(path).body(Body::empty()).unwrap())
            .await
            .unwrap();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX)
            .await
            .unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn a_process_is_not_ready_before_all_its_parts_are() {
        let health = Health::new();
        let kafka = health.component("kafka");
        assert_eq!(asked(&health, "/readyz").await.0, 503);
        kafka.ok();
        assert_eq!(
            asked(&health, "/readyz").await,
            (
                200,
                json!({"status": "ok", "components": {"kafka": {"status": "ok"}}})
            )
        );
    }

    #[tokio::test]
    async fn a_degraded_part_leaves_the_process_ready_and_says_why() {
        let health = Health::new();
        let outbox = health.component("outbox");
        outbox.degraded("Kafka does not answer");
        outbox.detail("pending", 12);
        let expected = json!({
            "status": "degraded",
            "reasons": ["outbox: Kafka does not answer"],
            "components": {"outbox": {"status": "degraded", "reason": "Kafka does not answer", "pending": 12}},
        });
        assert_eq!(asked(&health, "/readyz").await, (200, expected.clone()));
        assert_eq!(asked(&health, "/health").await, (200, expected));
    }

    #[tokio::test]
    async fn one_part_down_is_enough_and_recovery_is_seen() {
        let health = Health::new();
        let (one, two) = (health.component("one"), health.component("two"));
        one.ok();
        two.down("lost");
        let (status, report) = asked(&health, "/readyz").await;
        assert_eq!(
            (status, &report["status"], &report["reasons"]),
            (503, &json!("down"), &json!(["two: lost"]))
        );
        two.ok();
        assert_eq!(asked(&health, "/readyz").await.0, 200);
    }

    #[tokio::test]
    async fn liveness_looks_at_nothing() {
        let health = Health::new();
        health.component("postgres").down("away");
        health.drain();
        assert_eq!(
            asked(&health, "/livez").await,
            (200, json!({"status": "ok"}))
        );
    }

    #[tokio::test]
    async fn draining_outranks_everything() {
        let health = Health::new();
        health.component("postgres").down("away");
        health.drain();
        let (status, report) = asked(&health, "/readyz").await;
        assert_eq!((status, &report["status"]), (503, &json!("draining")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_is_asked_each_time_and_not_waited_for_long() {
        let health = Health::new();
        let failing = Arc::new(AtomicBool::new(false));
        let switch = Arc::clone(&failing);
        health.check("postgres", move || {
            let failing = switch.load(Ordering::Relaxed);
            async move { if failing { Err("refused") } else { Ok(()) } }
        });
        assert_eq!(asked(&health, "/readyz").await.0, 200);
        failing.store(true, Ordering::Relaxed);
        let (status, report) = asked(&health, "/readyz").await;
        assert_eq!(
            (status, &report["reasons"]),
            (503, &json!(["postgres: refused"]))
        );
        failing.store(false, Ordering::Relaxed);
        health.check("stuck", pending::<Result<(), Infallible>>);
        let (status, report) = asked(&health, "/readyz").await;
        assert_eq!(
            (status, &report["reasons"]),
            (503, &json!(["stuck: no answer within 1000 ms"]))
        );
    }
}
