//! A person's word that comes while history asks the ledger for that wallet.

use std::{future::pending, sync::Arc};

use axum::{
    Json, Router,
    http::{StatusCode, Uri, header::CONTENT_TYPE},
};
use serde_json::{Value, json};
use shared::{event::WalletEvent, testing::eventually};
use tokio::{net::TcpListener, sync::watch};

use crate::{
    chain::Chain,
    harness::{Instance, SOON, World, post},
};

/// A ledger that knows no wallet, and says so of one only while it is let speak.
struct Ledger {
    speaks: watch::Sender<bool>,
    asked: watch::Sender<u64>,
}

impl Ledger {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            speaks: watch::Sender::new(true),
            asked: watch::Sender::new(0),
        })
    }

    async fn start(self: &Arc<Self>) -> reqwest::Url {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let this = Arc::clone(self);
        let router = Router::new().fallback(async move |uri: Uri| {
            let json = [(CONTENT_TYPE, "application/json")];
            if !uri.path().starts_with("/wallets/") {
                return (StatusCode::OK, json, r#"{"items":[],"next_cursor":null}"#);
            }
            this.asked.send_modify(|asked| *asked += 1);
            if this
                .speaks
                .subscribe()
                .wait_for(|speaks| *speaks)
                .await
                .is_err()
            {
                pending::<()>().await;
            }
            (StatusCode::NOT_FOUND, json, "{}")
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        url.parse().unwrap()
    }

    async fn until_asked_again(&self, before: u64) {
        eventually("the ledger is asked", SOON, async || {
            (*self.asked.borrow() > before).then_some(())
        })
        .await;
    }
}

async fn ordered(instance: &Instance, path: &str, body: Value) -> i64 {
    let (status, answer) = post(instance.address, path, Some(&body)).await.unwrap();
    assert_eq!(status, 202, "{path}: {answer}");
    answer["rebuild"]["id"].as_i64().unwrap()
}

async fn until_over(instance: &Instance, order: i64) -> Value {
    eventually("the order is over", SOON, async || {
        let order = instance.ok(&format!("/admin/rebuilds/{order}")).await;
        (order["status"] != "running").then_some(order)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_that_comes_while_the_ledger_is_asked_is_followed_and_not_told_to_have_failed() {
    let (world, ledger) = (World::with_partitions(1).await, Ledger::new());
    let mut config = world.config();
    config.refill.ledger_url = Some(ledger.start().await);
    let instance = Instance::start(config).await;
    let journal = Chain::new("alice").journal(3);
    world.publish(&journal).await;
    instance.until_applied(&journal[2]).await;
    let wallet = journal[0].wallet_id;

    // Without a word nothing is taken away, and the order says so.
    let look = json!({"wallet_id": wallet});
    let first = ordered(&instance, "/admin/rebuild", look.clone()).await;
    let over = until_over(&instance, first).await;
    assert_eq!(
        (&over["status"], &over["stuck"]),
        (&json!("failed"), &json!(1)),
        "{over}"
    );

    // The word comes between the question and the answer.
    let asked = *ledger.asked.borrow();
    ledger.speaks.send_replace(false);
    let second = ordered(&instance, "/admin/rebuild", look).await;
    ledger.until_asked_again(asked).await;
    let word = json!({"ledger_wins": true, "reason": "restored", "wallet_id": wallet});
    let third = ordered(&instance, "/admin/repair", word).await;
    ledger.speaks.send_replace(true);
    for order in [second, third] {
        let over = until_over(&instance, order).await;
        let came = ["status", "stuck", "mended", "events_set_aside"].map(|name| over[name].clone());
        assert_eq!(
            came,
            [json!("finished"), json!(0), json!(1), json!(3)],
            "{over}"
        );
    }
    assert_eq!(world.count("events").await, 0);
    assert_eq!(world.count("set_aside_events").await, 3);
    instance.stop().await;
}

/// A ledger with one wallet, whose pages end after two events.
async fn brief_ledger(journal: Vec<WalletEvent>) -> reqwest::Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let router = Router::new().fallback(async move |uri: Uri| {
        let last = journal.last().unwrap();
        let (version, hash) = (last.sequence, last.hash);
        if !uri.path().starts_with("/wallets/") {
            let head = json!({"wallet_id": last.wallet_id, "version": version, "hash": hash});
            return Json(json!({"items": [head], "next_cursor": null}));
        }
        let query = uri.query().unwrap().split('&');
        let mut above = query.filter_map(|pair| pair.strip_prefix("after_sequence="));
        let above: i64 = above.next().unwrap().parse().unwrap();
        let events = journal.iter().filter(|event| event.sequence.get() > above);
        let json = |event: &WalletEvent| serde_json::from_slice(&event.to_json()).unwrap();
        let items = Vec::from_iter(events.take(2).map(json));
        let next_cursor = items.last().map(|_: &Value| "there may be more");
        Json(json!({"version": version, "items": items, "next_cursor": next_cursor}))
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    url.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ledger_and_history_have_in_common_is_found_also_where_pages_are_short() {
    let world = World::with_partitions(1).await;
    let mut common = Chain::new("alice");
    let mut here = common.journal(7);
    let mut there = here.clone();
    let mut restored = common.clone();
    here.extend([common.funded(1), common.funded(2)]);
    there.extend([restored.funded(3), restored.funded(4), restored.funded(5)]);
    let mut config = world.config();
    config.refill.ledger_url = Some(brief_ledger(there.clone()).await);
    let instance = Instance::start(config).await;
    world.publish(&here).await;
    instance.until_applied(&here[8]).await;
    let wallet = common.wallet();
    let word = json!({"ledger_wins": true, "reason": "restored", "wallet_id": wallet});
    let order = ordered(&instance, "/admin/repair", word).await;
    let over = until_over(&instance, order).await;
    let came = ["status", "stuck", "events_set_aside"].map(|name| over[name].clone());
    assert_eq!(came, [json!("finished"), json!(0), json!(2)], "{over}");
    world.assert_stored(&there).await;
    instance.stop().await;
}
