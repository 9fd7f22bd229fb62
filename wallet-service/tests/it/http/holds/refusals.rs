//! A field that cannot be used is named, and a hold that is not there is none.

use serde_json::{Value, json};

use super::{of, place, placed};
use crate::app::{Answer, Call, TestApp, TestWallet};

/// What is sent, where `{w}` is the wallet in the path, `{y}` one in yen, and `{n}` none; and what is wrong with it.
type Wrong = (&'static str, u16, &'static str, &'static str);

const PLACING: &[Wrong] = &[
    ("{}", 400, "missing_field", "amount"),
    (r#"{"amount": 5}"#, 400, "amount_not_string", "amount"),
    (r#"{"amount": "0"}"#, 400, "amount_not_positive", "amount"),
    (
        r#"{"amount": "1.001"}"#,
        400,
        "amount_too_precise",
        "amount",
    ),
    (
        r#"{"amount": "1", "colour": 1}"#,
        400,
        "unknown_field",
        "colour",
    ),
    (
        r#"{"amount": "1", "final": true}"#,
        400,
        "unknown_field",
        "final",
    ),
    (
        r#"{"amount": "1", "expires_in": 0}"#,
        400,
        "invalid_value",
        "expires_in",
    ),
    (
        r#"{"amount": "1", "expires_in": "1"}"#,
        400,
        "invalid_type",
        "expires_in",
    ),
    (
        r#"{"amount": "1", "expires_at": "{p}"}"#,
        400,
        "invalid_value",
        "expires_at",
    ),
    (
        r#"{"amount": "1", "expires_at": "soon"}"#,
        400,
        "invalid_value",
        "expires_at",
    ),
    (
        r#"{"amount": "1", "expires_in": 9, "expires_at": "{p}"}"#,
        400,
        "invalid_value",
        "expires_in",
    ),
    (
        r#"{"amount": "1", "to_wallet_id": "bob"}"#,
        400,
        "invalid_uuid",
        "to_wallet_id",
    ),
    (
        r#"{"amount": "1", "to_wallet_id": "{w}"}"#,
        400,
        "same_wallet",
        "to_wallet_id",
    ),
    (
        r#"{"amount": "1", "to_wallet_id": "{n}"}"#,
        404,
        "wallet_not_found",
        "to_wallet_id",
    ),
    (
        r#"{"amount": "1", "to_wallet_id": "{y}"}"#,
        422,
        "currency_mismatch",
        "to_wallet_id",
    ),
    (
        r#"{"amount": "1", "currency": "EUR"}"#,
        422,
        "currency_mismatch",
        "currency",
    ),
];

const CAPTURING: &[Wrong] = &[
    (r#"{"amount": "0"}"#, 400, "amount_not_positive", "amount"),
    (
        r#"{"amount": "1.001"}"#,
        400,
        "amount_too_precise",
        "amount",
    ),
    (r#"{"final": "yes"}"#, 400, "invalid_type", "final"),
    (r#"{"currency": "USD"}"#, 400, "unknown_field", "currency"),
    (
        r#"{"to_wallet_id": "{w}"}"#,
        400,
        "same_wallet",
        "to_wallet_id",
    ),
    (
        r#"{"to_wallet_id": "{n}"}"#,
        404,
        "wallet_not_found",
        "to_wallet_id",
    ),
    (
        r#"{"to_wallet_id": "{y}"}"#,
        422,
        "currency_mismatch",
        "to_wallet_id",
    ),
];

const RELEASING: &[Wrong] = &[(r#"{"final": true}"#, 400, "unknown_field", "final")];

const INCREASING: &[Wrong] = &[("{}", 400, "missing_field", "amount")];

const EXTENDING: &[Wrong] = &[
    ("{}", 400, "missing_field", "expires_at"),
    (
        r#"{"expires_at": "{p}"}"#,
        400,
        "invalid_value",
        "expires_at",
    ),
    (r#"{"expires_in": 5}"#, 400, "invalid_value", "expires_in"),
    (r#"{"expires_in": 0}"#, 400, "invalid_value", "expires_in"),
    (r#"{"expires_in": "5"}"#, 400, "invalid_type", "expires_in"),
];

const NO_ONE: &str = "01990000-0000-7000-8000-000000000001";

#[tokio::test]
async fn a_field_that_cannot_be_used_is_named() {
    let app = TestApp::start().await;
    let wallet = app.funded_wallet("alice", "100.00").await;
    let yen = app.create_wallet_in("bob", "JPY").await;
    let hold = placed(&app, &wallet, json!({"amount": "50.00"})).await;
    let body = |text: &str| -> Value {
        let text = text.replace("{w}", &wallet.0).replace("{y}", &yen.0);
        let text = text.replace("{n}", NO_ONE);
        let text = text.replace("{p}", "2020-01-01T00:00:00Z");
        serde_json::from_str(&text).unwrap()
    };
    for (text, status, code, field) in PLACING {
        let answer = app.refused(place(&wallet, body(text))).await;
        answer.problem_of(*status, code, field);
    }
    for (what, wrong) in [
        ("/capture", CAPTURING),
        ("/release", RELEASING),
        ("/increase", INCREASING),
        ("/extend", EXTENDING),
    ] {
        for (text, status, code, field) in wrong {
            let answer = app.refused(of(&hold, what, body(text))).await;
            answer.problem_of(*status, code, field);
        }
    }
}

async fn to(app: &TestApp, from: &TestWallet, agreed: &str, asked: &str) -> Answer {
    let body = json!({"amount": "1.00", "to_wallet_id": agreed});
    let hold = placed(app, from, body).await;
    let capture = of(&hold, "/capture", json!({"to_wallet_id": asked}));
    app.call(capture).await
}

#[tokio::test]
async fn a_capture_goes_where_the_hold_says_and_nowhere_else() {
    let app = TestApp::start().await;
    let wallet = app.funded_wallet("alice", "100.00").await;
    let (bob, carol) = (
        app.create_wallet("bob").await,
        app.create_wallet("carol").await,
    );
    let answer = to(&app, &wallet, &bob.0, &carol.0).await;
    answer.problem_of(400, "invalid_value", "to_wallet_id");
    to(&app, &wallet, &bob.0, &bob.0).await.good(201);
    assert_eq!(app.balance(&bob).await, "1.00");
}

#[tokio::test]
async fn a_hold_that_is_not_there_is_none() {
    let app = TestApp::start().await;
    let none = json!({"id": NO_ONE});
    for (what, body) in [
        ("/capture", json!({})),
        ("/release", json!({})),
        ("/increase", json!({"amount": "1"})),
        ("/extend", json!({"expires_in": 86_400})),
    ] {
        let answer = app.refused(of(&none, what, body)).await;
        answer.problem_of(404, "hold_not_found", "id");
        let answer = app.refused(of(&json!({"id": "x"}), what, json!({}))).await;
        answer.problem_of(400, "invalid_uuid", "id");
    }
    let answer = app.call(Call::get(&format!("/holds/{NO_ONE}"))).await;
    answer.problem_of(404, "hold_not_found", "id");
}

#[tokio::test]
async fn a_hold_that_is_gone_is_none_also_where_it_was_placed() {
    let app = TestApp::start().await;
    let wallet = app.funded_wallet("alice", "10.00").await;
    let hold = placed(&app, &wallet, json!({"amount": "4.00"})).await;
    app.execute("delete from holds").await;
    for what in ["/capture", "/release"] {
        let answer = app.call(of(&hold, what, json!({}))).await;
        answer.problem_of(404, "hold_not_found", "id");
    }
    assert_eq!(app.balance(&wallet).await, "10.00");
}
