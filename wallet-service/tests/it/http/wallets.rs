//! `POST /wallets`, and reading what was made.

use serde_json::json;

use crate::app::{Call, TestApp};

#[tokio::test]
async fn a_wallet_is_created_in_the_default_currency() {
    let app = TestApp::start().await;
    let answer = app.post("/wallets", json!({"user_id": "alice"})).await;
    answer.good(201);
    insta::assert_snapshot!(answer.shown());
}

#[tokio::test]
async fn a_wallet_is_read_where_its_location_says() {
    let app = TestApp::start().await;
    let created = app
        .post("/wallets", json!({"user_id": "alice", "currency": "JPY"}))
        .await;
    let read = app.get(created.header("location").unwrap()).await;
    assert_eq!(read.good(200), created.good(201));
    assert_eq!(read.header("etag"), created.header("etag"));
}

#[tokio::test]
async fn a_user_may_have_several_wallets_also_in_one_currency() {
    let app = TestApp::start().await;
    let (first, second) = (
        app.create_wallet("alice").await,
        app.create_wallet("alice").await,
    );
    assert_ne!(first.0, second.0);
}

#[tokio::test]
async fn every_currency_of_iso_4217_has_its_own_decimals() {
    let app = TestApp::start().await;
    for (currency, zero) in [
        ("JPY", "0"),
        ("USD", "0.00"),
        ("KWD", "0.000"),
        ("CLF", "0.0000"),
    ] {
        let body = json!({"user_id": "alice", "currency": currency});
        let wallet = app.post("/wallets", body).await.good(201);
        assert_eq!(wallet["balance"], json!(zero), "{currency}");
    }
}

#[tokio::test]
async fn a_wallet_that_cannot_be_is_refused_by_field() {
    let app = TestApp::start().await;
    for (body, code, field) in [
        (json!({}), "missing_field", "user_id"),
        (json!({"user_id": null}), "missing_field", "user_id"),
        (json!({"user_id": 7}), "invalid_type", "user_id"),
        (json!({"user_id": ""}), "invalid_value", "user_id"),
        (
            json!({"user_id": "x".repeat(129)}),
            "invalid_value",
            "user_id",
        ),
        (json!({"user_id": "a\u{0}b"}), "invalid_value", "user_id"),
        (
            json!({"user_id": "@settlement"}),
            "reserved_user_id",
            "user_id",
        ),
        (
            json!({"user_id": "a", "currency": "XXX"}),
            "unknown_currency",
            "currency",
        ),
        (
            json!({"user_id": "a", "currency": "usd"}),
            "unknown_currency",
            "currency",
        ),
        (
            json!({"user_id": "a", "currency": 840}),
            "invalid_type",
            "currency",
        ),
        (
            json!({"user_id": "a", "balance": "5.00"}),
            "unknown_field",
            "balance",
        ),
    ] {
        app.refused(Call::post("/wallets", body))
            .await
            .problem_of(400, code, field);
    }
    assert_eq!(app.count("select count(*) from wallets").await, 0);
}

#[tokio::test]
async fn a_user_id_of_128_characters_of_any_script_is_kept_as_it_is() {
    let app = TestApp::start().await;
    let user = "ü".repeat(128);
    let wallet = app
        .post("/wallets", json!({"user_id": user}))
        .await
        .good(201);
    assert_eq!(wallet["user_id"], json!(user));
    let listed = app
        .get(&format!("/users/{}/wallets", "%C3%BC".repeat(128)))
        .await
        .good(200);
    assert_eq!(listed["items"], json!([wallet]));
}

#[tokio::test]
async fn a_new_name_is_one_that_people_can_see_and_type() {
    let app = TestApp::start().await;
    let wallet = app.create_wallet("Zo\u{eb} M\u{fc}ller").await;
    for name in [
        ".",
        "..",
        "   ",
        " alice",
        "alice ",
        "ali\u{200b}ce",
        "\u{202e}alice",
        "Zoe\u{308}",
        "a\u{e000}",
    ] {
        let call = Call::post("/wallets", json!({"user_id": name}));
        app.refused(call)
            .await
            .problem_of(400, "invalid_value", "user_id");
        let body = json!({"amount": "1.00", "reference": name});
        let call = Call::post(&format!("/wallets/{}/fund", wallet.0), body);
        app.refused(call)
            .await
            .problem_of(400, "invalid_value", "reference");
    }
}

#[tokio::test]
async fn a_user_whose_name_would_be_refused_today_is_still_found() {
    let app = TestApp::start().await;
    let answer = app.get("/users/%20alice%E2%80%8B/wallets").await;
    assert_eq!(answer.status, 200);
    let answer = app.get("/wallets?user_id=%20alice").await;
    assert_eq!(answer.status, 200);
}
