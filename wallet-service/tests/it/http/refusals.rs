//! Every way in which money does not move: status, code and field of each, and that nothing changed.

use serde_json::{Value, json};

use crate::app::{Call, TestApp, TestWallet};

const NOWHERE: &str = "01990000-0000-7000-8000-000000000001";

/// Sends each body to `path` and expects its problem.
async fn each_is_refused(
    app: &TestApp,
    path: &str,
    cases: impl IntoIterator<Item = (Value, &str, &str)>,
) {
    for (body, code, field) in cases {
        app.refused(Call::post(path, body))
            .await
            .problem_of(400, code, field);
    }
}

#[tokio::test]
async fn an_amount_that_is_not_one_is_refused() {
    let app = TestApp::start().await;
    let wallet = app.funded_wallet("alice", "10.00").await;
    let long = "9".repeat(400);
    let cases = [
        (json!(1), "amount_not_string"),
        (json!(1.5), "amount_not_string"),
        (json!(true), "invalid_type"),
        (json!(["1.00"]), "invalid_type"),
        (json!({"minor": 100}), "invalid_type"),
        (json!(null), "missing_field"),
        (json!(""), "amount_malformed"),
        (json!(" 1 "), "amount_malformed"),
        (json!("1e3"), "amount_malformed"),
        (json!("NaN"), "amount_malformed"),
        (json!("inf"), "amount_malformed"),
        (json!("+1"), "amount_malformed"),
        (json!("1,00"), "amount_malformed"),
        (json!("1_000"), "amount_malformed"),
        (json!(".5"), "amount_malformed"),
        (json!("5."), "amount_malformed"),
        (json!("01"), "amount_malformed"),
        (json!("１"), "amount_malformed"),
        (json!("0"), "amount_not_positive"),
        (json!("0.00"), "amount_not_positive"),
        (json!("-1"), "amount_not_positive"),
        (json!("1.005"), "amount_too_precise"),
        (json!("1.000"), "amount_too_precise"),
        (json!("92233720368547758.08"), "amount_out_of_range"),
        (json!(long), "amount_out_of_range"),
    ];
    for path in ["/fund", "/withdraw"] {
        let bodies = cases
            .iter()
            .map(|(amount, code)| (json!({"amount": amount}), *code, "amount"));
        each_is_refused(&app, &wallet.path(path), bodies).await;
    }
    let bob = app.create_wallet("bob").await;
    let bodies = cases.iter().map(|(amount, code)| {
        (
            json!({"to_wallet_id": bob.0, "amount": amount}),
            *code,
            "amount",
        )
    });
    each_is_refused(&app, &wallet.path("/transfer"), bodies).await;
}

#[tokio::test]
async fn decimals_are_counted_in_the_wallets_own_currency() {
    let app = TestApp::start().await;
    let yen = app.create_wallet_in("alice", "JPY").await;
    let dinar = app.create_wallet_in("alice", "KWD").await;
    each_is_refused(
        &app,
        &yen.path("/fund"),
        [(json!({"amount": "1.0"}), "amount_too_precise", "amount")],
    )
    .await;
    each_is_refused(
        &app,
        &dinar.path("/fund"),
        [(json!({"amount": "1.0001"}), "amount_too_precise", "amount")],
    )
    .await;
    app.fund(&dinar, "1.001").await.good(201);
}

/// A payment with one more field.
fn payment_with(name: &str, value: Value) -> Value {
    let mut body = json!({"amount": "1.00"});
    body[name] = value;
    body
}

#[tokio::test]
async fn a_field_that_cannot_be_used_is_named() {
    let app = TestApp::start().await;
    let wallet = app.funded_wallet("alice", "10.00").await;
    let cases = [
        ("amout", json!("1"), "unknown_field"),
        ("to_wallet_id", json!(NOWHERE), "unknown_field"),
        ("currency", json!("ABC"), "unknown_currency"),
        ("currency", json!(1), "invalid_type"),
        ("reference", json!(7), "invalid_type"),
        ("reference", json!(""), "invalid_value"),
        ("reference", json!("r".repeat(129)), "invalid_value"),
        ("reference", json!("a\u{0}b"), "invalid_value"),
        ("description", json!("d".repeat(513)), "invalid_value"),
        ("description", json!("line\nline"), "invalid_value"),
        ("metadata", json!("text"), "invalid_type"),
    ];
    let bodies = cases.map(|(name, value, code)| (payment_with(name, value), code, name));
    each_is_refused(&app, &wallet.path("/fund"), bodies).await;
    each_is_refused(
        &app,
        &wallet.path("/fund"),
        [(json!({}), "missing_field", "amount")],
    )
    .await;
}

#[tokio::test]
async fn metadata_has_limits_on_everything() {
    let app = TestApp::start().await;
    let wallet = app.create_wallet("alice").await;
    let entries: serde_json::Map<_, _> = (0..21).map(|n| (n.to_string(), json!("v"))).collect();
    let long = format!("metadata.{}…", "k".repeat(64));
    let cases = [
        (json!(entries), "invalid_value", "metadata"),
        (json!({"k": 1}), "invalid_type", "metadata.k"),
        (json!({"k": "v".repeat(513)}), "invalid_value", "metadata.k"),
        (json!({"k": "a\u{7}b"}), "invalid_value", "metadata.k"),
        (json!({"k".repeat(65): "v"}), "invalid_value", &long[..]),
        (json!({"": "v"}), "invalid_value", r#"metadata."""#),
    ];
    let bodies =
        cases.map(|(metadata, code, field)| (payment_with("metadata", metadata), code, field));
    each_is_refused(&app, &wallet.path("/fund"), bodies).await;
}

#[tokio::test]
async fn what_a_caller_may_write_on_a_payment_is_kept_to_its_limits() {
    let app = TestApp::start().await;
    let wallet = app.create_wallet("alice").await;
    let metadata: serde_json::Map<_, _> = (0..20)
        .map(|n| (format!("{n:064}"), json!("ü".repeat(512))))
        .collect();
    let body = json!({
        "amount": "1.00", "reference": "ü".repeat(128), "description": "ü".repeat(512), "metadata": metadata,
    });
    let funded = app
        .post(&wallet.path("/fund"), body.clone())
        .await
        .good(201);
    for member in ["reference", "description", "metadata"] {
        assert_eq!(funded["transaction"][member], body[member]);
    }
}

#[tokio::test]
async fn all_errors_of_a_request_are_told_at_once() {
    let app = TestApp::start().await;
    let wallet = app.create_wallet("alice").await;
    let body = json!({"amount": 5, "currency": "ABC", "colour": "red"});
    let answer = app
        .refused(Call::post(&wallet.path("/transfer"), body))
        .await;
    insta::assert_snapshot!(answer.shown());
}

#[tokio::test]
async fn a_transfer_needs_another_wallet_that_exists() {
    let app = TestApp::start().await;
    let (alice, bob) = (
        app.funded_wallet("alice", "10.00").await,
        app.create_wallet("bob").await,
    );
    let path = alice.path("/transfer");
    let to = |to: Value| json!({"to_wallet_id": to, "amount": "1.00"});
    each_is_refused(
        &app,
        &path,
        [
            (json!({"amount": "1.00"}), "missing_field", "to_wallet_id"),
            (to(json!("bob")), "invalid_uuid", "to_wallet_id"),
            (
                to(json!(bob.0.replace('-', ""))),
                "invalid_uuid",
                "to_wallet_id",
            ),
            (to(json!(7)), "invalid_type", "to_wallet_id"),
            (to(json!(alice.0)), "same_wallet", "to_wallet_id"),
        ],
    )
    .await;
    let answer = app.refused(Call::post(&path, to(json!(NOWHERE)))).await;
    answer.problem_of(404, "wallet_not_found", "to_wallet_id");
}

#[tokio::test]
async fn a_wallet_that_does_not_exist_moves_no_money() {
    let app = TestApp::start().await;
    let (bob, nobody) = (
        app.create_wallet("bob").await,
        TestWallet(NOWHERE.to_owned()),
    );
    for path in ["/fund", "/withdraw"] {
        let answer = app
            .refused(Call::post(&nobody.path(path), json!({"amount": "1.00"})))
            .await;
        answer.problem_of(404, "wallet_not_found", "id");
    }
    let body = json!({"to_wallet_id": bob.0, "amount": "1.00"});
    let answer = app
        .refused(Call::post(&nobody.path("/transfer"), body))
        .await;
    answer.problem_of(404, "wallet_not_found", "id");
}

#[tokio::test]
async fn too_little_money_says_how_much_there_is_and_how_much_is_needed() {
    let app = TestApp::start().await;
    let (alice, bob) = (
        app.funded_wallet("alice", "10.00").await,
        app.create_wallet("bob").await,
    );
    let answer = app
        .refused(Call::post(
            &alice.path("/withdraw"),
            json!({"amount": "10.01"}),
        ))
        .await;
    answer.problem_of(422, "insufficient_funds", "amount");
    insta::assert_snapshot!(answer.shown());
    let body = json!({"to_wallet_id": bob.0, "amount": "99.00"});
    app.refused(Call::post(&alice.path("/transfer"), body))
        .await
        .problem(422, "insufficient_funds");
    app.refused(Call::post(
        &bob.path("/withdraw"),
        json!({"amount": "0.01"}),
    ))
    .await
    .problem(422, "insufficient_funds");
}

#[tokio::test]
async fn currencies_do_not_mix() {
    let app = TestApp::start().await;
    let (dollars, euros) = (
        app.funded_wallet("alice", "10.00").await,
        app.create_wallet_in("bob", "EUR").await,
    );
    for path in ["/fund", "/withdraw"] {
        let call = Call::post(
            &dollars.path(path),
            json!({"amount": "1.00", "currency": "EUR"}),
        );
        app.refused(call)
            .await
            .problem_of(422, "currency_mismatch", "currency");
    }
    let call = Call::post(
        &dollars.path("/transfer"),
        json!({"to_wallet_id": euros.0, "amount": "1.00"}),
    );
    let problem = app
        .refused(call)
        .await
        .problem_of(422, "currency_mismatch", "to_wallet_id");
    assert_eq!(
        (&problem["expected"], &problem["actual"]),
        (&json!("USD"), &json!("EUR"))
    );
}

#[tokio::test]
async fn settlement_wallets_are_not_the_callers_to_move() {
    let app = TestApp::start().await;
    let alice = app.funded_wallet("alice", "10.00").await;
    let listed = app.get("/wallets?kind=settlement").await.good(200);
    let world = TestWallet(listed["items"][0]["id"].as_str().unwrap().to_owned());
    for path in ["/fund", "/withdraw"] {
        let answer = app
            .refused(Call::post(&world.path(path), json!({"amount": "1.00"})))
            .await;
        answer.problem_of(422, "settlement_wallet", "id");
    }
    for (from, to, field) in [(&alice, &world, "to_wallet_id"), (&world, &alice, "id")] {
        let body = json!({"to_wallet_id": to.0, "amount": "1.00"});
        let answer = app.refused(Call::post(&from.path("/transfer"), body)).await;
        answer.problem_of(422, "settlement_wallet", field);
    }
}

#[tokio::test]
async fn a_wallet_that_is_frozen_or_closed_moves_no_money() {
    for (statement, code) in [
        (
            "update wallets set status = 'frozen' where user_id = 'bob'",
            "wallet_frozen",
        ),
        (
            "update wallets set status = 'closed' where user_id = 'bob'",
            "wallet_closed",
        ),
    ] {
        let app = TestApp::start().await;
        let (alice, bob) = (
            app.funded_wallet("alice", "10.00").await,
            app.funded_wallet("bob", "10.00").await,
        );
        app.execute(statement).await;
        let app = app.restarted();
        for path in ["/fund", "/withdraw"] {
            let answer = app
                .refused(Call::post(&bob.path(path), json!({"amount": "1.00"})))
                .await;
            answer.problem_of(422, code, "id");
        }
        for (from, to, field) in [(&alice, &bob, "to_wallet_id"), (&bob, &alice, "id")] {
            let body = json!({"to_wallet_id": to.0, "amount": "1.00"});
            app.refused(Call::post(&from.path("/transfer"), body))
                .await
                .problem_of(422, code, field);
        }
    }
}

#[tokio::test]
async fn a_balance_ends_where_its_range_ends() {
    let app = TestApp::start().await;
    let wallet = app.funded_wallet("alice", "1.00").await;
    app.execute("update wallets set balance = 9223372036854775807 where user_id = 'alice'")
        .await;
    let call = Call::post(&wallet.path("/fund"), json!({"amount": "0.01"}));
    app.refused(call)
        .await
        .problem_of(422, "balance_overflow", "amount");
    app.withdraw(&wallet, "0.01").await.good(201);
    app.fund(&wallet, "0.01").await.good(201);
}

#[tokio::test]
async fn a_reference_is_used_once() {
    let app = TestApp::start().await;
    let (alice, bob) = (
        app.create_wallet("alice").await,
        app.create_wallet("bob").await,
    );
    let body = json!({"amount": "1.00", "reference": "invoice-7"});
    let first = app.post(&alice.path("/fund"), body.clone()).await.good(201);
    let problem = app
        .refused(Call::post(&bob.path("/fund"), body))
        .await
        .problem_of(409, "reference_reused", "reference");
    assert_eq!(problem["transaction_id"], first["transaction"]["id"]);
}
