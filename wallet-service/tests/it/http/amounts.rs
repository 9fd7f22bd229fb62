//! Amounts for people and for programs: in minor units, as people write them, and which currencies there are.

use serde_json::{Value, json};

use crate::app::{Call, TestApp, results};

#[tokio::test]
async fn an_amount_in_minor_units_is_of_the_wallets_own_currency() {
    let app = TestApp::start().await;
    for (currency, minor, shown) in [
        ("USD", 150, "1.50"),
        ("JPY", 150, "150"),
        ("KWD", 150, "0.150"),
    ] {
        let wallet = app.create_wallet_in("alice", currency).await;
        let body = json!({"amount_minor": minor});
        let funded = app.post(&wallet.path("/fund"), body).await.good(201);
        assert_eq!(funded["transaction"]["amount"], json!(shown));
        assert_eq!(app.balance(&wallet).await, shown);
    }
}

#[tokio::test]
async fn every_money_command_takes_minor_units_alone_and_in_a_batch() {
    let app = TestApp::start().await;
    let alice = app.funded_wallet("alice", "100.00").await;
    let bob = app.create_wallet("bob").await;
    let commands = [
        ("fund", json!({"amount_minor": 1})),
        ("withdraw", json!({"amount_minor": 2})),
        (
            "transfer",
            json!({"amount_minor": 4, "to_wallet_id": bob.0}),
        ),
    ];
    for (kind, body) in &commands {
        let path = alice.path(&format!("/{kind}"));
        app.post(&path, body.clone()).await.good(201);
    }
    assert_eq!(app.balance(&alice).await, "99.95");
    let items = commands.map(|(kind, mut body)| {
        body["kind"] = json!(kind);
        body["wallet_id"] = json!(alice.0);
        body
    });
    let answer = app
        .post("/transactions/batch", json!({"commands": items}))
        .await;
    for result in results(&answer) {
        assert_eq!(result["status"], json!(201), "{result}");
    }
    assert_eq!(app.balance(&alice).await, "99.90");
    assert_eq!(app.balance(&bob).await, "0.08");
}

#[tokio::test]
async fn what_are_no_minor_units_is_refused_by_the_fields_name() {
    let app = TestApp::start().await;
    let wallet = app.funded_wallet("alice", "10.00").await;
    let cases = [
        (
            json!({"amount_minor": "100"}),
            "invalid_type",
            "amount_minor",
        ),
        (
            json!({"amount_minor": 1.5}),
            "invalid_value",
            "amount_minor",
        ),
        (
            json!({"amount_minor": true}),
            "invalid_type",
            "amount_minor",
        ),
        (json!({"amount_minor": 0}), "invalid_value", "amount_minor"),
        (json!({"amount_minor": -1}), "invalid_value", "amount_minor"),
        (
            json!({"amount_minor": 9_223_372_036_854_775_808_u64}),
            "invalid_value",
            "amount_minor",
        ),
        (
            json!({"amount_minor": i64::MAX}),
            "amount_out_of_range",
            "amount",
        ),
        (
            json!({"amount": "1.00", "amount_minor": 100}),
            "invalid_value",
            "amount_minor",
        ),
        (
            json!({"amount": null, "amount_minor": null}),
            "missing_field",
            "amount",
        ),
        (
            json!({"amount": "x", "amount_minor": null}),
            "amount_malformed",
            "amount",
        ),
    ];
    for path in ["/fund", "/withdraw"].map(|path| wallet.path(path)) {
        for (body, code, field) in &cases {
            let call = Call::post(&path, body.clone());
            app.refused(call).await.problem_of(400, code, field);
        }
    }
}

#[tokio::test]
async fn a_null_beside_the_other_amount_is_not_given() {
    let app = TestApp::start().await;
    let wallet = app.create_wallet("alice").await;
    for body in [
        json!({"amount": null, "amount_minor": 100}),
        json!({"amount": "1.00", "amount_minor": null}),
    ] {
        app.post(&wallet.path("/fund"), body).await.good(201);
    }
    assert_eq!(app.balance(&wallet).await, "2.00");
}

#[tokio::test]
async fn a_balance_is_told_in_minor_units_and_as_people_write_it() {
    let app = TestApp::start().await;
    for (currency, sent, minor, display) in [
        ("GBP", "7", 700, "£7.00"),
        ("JPY", "700", 700, "¥700"),
        ("KWD", "1.25", 1_250, "KWD 1.250"),
    ] {
        let wallet = app.create_wallet_in("alice", currency).await;
        app.fund(&wallet, sent).await.good(201);
        let balance = app.get(&wallet.path("/balance")).await.good(200);
        assert_eq!(balance["balance_minor"], json!(minor), "{balance}");
        assert_eq!(balance["display"], json!(display), "{balance}");
    }
}

#[tokio::test]
async fn every_currency_that_is_listed_is_one_a_wallet_may_hold() {
    let app = TestApp::start().await;
    let listed = app.get("/currencies").await.good(200);
    let items = listed["items"].as_array().unwrap();
    let codes: Vec<&str> = items
        .iter()
        .map(|item| item["code"].as_str().unwrap())
        .collect();
    assert!(codes.is_sorted(), "{codes:?}");
    // Gold has no minor units.
    assert!(!codes.contains(&"XAU"));
    let commands: Vec<Value> = codes
        .iter()
        .map(|code| json!({"user_id": "alice", "currency": code}))
        .collect();
    for command in commands {
        app.post("/wallets", command).await.good(201);
    }
    let shown = |code: &str| {
        items
            .iter()
            .find(|item| item["code"] == json!(code))
            .unwrap()
    };
    assert_eq!(
        *shown("KWD"),
        json!({
            "code": "KWD", "numeric_code": "414", "name": "Kuwaiti dinar", "decimals": 3,
            "amount_max": "1000000000000.000", "is_default": false,
        }),
    );
    let defaults = items
        .iter()
        .filter(|item| item["is_default"] == json!(true));
    let defaults: Vec<_> = defaults.map(|item| &item["code"]).collect();
    assert_eq!(defaults, [&json!("USD")]);
}
