//! `GET /wallets/{id}/refusals`: what was asked of a wallet and refused, by whom, when, and why.

use std::time::Duration;

use serde_json::{Value, json};
use shared::testing::tokens;
use wallet_service::ledger::UserRights;

use super::authorization::made;
use crate::app::{Call, TestApp, TestWallet};

impl TestApp {
    async fn refusals(&self, wallet: &TestWallet, query: &str) -> Value {
        let path = wallet.path(&format!("/refusals{query}"));
        self.get(&path).await.good(200)
    }
}

#[tokio::test]
async fn a_refusal_says_what_was_asked_by_whom_when_and_why_not() {
    let app = TestApp::start().await;
    let (alice, bob) = (
        app.funded_wallet("alice", "5.00").await,
        app.create_wallet("bob").await,
    );
    let body = json!({"to_wallet_id": bob.0, "amount": "7.00", "reference": "order-7", "metadata": {"shop": "north"}});
    let call = Call::post(&alice.path("/transfer"), body)
        .header("x-request-id", "declined-1")
        .header("if-match", "\"2\"");
    let told = app.refused(call).await.problem(422, "insufficient_funds");
    let refused = app.refusals(&alice, "").await["items"][0].clone();
    assert_eq!(refused["kind"], "transfer");
    assert_eq!(refused["code"], "insufficient_funds");
    assert_eq!(refused["wallet_id"], json!(alice.0));
    assert_eq!(refused["actor"], "anonymous");
    assert_eq!(refused["correlation_id"], "declined-1");
    assert!(refused["refused_at"].is_string() && refused["id"].is_string());
    assert_eq!(
        refused["asked"],
        json!({
            "to_wallet_id": bob.0, "amount": "7", "reference": "order-7", "metadata": {"shop": "north"},
            "expected_version": 2,
        })
    );
    assert_eq!(refused["problem"], told);
    assert_eq!(app.refusals(&bob, "").await["items"], json!([]));
}

#[tokio::test]
async fn every_command_on_a_wallet_is_told_and_what_was_never_one_is_not() {
    let app = TestApp::start().await;
    let alice = app.funded_wallet("alice", "5.00").await;
    let placed = app
        .post(&alice.path("/holds"), json!({"amount": "1.00"}))
        .await
        .good(201);
    let hold = format!("/holds/{}", placed["hold"]["id"].as_str().unwrap());
    let patch =
        Call::post(&alice.path(""), json!({"label": "x"})).method(axum::http::Method::PATCH);
    for call in [
        Call::post(&alice.path("/withdraw"), json!({"amount_minor": 999_999})),
        Call::post(
            &alice.path("/fund"),
            json!({"amount": "1.00", "currency": "EUR"}),
        ),
        Call::post(
            &alice.path("/transfer"),
            json!({"amount": "1.00", "to_wallet_id": alice.0}),
        ),
        Call::post(&alice.path("/holds"), json!({"amount": "99.00"})),
        Call::post(&format!("{hold}/capture"), json!({"amount": "2.00"})),
        Call::post(&alice.path("/unfreeze"), json!({"reason": "found"})),
        Call::post(&alice.path("/close"), json!({"reason": "left"})),
        patch.header("if-match", "\"99\""),
    ] {
        app.refused(call).await;
    }
    // Malformed, of no wallet, and one that was carried out.
    app.refused(Call::post(&alice.path("/fund"), json!({"amount": "x"})))
        .await;
    app.refused(Call::post(
        "/wallets/01990000-0000-7000-8000-000000000001/fund",
        json!({"amount": "1.00"}),
    ))
    .await;
    app.fund(&alice, "1.00").await.good(201);
    let items = app.refusals(&alice, "?order=asc").await["items"].clone();
    let told: Vec<[&str; 2]> = items
        .as_array()
        .unwrap()
        .iter()
        .map(|item| ["kind", "code"].map(|member| item[member].as_str().unwrap()))
        .collect();
    let mut told_sorted = told.clone();
    told_sorted.sort_unstable();
    assert_eq!(
        told_sorted,
        [
            ["capture_hold", "insufficient_hold"],
            ["close", "wallet_not_empty"],
            ["fund", "currency_mismatch"],
            ["place_hold", "insufficient_funds"],
            ["transfer", "same_wallet"],
            ["unfreeze", "not_frozen"],
            ["update_wallet", "version_mismatch"],
            ["withdraw", "insufficient_funds"],
        ]
    );
    assert_eq!(app.count("select count(*) from refusals").await, 8);
}

#[tokio::test]
async fn a_refusal_is_told_once_however_often_its_key_is_sent_and_pages_hold_each_once() {
    let app = TestApp::start().await;
    let alice = app.create_wallet("alice").await;
    for number in 0..7 {
        let withdraw = || Call::post(&alice.path("/withdraw"), json!({"amount": "1.00"}));
        for _ in 0..3 {
            app.refused(withdraw().key(&number.to_string())).await;
        }
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = app.refusals(&alice, &format!("?limit=3{cursor}")).await;
        let items = page["items"].as_array().unwrap().clone();
        assert!(items.len() <= 3);
        seen.extend(
            items
                .iter()
                .map(|item| item["id"].as_str().unwrap().to_owned()),
        );
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 7);
    assert!(
        seen.is_sorted_by(|a, b| a > b),
        "newest first, each once: {seen:?}"
    );
    let wrong = app
        .get(&alice.path(&format!("/refusals?order=asc{cursor}")))
        .await;
    wrong.problem_of(400, "invalid_cursor", "cursor");
}

#[tokio::test]
async fn nothing_is_kept_where_refusals_are_off_and_a_refusal_is_answered_all_the_same() {
    let app = TestApp::start().await;
    let app = app.restarted_with(|settings| settings.ledger.refusals_kept_for = Duration::ZERO);
    let alice = app.create_wallet("alice").await;
    let withdraw = Call::post(&alice.path("/withdraw"), json!({"amount": "1.00"}));
    app.refused(withdraw.clone())
        .await
        .problem(422, "insufficient_funds");
    app.refused(withdraw.key("k"))
        .await
        .problem(422, "insufficient_funds");
    assert_eq!(app.refusals(&alice, "").await["items"], json!([]));
}

#[tokio::test]
async fn what_a_caller_wrote_is_kept_to_a_size() {
    let app = TestApp::start().await;
    let alice = app.create_wallet("alice").await;
    let metadata: serde_json::Map<_, _> = (0..20)
        .map(|n| (n.to_string(), json!("ü".repeat(512))))
        .collect();
    let body = json!({
        "amount": "1.00", "reference": "r".repeat(128), "description": "ü".repeat(512), "metadata": metadata,
    });
    app.refused(Call::post(&alice.path("/withdraw"), body))
        .await;
    let asked = app.refusals(&alice, "").await["items"][0]["asked"].clone();
    assert_eq!(asked.get("metadata"), None);
    assert_eq!(asked["reference"], json!("r".repeat(128)));
    let longest = "select max(octet_length(asked)) from refusals";
    assert!(app.count_i32(longest).await <= 2_048);
}

/// A batch keeps no more than so many, so that a flood of refusals takes nothing from what is carried out.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_refusals_is_answered_and_not_all_of_it_is_kept() {
    let app = TestApp::start().await;
    let app = app.restarted_with(|settings| settings.ledger.batch_max = 512);
    let alice = app.create_wallet("alice").await;
    let commands: Vec<Value> = (0..500)
        .map(|_| json!({"kind": "withdraw", "wallet_id": alice.0, "amount": "1.00"}))
        .collect();
    let results = app
        .post("/transactions/batch", json!({"commands": commands}))
        .await
        .good(200);
    for result in results["results"].as_array().unwrap() {
        assert_eq!(result["problem"]["code"], "insufficient_funds");
    }
    let kept = app.count("select count(*) from refusals").await;
    assert!((64..500).contains(&kept), "{kept}");
}

#[tokio::test]
async fn a_user_reads_what_was_refused_to_its_wallet_whoever_asked_and_nothing_of_another_ones_freeze()
 {
    let app = TestApp::guarded(UserRights::USUAL).await;
    let service = tokens::service("shop", json!("*"));
    let (alice, _) = made(&app, &service, "alice", "5.00").await;
    let (bob, _) = made(&app, &service, "bob", "5.00").await;
    let freeze = json!({"reason": "a secret of bob's", "until": "2099-01-01T00:00:00Z"});
    app.call(Call::post(&bob.path("/freeze"), freeze).token(&service))
        .await
        .good(200);
    let body = json!({"amount": "1.00", "to_wallet_id": bob.0});
    let told = app
        .call(Call::post(&alice.path("/transfer"), body).token(&service))
        .await
        .problem(422, "wallet_frozen");
    assert_eq!(told["reason"], "a secret of bob's");
    let own = tokens::user_with("alice", "wallets:read");
    let page = app
        .call(Call::get(&alice.path("/refusals")).token(&own))
        .await
        .good(200);
    let refused = &page["items"][0];
    assert_eq!(
        (&refused["actor"], &refused["subject"]),
        (&json!("shop"), &json!("alice"))
    );
    assert_eq!(refused["problem"]["code"], "wallet_frozen");
    assert_eq!(refused["problem"].get("reason"), None, "{refused}");
    assert_eq!(refused["problem"].get("until"), None, "{refused}");
    let page = app
        .call(Call::get(&alice.path("/refusals")).token(&service))
        .await
        .good(200);
    assert_eq!(page["items"][0]["problem"]["reason"], "a secret of bob's");
    let other = tokens::user_with("bob", "wallets:read");
    app.call(Call::get(&alice.path("/refusals")).token(&other))
        .await
        .problem(404, "wallet_not_found");
}
