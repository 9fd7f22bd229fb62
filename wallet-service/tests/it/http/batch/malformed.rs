//! Requests that are refused as a whole, before anything is carried out.

use shared::testing::TestDatabase;
use wallet_service::{app::SCHEMA, http::KeyPolicy};

use super::*;

/// `(field, code)` of every error of a batch that must be refused as a whole.
async fn errors(app: &TestApp, call: Call) -> Vec<(String, String)> {
    let answer = app.refused(call).await;
    let code = answer.json()["code"].as_str().unwrap().to_owned();
    let problem = answer.problem(400, &code);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let errors = problem["errors"].as_array().unwrap();
    errors
        .iter()
        .map(|error| (text(&error["field"]), text(&error["code"])))
        .collect()
}

#[tokio::test]
async fn every_wrong_field_is_named_by_its_path_and_nothing_is_carried_out() {
    let app = TestApp::start().await;
    let alice = app.create_wallet("alice").await;
    let commands = [
        fund(&alice, "1.00"),
        with(fund(&alice, "-1"), "colour", "red"),
        with(transfer(&alice, &alice, "1.00"), "to_wallet_id", "bob"),
        with(fund(&alice, "1.00"), "metadata", json!({"city": 7})),
        with(fund(&alice, "1.00"), "expected_version", "1"),
        with(fund(&alice, "1.00"), "expected_version", -1),
        keyed(fund(&alice, "1.00"), "two words"),
        with(fund(&alice, "1.00"), "amount", 1),
        json!("fund"),
        json!({}),
    ];
    let expected = [
        ("commands[1].amount", "amount_not_positive"),
        ("commands[1].colour", "unknown_field"),
        ("commands[2].to_wallet_id", "invalid_uuid"),
        ("commands[3].metadata.city", "invalid_type"),
        ("commands[4].expected_version", "invalid_type"),
        ("commands[5].expected_version", "invalid_value"),
        ("commands[6].idempotency_key", "idempotency_key_invalid"),
        ("commands[7].amount", "amount_not_string"),
        ("commands[8]", "invalid_type"),
        ("commands[9].kind", "missing_field"),
        ("commands[9].wallet_id", "missing_field"),
        ("commands[9].amount", "missing_field"),
    ];
    let expected = expected.map(|(field, code)| (field.to_owned(), code.to_owned()));
    assert_eq!(errors(&app, batch(&commands)).await, expected);
}

#[tokio::test]
async fn a_kind_decides_whether_there_is_a_destination() {
    let app = TestApp::start().await;
    let (alice, bob) = (
        app.funded_wallet("alice", "1.00").await,
        app.create_wallet("bob").await,
    );
    let mut without = transfer(&alice, &bob, "1.00");
    without.as_object_mut().unwrap().remove("to_wallet_id");
    for (command, field, code) in [
        (without, "to_wallet_id", "missing_field"),
        (
            with(fund(&alice, "1.00"), "to_wallet_id", bob.0.as_str()),
            "to_wallet_id",
            "unknown_field",
        ),
        (
            with(withdraw(&alice, "1.00"), "to_wallet_id", bob.0.as_str()),
            "to_wallet_id",
            "unknown_field",
        ),
        (
            with(transfer(&alice, &bob, "1.00"), "kind", "gift"),
            "kind",
            "invalid_value",
        ),
        (
            with(fund(&alice, "1.00"), "kind", "Fund"),
            "kind",
            "invalid_value",
        ),
        (
            with(fund(&alice, "1.00"), "kind", 1),
            "kind",
            "invalid_type",
        ),
    ] {
        let expected = vec![(format!("commands[0].{field}"), code.to_owned())];
        assert_eq!(errors(&app, batch(&[command])).await, expected);
    }
}

#[tokio::test]
async fn a_batch_has_one_to_a_thousand_commands() {
    let app = TestApp::start().await;
    let alice = app.create_wallet("alice").await;
    let many = vec![fund(&alice, "1.00"); 1001];
    for (body, field, code) in [
        (json!({"commands": []}), "commands", "invalid_value"),
        (json!({"commands": many}), "commands", "invalid_value"),
        (json!({"commands": {}}), "commands", "invalid_type"),
        (json!({"commands": null}), "commands", "missing_field"),
        (json!({}), "commands", "missing_field"),
        (json!([]), "", "invalid_type"),
        (
            json!({"commands": [fund(&alice, "1.00")], "atomic": true}),
            "atomic",
            "unknown_field",
        ),
    ] {
        let expected = vec![(field.to_owned(), code.to_owned())];
        assert_eq!(errors(&app, Call::post(PATH, body)).await, expected);
    }
    let cut = Call::post_text(PATH, r#"{"commands": ["#);
    app.refused(cut).await.problem(400, "malformed_json");
    app.get(PATH).await.problem(405, "method_not_allowed");
}

#[tokio::test]
async fn headers_that_belong_to_one_command_are_refused() {
    let app = TestApp::start().await;
    let alice = app.create_wallet("alice").await;
    let call = batch(&[keyed(fund(&alice, "1.00"), "k")]);
    for (name, value) in [("idempotency-key", "k"), ("if-match", "\"1\"")] {
        let problem = app.refused(call.clone().header(name, value)).await;
        problem.problem_of(400, "header_not_allowed", name);
    }
    assert_eq!(statuses(&results_of(&app.call(call).await)), [201]);
}

#[tokio::test]
async fn every_command_needs_a_key_where_the_operator_says_so() {
    let app = TestApp::on(TestDatabase::create(SCHEMA).await, KeyPolicy::Required);
    let created = Call::post("/wallets", json!({"user_id": "alice"})).key("create");
    let created = app.call(created).await.good(201);
    let alice = TestWallet(created["id"].as_str().unwrap().to_owned());
    let commands = [
        keyed(fund(&alice, "1.00"), "k"),
        fund(&alice, "1.00"),
        with(fund(&alice, "1.00"), "idempotency_key", Value::Null),
    ];
    let expected = [1, 2].map(|index| {
        (
            format!("commands[{index}].idempotency_key"),
            "idempotency_key_missing".to_owned(),
        )
    });
    assert_eq!(errors(&app, batch(&commands)).await, expected);
    assert_eq!(statuses(&results(&app, &commands[..1]).await), [201]);
}

#[tokio::test]
async fn a_body_may_be_larger_here_than_elsewhere_but_not_without_end() {
    let app = TestApp::start().await;
    let alice = app.create_wallet("alice").await;
    let long = with(fund(&alice, "1.00"), "description", "x".repeat(512));
    let commands = vec![with(long, "metadata", json!({"note": "y".repeat(512)})); 200];
    assert_eq!(
        statuses(&results(&app, &commands).await),
        vec![201; 200],
        "over 200 KiB"
    );
    let padding = " ".repeat(70_000);
    let single = format!(r#"{{"amount": "1.00"{padding}}}"#);
    app.refused(Call::post_text(&alice.path("/fund"), &single))
        .await
        .problem(413, "body_too_large");
    let padding = " ".repeat(2_100_000);
    app.refused(Call::post_text(
        PATH,
        &format!(r#"{{"commands": []{padding}}}"#),
    ))
    .await
    .problem(413, "body_too_large");
}
