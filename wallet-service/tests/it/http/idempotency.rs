//! `Idempotency-Key`: one effect per key, and the same answer again.

use futures::future::join_all;
use serde_json::json;
use shared::testing::TestDatabase;
use wallet_service::{app::SCHEMA, http::KeyPolicy};

use crate::app::{Answer, Call, TestApp};

/// The second answer is the first one, byte for byte, and says that it is.
pub(super) fn assert_replayed(first: &Answer, again: &Answer) {
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    for name in ["location", "etag", "content-type"] {
        assert_eq!(again.header(name), first.header(name), "{name}");
    }
    assert_eq!(first.header("idempotent-replayed"), None);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
}

#[tokio::test]
async fn every_post_is_carried_out_once_under_its_key() {
    let app = TestApp::start().await;
    let (alice, bob) = (
        app.funded_wallet("alice", "100.00").await,
        app.create_wallet("bob").await,
    );
    let details = json!({"amount": "1.00", "reference": "r", "description": "d", "metadata": {"b": "2", "a": "1"}});
    for call in [
        Call::post("/wallets", json!({"user_id": "carol"})).key("create"),
        Call::post(&alice.path("/fund"), details).key("fund"),
        Call::post(&alice.path("/withdraw"), json!({"amount": "1.00"})).key("withdraw"),
        Call::post(
            &alice.path("/transfer"),
            json!({"to_wallet_id": bob.0, "amount": "1.00"}),
        )
        .key("transfer"),
    ] {
        let first = app.call(call.clone()).await;
        first.good(201);
        let state = app.state().await;
        assert_replayed(&first, &app.call(call).await);
        assert_eq!(app.state().await, state);
    }
}

#[tokio::test]
async fn an_answer_is_the_same_after_a_restart_and_after_the_wallet_moved_on() {
    let app = TestApp::start().await;
    let alice = app.create_wallet("alice").await;
    let call = Call::post(&alice.path("/fund"), json!({"amount": "1.00"})).key("fund");
    let first = app.call(call.clone()).await;
    app.fund(&alice, "5.00").await.good(201);
    let app = app.restarted();
    assert_replayed(&first, &app.call(call).await);
    assert_eq!(app.balance(&alice).await, "6.00");
}

#[tokio::test]
async fn a_refusal_is_the_answer_also_when_there_is_money_now() {
    let app = TestApp::start().await;
    let alice = app.create_wallet("alice").await;
    // The request id is the one thing in a problem that belongs to the call and not to the answer.
    let call = Call::post(&alice.path("/withdraw"), json!({"amount": "1.00"}))
        .key("w")
        .header("x-request-id", "same");
    let first = app.call(call.clone()).await;
    first.problem(422, "insufficient_funds");
    app.fund(&alice, "5.00").await.good(201);
    assert_replayed(&first, &app.call(call).await);
    assert_eq!(app.balance(&alice).await, "5.00");
}

#[tokio::test]
async fn every_kind_of_refusal_is_replayed() {
    let app = TestApp::start().await;
    let (alice, euros) = (
        app.funded_wallet("alice", "1.00").await,
        app.create_wallet_in("bob", "EUR").await,
    );
    let nowhere = "/wallets/01990000-0000-7000-8000-000000000001/fund";
    let cases = [
        (
            Call::post(nowhere, json!({"amount": "1.00"})),
            404,
            "wallet_not_found",
        ),
        (
            Call::post(&alice.path("/fund"), json!({"amount": "1.00"})).header("if-match", "\"9\""),
            412,
            "version_mismatch",
        ),
        (
            Call::post(&alice.path("/fund"), json!({"amount": "1.001"})),
            400,
            "amount_too_precise",
        ),
        (
            Call::post(
                &alice.path("/transfer"),
                json!({"amount": "1.00", "to_wallet_id": euros.0}),
            ),
            422,
            "currency_mismatch",
        ),
    ];
    for (number, (call, status, code)) in cases.into_iter().enumerate() {
        let call = call
            .key(&format!("refused-{number}"))
            .header("x-request-id", "same");
        let first = app.refused(call.clone()).await;
        first.problem(status, code);
        assert_replayed(&first, &app.refused(call).await);
    }
}

#[tokio::test]
async fn the_same_request_twenty_times_at_once_has_one_effect_and_one_answer() {
    let app = TestApp::start().await;
    let alice = app.funded_wallet("alice", "100.00").await;
    let call = Call::post(&alice.path("/withdraw"), json!({"amount": "30.00"})).key("once");
    let answers = join_all((0..20).map(|_| app.call(call.clone()))).await;
    let (replayed, decided): (Vec<_>, Vec<_>) = answers
        .iter()
        .partition(|answer| answer.header("idempotent-replayed").is_some());
    assert_eq!((decided.len(), replayed.len()), (1, 19));
    replayed
        .into_iter()
        .for_each(|answer| assert_replayed(decided[0], answer));
    assert_eq!(app.balance(&alice).await, "70.00");
}

#[tokio::test]
async fn another_request_under_a_used_key_is_refused() {
    let app = TestApp::start().await;
    let (alice, bob) = (
        app.funded_wallet("alice", "100.00").await,
        app.create_wallet("bob").await,
    );
    let call = Call::post(&alice.path("/withdraw"), json!({"amount": "1.00"})).key("k");
    app.call(call.clone()).await.good(201);
    for other in [
        Call::post(&alice.path("/withdraw"), json!({"amount": "2.00"})),
        Call::post(
            &alice.path("/withdraw"),
            json!({"amount": "1.00", "currency": "USD"}),
        ),
        Call::post(
            &alice.path("/withdraw"),
            json!({"amount": "1.00", "metadata": {"a": "b"}}),
        ),
        Call::post(&alice.path("/fund"), json!({"amount": "1.00"})),
        Call::post(&bob.path("/withdraw"), json!({"amount": "1.00"})),
        Call::post("/wallets", json!({"user_id": "carol"})),
        call.clone().header("if-match", "\"2\""),
    ] {
        let answer = app.refused(other.key("k")).await;
        answer.problem(422, "idempotency_key_reused");
        assert_eq!(answer.header("idempotent-replayed"), None);
    }
    app.call(call).await.good(201);
}

#[tokio::test]
async fn the_same_amount_in_other_digits_and_members_in_another_order_are_the_same_request() {
    let app = TestApp::start().await;
    let alice = app.create_wallet("alice").await;
    let sent = |body: &str| app.call(Call::post_text(&alice.path("/fund"), body).key("k"));
    let first = sent(r#"{"amount":"1.50","reference":"r"}"#).await;
    assert_replayed(
        &first,
        &sent(r#" { "reference": "r", "amount": "1.5" } "#).await,
    );
}

#[tokio::test]
async fn a_key_in_quotes_is_the_same_key() {
    let app = TestApp::start().await;
    let alice = app.create_wallet("alice").await;
    let call = Call::post(&alice.path("/fund"), json!({"amount": "1.00"}));
    let first = app.call(call.clone().key("k-1")).await;
    assert_replayed(&first, &app.call(call.key("\"k-1\"")).await);
}

#[tokio::test]
async fn what_is_refused_before_the_ledger_leaves_the_key_free() {
    let app = TestApp::start().await;
    let alice = app.create_wallet("alice").await;
    let wrong = Call::post(&alice.path("/fund"), json!({"amount": 1})).key("k");
    app.refused(wrong).await.problem(400, "amount_not_string");
    app.call(Call::post(&alice.path("/fund"), json!({"amount": "1.00"})).key("k"))
        .await
        .good(201);
}

#[tokio::test]
async fn a_key_that_cannot_be_used_is_refused() {
    let app = TestApp::start().await;
    let alice = app.create_wallet("alice").await;
    for key in ["", "two words", "\"open", &"k".repeat(256)] {
        let call = Call::post(&alice.path("/fund"), json!({"amount": "1.00"})).key(key);
        let answer = app.refused(call).await;
        answer.problem_of(400, "idempotency_key_invalid", "idempotency-key");
    }
    app.call(Call::post(&alice.path("/fund"), json!({"amount": "1.00"})).key(&"k".repeat(255)))
        .await
        .good(201);
}

#[tokio::test]
async fn a_key_is_demanded_where_the_operator_says_so() {
    let app = TestApp::on(TestDatabase::create(SCHEMA).await, KeyPolicy::Required);
    let call = Call::post("/wallets", json!({"user_id": "alice"}));
    let answer = app.refused(call.clone()).await;
    let problem = answer.problem_of(400, "idempotency_key_missing", "idempotency-key");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("is required here"), "{detail}");
    let wallet = app.call(call.key("create")).await.good(201);
    let path = format!("/wallets/{}", wallet["id"].as_str().unwrap());
    for command in ["fund", "withdraw", "transfer"] {
        let call = Call::post(&format!("{path}/{command}"), json!({"amount": "1.00"}));
        app.refused(call)
            .await
            .problem(400, "idempotency_key_missing");
    }
    app.get(&path).await.good(200);
}

#[tokio::test]
async fn a_wallet_without_a_named_currency_is_the_same_request_after_the_default_changed() {
    let app = TestApp::start().await;
    let plain = Call::post("/wallets", json!({"user_id": "alice"})).key("plain");
    let named = Call::post("/wallets", json!({"user_id": "alice", "currency": "USD"})).key("named");
    let first = [app.call(plain.clone()).await, app.call(named.clone()).await];
    assert_eq!(first[0].good(201)["currency"], "USD");
    let app = app.restarted_with(|settings| settings.default_currency = "EUR".parse().unwrap());
    assert_replayed(&first[0], &app.call(plain).await);
    assert_replayed(&first[1], &app.call(named.clone()).await);
    // Saying what was the default then is another request.
    let other = app.refused(named.key("plain")).await;
    other.problem(422, "idempotency_key_reused");
    let new = Call::post("/wallets", json!({"user_id": "alice"})).key("new");
    assert_eq!(app.call(new).await.good(201)["currency"], "EUR");
}
