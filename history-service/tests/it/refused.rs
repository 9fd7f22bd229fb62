//! A ledger that answers and does not do what it is asked: history says so until it does, and not only while it asks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    http::{StatusCode, header::CONTENT_TYPE},
};
use serde_json::Value;
use shared::testing::eventually;
use tokio::net::TcpListener;

use crate::harness::{Instance, SOON, World};

/// A place that answers everything alike: with a status, or as a ledger without wallets.
#[derive(Clone, Default)]
struct Ledger {
    /// 0 is a ledger.
    refuses_with: Arc<AtomicU16>,
    asked: Arc<AtomicUsize>,
}

impl Ledger {
    async fn start(&self) -> reqwest::Url {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let this = self.clone();
        let router = Router::new().fallback(async move || {
            this.asked.fetch_add(1, Ordering::Relaxed);
            let status = this.refuses_with.load(Ordering::Relaxed);
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
            let body = r#"{"items":[],"next_cursor":null}"#;
            (status, [(CONTENT_TYPE, "application/json")], body)
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        url.parse().unwrap()
    }
}

async fn refill(instance: &Instance) -> Value {
    let (_, mut health) = instance.get("/readyz").await;
    health["components"]["refill"].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_ledger_refuses_is_told_from_the_first_try_until_one_succeeds() {
    let (world, ledger) = (World::with_partitions(1).await, Ledger::default());
    let mut config = world.config();
    config.refill.ledger_url = Some(ledger.start().await);
    config.refill.compare_every = Duration::from_millis(20);
    let instance = Instance::start(config).await;
    for (status, reason) in [
        (401, "the token of LEDGER_TOKEN_FILE"),
        (403, "the token of LEDGER_TOKEN_FILE"),
        (404, "the ledger answers 404"),
    ] {
        ledger.refuses_with.store(status, Ordering::Relaxed);
        let is_told = async || {
            let said = refill(&instance).await;
            let is_degraded = said["status"] == "degraded";
            is_degraded && said["reason"].as_str().unwrap().contains(reason)
        };
        eventually(reason, SOON, async || is_told().await.then_some(())).await;
        let tries = ledger.asked.load(Ordering::Relaxed);
        eventually("it is asked again and again", SOON, async || {
            assert!(is_told().await, "{status}: it is still refused");
            (ledger.asked.load(Ordering::Relaxed) > tries + 1).then_some(())
        })
        .await;
        ledger.refuses_with.store(0, Ordering::Relaxed);
        eventually("it is well again", SOON, async || {
            (refill(&instance).await["status"] == "ok").then_some(())
        })
        .await;
    }
    instance.stop().await;
}
