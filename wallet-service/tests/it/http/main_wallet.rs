//! `PUT /users/{user_id}/wallets/{currency}`: a user's one main wallet of a currency.

use std::collections::BTreeSet;

use axum::http::Method;
use futures::future::join_all;
use serde_json::json;
use shared::testing::TestDatabase;
use wallet_service::{app::SCHEMA, http::KeyPolicy};

use crate::app::{Answer, Call, TestApp, api, finished, ledger_settings};

fn put(path: &str) -> Call {
    Call::new(Method::PUT, path)
}

const ALICE: &str = "/users/alice/wallets/USD";

#[tokio::test]
async fn it_is_made_the_first_time_and_answered_as_it_is_after_that() {
    let app = TestApp::start().await;
    let made = app.call(put(ALICE)).await;
    let wallet = made.good(201);
    assert_eq!(wallet["user_id"], "alice");
    assert_eq!(wallet["currency"], "USD");
    let location = made.header("location").unwrap();
    assert_eq!(app.get(location).await.good(200), wallet);
    let id = wallet["id"].as_str().unwrap();
    app.post(&format!("/wallets/{id}/fund"), json!({"amount": "5.00"}))
        .await
        .good(201);
    let found = app.call(put(ALICE)).await;
    let again = found.good(200);
    assert_eq!(
        (&again["id"], &again["balance"]),
        (&wallet["id"], &json!("5.00"))
    );
    assert_eq!(found.header("etag"), Some("\"2\""));
    assert_eq!(found.header("location"), Some(location));
    assert_eq!(
        app.count("select count(*) from wallets where floor is not null")
            .await,
        1
    );
    let other = app.call(put("/users/alice/wallets/EUR")).await.good(201);
    assert_ne!(other["id"], wallet["id"]);
    let listed = app.get("/users/alice/wallets").await.good(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    // What the user has besides is no main wallet.
    app.create_wallet("alice").await;
    assert_eq!(app.call(put(ALICE)).await.good(200)["id"], wallet["id"]);
}

#[tokio::test]
async fn its_id_is_the_same_in_every_installation() {
    let (one, other) = (TestApp::start().await, TestApp::start().await);
    let [one, other] = [one.call(put(ALICE)).await, other.call(put(ALICE)).await];
    assert_eq!(one.good(201)["id"], other.good(201)["id"]);
}

#[tokio::test]
async fn a_key_answers_again_what_it_was_answered_made_or_found() {
    let app = TestApp::start().await;
    let made = app.call(put(ALICE).key("make")).await;
    let id = made.good(201)["id"].as_str().unwrap().to_owned();
    let found = app.call(put(ALICE).key("find")).await;
    found.good(200);
    app.post(&format!("/wallets/{id}/fund"), json!({"amount": "5.00"}))
        .await
        .good(201);
    let later = app.call(put(ALICE).key("later")).await;
    assert_eq!(later.good(200)["balance"], "5.00");
    app.post(
        &format!("/wallets/{id}/withdraw"),
        json!({"amount": "5.00"}),
    )
    .await
    .good(201);
    let app = app.restarted();
    for (key, first) in [("make", &made), ("find", &found), ("later", &later)] {
        let again = app.call(put(ALICE).key(key)).await;
        assert_eq!(again.header("idempotent-replayed"), Some("true"), "{key}");
        assert_eq!(
            (again.status, &again.body),
            (first.status, &first.body),
            "{key}"
        );
        let kept = app.get(&format!("/idempotency-keys/{key}")).await.good(200);
        assert_eq!(kept["response_status"], json!(first.status), "{key}");
        assert_eq!(kept["response"], first.json(), "{key}");
    }
    app.refused(put("/users/bob/wallets/USD").key("make"))
        .await
        .problem(422, "idempotency_key_reused");
}

#[tokio::test]
async fn what_it_cannot_be_is_refused_by_field() {
    let app = TestApp::start().await;
    for (path, code, field) in [
        ("/users/alice/wallets/XXX", "unknown_currency", "currency"),
        ("/users/alice/wallets/usd", "unknown_currency", "currency"),
        (
            "/users/@settlement/wallets/USD",
            "reserved_user_id",
            "user_id",
        ),
        ("/users/%20alice/wallets/USD", "invalid_value", "user_id"),
        ("/users/a%00b/wallets/USD", "invalid_value", "user_id"),
    ] {
        app.refused(put(path)).await.problem_of(400, code, field);
    }
    let both = app.refused(put("/users/a%00b/wallets/x")).await;
    let errors = both.json()["errors"].as_array().unwrap().len();
    assert_eq!(errors, 2, "{both:?}");
    let with_body = Call::post(ALICE, json!({"label": "x"})).method(Method::PUT);
    app.refused(with_body)
        .await
        .problem_of(400, "unknown_field", "label");
    app.call(Call::post(ALICE, json!({})).method(Method::PUT))
        .await
        .good(201);
    app.call(put(ALICE).header("if-match", "\"1\""))
        .await
        .problem(400, "header_not_allowed");
}

/// Of many who ask two instances at once each is answered, and one of them made it.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_callers_at_once_make_one_over_two_instances() {
    const CALLERS: usize = 50;
    let app = TestApp::on(TestDatabase::create(SCHEMA).await, KeyPolicy::Optional);
    let (other, writer) = api(
        app.database.options(),
        ledger_settings(),
        KeyPolicy::Optional,
    );
    tokio::spawn(writer.run());
    let other = finished(other);
    for user in ["alice", "bob", "carol", "dave", "erin"] {
        let path = format!("/users/{user}/wallets/USD");
        let here = (0..CALLERS / 2).map(|_| app.call(put(&path)));
        let there = (0..CALLERS / 2).map(|_| put(&path).send(&other));
        let (here, there) = tokio::join!(join_all(here), join_all(there));
        let answers: Vec<Answer> = here.into_iter().chain(there).collect();
        let made = answers.iter().filter(|answer| answer.status == 201).count();
        assert_eq!(made, 1, "{answers:?}");
        let ids: BTreeSet<String> = answers
            .iter()
            .map(|answer| answer.json()["id"].to_string())
            .collect();
        assert_eq!(ids.len(), 1, "{answers:?}");
        assert!(
            answers
                .iter()
                .all(|answer| matches!(answer.status, 200 | 201))
        );
    }
    let created = "select count(*) from wallet_events where kind = 'wallet.created'";
    assert_eq!(app.count(created).await, 5);
    assert_eq!(app.count("select count(*) from wallets").await, 5);
}
