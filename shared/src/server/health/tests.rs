//! What the health routes answer while parts come, fail, hang and drain.

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
