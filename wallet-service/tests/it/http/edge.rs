//! What is wrong with the request itself, and what is wrong with us.

use std::time::Duration;

use axum::http::Method;
use futures::future::join;
use serde_json::json;
use shared::testing::TestDatabase;
use wallet_service::{app::SCHEMA, http::KeyPolicy, ledger::LedgerSettings};

use crate::app::{self, Call, TestApp};

#[tokio::test]
async fn a_body_that_is_not_a_json_object_is_refused() {
    let app = TestApp::start().await;
    let alice = app.create_wallet("alice").await;
    for (body, code) in [
        ("", "malformed_json"),
        (r#"{"amount":"#, "malformed_json"),
        (r#"{"amount":"1.00"} {}"#, "malformed_json"),
        (r#"{'amount':'1.00'}"#, "malformed_json"),
        ("[]", "invalid_type"),
        ("null", "invalid_type"),
        (r#""1.00""#, "invalid_type"),
        (r#"{"amount":"1.00","amount":"1.00"}"#, "duplicate_field"),
    ] {
        app.refused(Call::post_text(&alice.path("/fund"), body))
            .await
            .problem(400, code);
    }
}

#[tokio::test]
async fn a_body_that_is_not_called_json_is_refused() {
    let app = TestApp::start().await;
    let alice = app.create_wallet("alice").await;
    let call = Call::post(&alice.path("/fund"), json!({"amount": "1.00"}));
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "",
    ] {
        let call = call.clone().header("content-type", content_type);
        app.refused(call)
            .await
            .problem(415, "unsupported_media_type");
    }
    app.refused(call.clone().without("content-type"))
        .await
        .problem(415, "unsupported_media_type");
    app.call(call.header("content-type", "application/json; charset=utf-8"))
        .await
        .good(201);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let app = TestApp::start().await;
    let alice = app.create_wallet("alice").await;
    let body = json!({"amount": "1.00", "description": "x".repeat(70_000)});
    app.refused(Call::post(&alice.path("/fund"), body))
        .await
        .problem(413, "body_too_large");
}

#[tokio::test]
async fn a_path_that_is_not_there_is_a_problem() {
    let app = TestApp::start().await;
    for path in [
        "/",
        "/wallet",
        "/wallets/",
        "/wallets/a/b/c",
        "/users",
        "/transactions/a/b",
    ] {
        app.get(path).await.problem(404, "route_not_found");
    }
}

#[tokio::test]
async fn a_method_that_is_not_possible_is_a_problem_that_names_the_possible_ones() {
    let app = TestApp::start().await;
    let alice = app.create_wallet("alice").await;
    for (method, path, allowed) in [
        (Method::DELETE, "/wallets".to_owned(), "GET,HEAD,POST"),
        (Method::PUT, alice.path(""), "GET,HEAD,PATCH"),
        (Method::DELETE, alice.path(""), "GET,HEAD,PATCH"),
        (Method::GET, alice.path("/fund"), "POST"),
        (Method::PATCH, alice.path("/transfer"), "POST"),
        (Method::POST, alice.path("/balance"), "GET,HEAD"),
        (Method::POST, "/readyz".to_owned(), "GET,HEAD"),
    ] {
        let answer = app.refused(Call::new(method, &path)).await;
        answer.problem(405, "method_not_allowed");
        let mut allow: Vec<_> = answer.header("allow").unwrap().split(',').collect();
        allow.sort_unstable();
        assert_eq!(allow.join(","), allowed, "{path}");
    }
}

#[tokio::test]
async fn a_request_id_comes_back_and_is_kept_with_the_event() {
    let app = TestApp::start().await;
    let call = Call::post("/wallets", json!({"user_id": "alice"})).header("x-request-id", "call-7");
    let answer = app.call(call).await;
    assert_eq!(answer.header("x-request-id"), Some("call-7"));
    let path = format!("{}/events", answer.header("location").unwrap());
    let journal = app.get(&path).await.good(200);
    assert_eq!(journal["items"][0]["correlation_id"], json!("call-7"));
}

#[tokio::test]
async fn head_answers_as_get_without_the_body() {
    let app = TestApp::start().await;
    let alice = app.create_wallet("alice").await;
    let answer = app.call(Call::new(Method::HEAD, &alice.path(""))).await;
    assert_eq!(
        (answer.status, answer.body.len(), answer.header("etag")),
        (200, 0, Some("\"1\""))
    );
}

#[tokio::test]
async fn a_full_queue_is_told_and_nothing_is_done() {
    let database = TestDatabase::create(SCHEMA).await;
    let settings = LedgerSettings {
        queue_capacity: 1,
        answer_timeout: Duration::from_millis(200),
        ..app::ledger_settings()
    };
    let (api, _engine_that_does_not_run) =
        app::api(database.options(), settings, KeyPolicy::Optional);
    let router = app::finished(api);
    let call = || Call::post("/wallets", json!({"user_id": "alice"})).send(&router);
    let (queued, refused) = join(call(), call()).await;
    refused.problem(503, "overloaded");
    assert_eq!(refused.header("retry-after"), Some("1"));
    // The first one is not answered, so what became of it is not known.
    queued.problem(503, "outcome_unknown");
    assert_eq!(queued.header("retry-after"), Some("1"));
    insta::assert_snapshot!(queued.without_request_id());
}

#[tokio::test]
async fn a_read_without_the_database_is_unavailable_and_not_a_fault() {
    let nowhere = "postgres://wallet:hunter2@127.0.0.1:1/wallet"
        .parse()
        .unwrap();
    let (api, _engine_that_does_not_run) =
        app::api(nowhere, app::ledger_settings(), KeyPolicy::Optional);
    let router = app::finished(api);
    let answer = Call::get("/wallets/01990000-0000-7000-8000-000000000001")
        .send(&router)
        .await;
    answer.problem(503, "unavailable");
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert!(
        !String::from_utf8(answer.body)
            .unwrap()
            .contains("127.0.0.1")
    );
}

#[tokio::test]
async fn a_row_that_makes_no_sense_is_a_fault_that_tells_nothing() {
    let app = TestApp::start().await;
    let alice = app.create_wallet("alice").await;
    app.execute("update wallets set currency = 'XXX'").await;
    let answer = app.get(&alice.path("")).await;
    answer.problem(500, "internal_error");
    assert!(!String::from_utf8(answer.body).unwrap().contains("XXX"));
}

#[tokio::test]
async fn an_order_to_send_again_that_cannot_be_meant_is_refused_by_its_field() {
    let app = TestApp::start().await;
    let order = |body| Call::post("/admin/republish", body);
    for (body, field) in [
        (json!({"since": "2999-01-01T00:00:00Z"}), "since"),
        (json!({"since": "yesterday"}), "since"),
        (json!({}), "all"),
        (json!({"all": true, "since": "2026-01-01T00:00:00Z"}), "all"),
        (
            json!({"all": true, "events_per_second": 0}),
            "events_per_second",
        ),
    ] {
        let problem = app.refused(order(body)).await;
        let problem = problem.problem_of(400, "invalid_value", field);
        assert_eq!(problem["errors"].as_array().unwrap().len(), 1, "{problem}");
    }
    let unknown = json!({"wallet_id": shared::WalletId::generate()});
    let problem = app.refused(order(unknown)).await;
    problem.problem_of(404, "wallet_not_found", "wallet_id");
    assert_eq!(app.count("select count(*) from republications").await, 0);
}
