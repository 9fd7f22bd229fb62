//! `If-Match` and `If-None-Match`.

use futures::future::join_all;
use serde_json::json;

use wallet_service::http::routes;

use crate::app::{Call, TestApp};

#[tokio::test]
async fn a_header_that_is_not_heeded_is_refused_and_not_passed_over() {
    let app = TestApp::start().await;
    let (alice, bob) = (
        app.funded_wallet("alice", "5.00").await,
        app.create_wallet("bob").await,
    );
    let amount = json!({"amount": "1.00"});
    let transfer = json!({"amount": "1.00", "to_wallet_id": bob.0});
    let command = json!({"kind": "fund", "wallet_id": alice.0, "amount": "1.00"});
    let create = Call::post("/wallets", json!({"user_id": "carol"}));
    let calls = [
        Call::post(&alice.path("/fund"), amount.clone()),
        Call::post(&alice.path("/withdraw"), amount),
        Call::post(&alice.path("/transfer"), transfer),
        Call::post("/transactions/batch", json!({"commands": [command]})),
        create.clone(),
    ];
    let moment = "Fri, 27 Nov 2026 09:00:00 GMT";
    for call in calls {
        for (name, value) in [
            ("if-none-match", "*"),
            ("if-modified-since", moment),
            ("if-unmodified-since", moment),
            ("content-range", "bytes 0-1/9"),
            ("idempotency_key", "k"),
            ("x-idempotency-key", "k"),
        ] {
            let answer = app.refused(call.clone().header(name, value)).await;
            answer.problem_of(400, "header_not_allowed", name);
        }
    }
    let answer = app.refused(create.header("if-match", "\"1\"")).await;
    answer.problem_of(400, "header_not_allowed", "if-match");
}

#[tokio::test]
async fn an_order_has_neither_a_key_nor_a_condition_and_what_is_meant_as_one_is_refused() {
    let app = TestApp::start().await;
    let mut seen = 0;
    for route in routes() {
        if route.method != "POST" || !route.path.starts_with("/admin/") {
            continue;
        }
        for name in ["idempotency-key", "x-idempotency-key", "if-match"] {
            let call = Call::post(route.path, json!({})).header(name, "\"1\"");
            let answer = app.refused(call).await;
            answer.problem_of(400, "header_not_allowed", name);
        }
        seen += 1;
    }
    assert!(seen >= 2, "the list is the whole API");
    assert_eq!(app.count("select count(*) from republications").await, 0);
}

#[tokio::test]
async fn a_command_on_the_version_the_caller_saw_is_carried_out() {
    let app = TestApp::start().await;
    let alice = app.funded_wallet("alice", "10.00").await;
    let tag = app
        .get(&alice.path(""))
        .await
        .header("etag")
        .unwrap()
        .to_owned();
    let call =
        Call::post(&alice.path("/withdraw"), json!({"amount": "1.00"})).header("if-match", &tag);
    let done = app.call(call).await;
    done.good(201);
    assert_eq!(
        (tag.as_str(), done.header("etag")),
        ("\"2\"", Some("\"3\""))
    );
    let any =
        Call::post(&alice.path("/withdraw"), json!({"amount": "1.00"})).header("if-match", "*");
    app.call(any).await.good(201);
}

#[tokio::test]
async fn a_command_on_another_version_is_refused_with_the_current_one() {
    let app = TestApp::start().await;
    let (alice, bob) = (
        app.funded_wallet("alice", "10.00").await,
        app.create_wallet("bob").await,
    );
    for (path, body) in [
        ("/fund", json!({"amount": "1.00"})),
        ("/withdraw", json!({"amount": "1.00"})),
        (
            "/transfer",
            json!({"amount": "1.00", "to_wallet_id": bob.0}),
        ),
    ] {
        for tag in ["\"1\"", "\"3\"", "\"0\"", "\"18446744073709551615\""] {
            let answer = app
                .refused(Call::post(&alice.path(path), body.clone()).header("if-match", tag))
                .await;
            let problem = answer.problem(412, "version_mismatch");
            assert_eq!(problem["current_version"], json!(2));
            assert_eq!(answer.header("etag"), Some("\"2\""));
        }
    }
}

#[tokio::test]
async fn of_many_commands_on_one_version_one_is_carried_out() {
    let app = TestApp::start().await;
    let alice = app.funded_wallet("alice", "10.00").await;
    let call =
        Call::post(&alice.path("/withdraw"), json!({"amount": "1.00"})).header("if-match", "\"2\"");
    let answers = join_all((0..10).map(|_| app.call(call.clone()))).await;
    assert_eq!(
        answers.iter().filter(|answer| answer.status == 201).count(),
        1
    );
    assert_eq!(
        answers.iter().filter(|answer| answer.status == 412).count(),
        9
    );
    assert_eq!(app.balance(&alice).await, "9.00");
}

#[tokio::test]
async fn a_condition_that_cannot_be_read_is_refused() {
    let app = TestApp::start().await;
    let alice = app.create_wallet("alice").await;
    for tag in ["2", "W/\"2\"", "\"two\"", "\"1\", \"2\"", ""] {
        let call =
            Call::post(&alice.path("/fund"), json!({"amount": "1.00"})).header("if-match", tag);
        let answer = app.refused(call).await;
        answer.problem_of(400, "if_match_invalid", "if-match");
    }
}

#[tokio::test]
async fn what_the_caller_has_is_not_sent_again() {
    let app = TestApp::start().await;
    let alice = app.create_wallet("alice").await;
    for path in [alice.path(""), alice.path("/balance")] {
        let known = app
            .call(Call::get(&path).header("if-none-match", "\"1\""))
            .await;
        assert_eq!(
            (known.status, known.body.len(), known.header("etag")),
            (304, 0, Some("\"1\""))
        );
        app.call(Call::get(&path).header("if-none-match", "\"7\""))
            .await
            .good(200);
    }
    app.fund(&alice, "1.00").await.good(201);
    let moved_on = app
        .call(Call::get(&alice.path("")).header("if-none-match", "\"1\""))
        .await;
    assert_eq!(moved_on.good(200)["version"], json!(2));
}
