//! What was answered under a key is answered again after something came that would refuse the request now: a setting, the
//! state of something outside, a rule of a later build.

use std::time::Instant;

use chrono::TimeDelta;
use serde_json::{Value, json};
use shared::{
    Amount, Timestamp, event::Details, money::DecimalAmount, server::postgres::PostgresClock,
};
use wallet_service::{
    http::KeyPolicy,
    ledger::{Command, Intent, NewWallet, Payment, WalletCurrency},
};

use super::idempotency::assert_replayed;
use crate::{
    app::{Call, TestApp, TestWallet, results},
    ledger::command,
};

/// What is written on a payment that a narrow topic does not take.
fn large_payment() -> Value {
    json!({"amount": "1.00", "description": "x".repeat(500), "metadata": {"note": "y".repeat(400)}})
}

/// Calls that were answered, each with the answer.
async fn answered(app: &TestApp, calls: Vec<Call>) -> Vec<(Call, crate::app::Answer)> {
    let mut answered = Vec::new();
    for call in calls {
        let answer = app.call(call.clone()).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answered.push((call, answer));
    }
    answered
}

/// Every money command, each under a key of its own.
fn payments(from: &TestWallet, to: &TestWallet, body: &Value) -> Vec<Call> {
    let mut transfer = body.clone();
    transfer["to_wallet_id"] = json!(to.0);
    vec![
        Call::post(&from.path("/fund"), body.clone()).key("fund"),
        Call::post(&from.path("/withdraw"), body.clone()).key("withdraw"),
        Call::post(&from.path("/transfer"), transfer).key("transfer"),
    ]
}

/// Alice, whose wallet has money, and one command of each kind, with the answers.
async fn answered_commands(app: &TestApp) -> (TestWallet, Vec<(Call, crate::app::Answer)>) {
    let (alice, bob) = (
        app.funded_wallet("alice", "10.00").await,
        app.create_wallet("bob").await,
    );
    let mut calls = payments(&alice, &bob, &json!({"amount": "1.00"}));
    calls.push(Call::post("/wallets", json!({"user_id": "carol"})).key("create"));
    let first = answered(app, calls).await;
    (alice, first)
}

#[tokio::test]
async fn a_payment_is_answered_again_after_the_topic_takes_less() {
    let app = TestApp::start().await;
    let (alice, bob) = (
        app.funded_wallet("alice", "10.00").await,
        app.create_wallet("bob").await,
    );
    let calls = payments(&alice, &bob, &large_payment());
    let first = answered(&app, calls).await;
    app.message_limit.set(Some(3_500));
    let state = app.state().await;
    for (call, answer) in first {
        assert_replayed(&answer, &app.call(call.clone()).await);
        for new in [call.clone().key("new"), call.without("idempotency-key")] {
            app.refused(new).await.problem(400, "invalid_value");
        }
    }
    assert_eq!(app.state().await, state);
    // A refusal for the size leaves its key free.
    app.message_limit.set(None);
    let new = Call::post(&alice.path("/fund"), large_payment()).key("new");
    app.call(new).await.good(201);
}

#[tokio::test]
async fn a_batch_is_answered_again_after_the_topic_takes_less() {
    let app = TestApp::start().await;
    let alice = app.create_wallet("alice").await;
    let command = |key: &str, body: Value| {
        let mut command = body;
        command["kind"] = json!("fund");
        command["wallet_id"] = json!(alice.0);
        command["idempotency_key"] = json!(key);
        command
    };
    let small = || json!({"amount": "2.00"});
    let batch =
        |commands: &[Value]| Call::post("/transactions/batch", json!({"commands": commands}));
    let commands = [
        command("a", small()),
        command("b", large_payment()),
        command("c", small()),
        command("d", large_payment()),
    ];
    let first = results(&app.call(batch(&commands)).await);
    app.message_limit.set(Some(3_500));
    let again = results(&app.call(batch(&commands)).await);
    for (mut first, again) in first.into_iter().zip(again) {
        first["idempotent_replayed"] = json!(true);
        assert_eq!(again, first);
    }
    // With one among them that is new and too large, nothing is carried out, and only that one is named.
    let with_new = [
        command("e", small()),
        commands[1].clone(),
        command("f", large_payment()),
    ];
    let refused = app.refused(batch(&with_new)).await;
    let problem = refused.problem(400, "invalid_value");
    let errors = problem["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 1, "{problem}");
    assert_eq!(errors[0]["field"], "commands[2].description");
    let mixed = results(
        &app.call(batch(&[command("e", small()), commands[3].clone()]))
            .await,
    );
    let replayed: Vec<_> = mixed
        .iter()
        .map(|result| &result["idempotent_replayed"])
        .collect();
    assert_eq!(replayed, [false, true]);
}

#[tokio::test]
async fn a_payment_is_answered_again_after_the_settings_became_stricter() {
    let app = TestApp::start().await;
    let (alice, first) = answered_commands(&app).await;
    let app = app.restarted_with(|settings| {
        settings.ledger.amount_max = Amount::try_new(99).unwrap();
        settings.default_currency = "EUR".parse().unwrap();
        settings.key_policy = KeyPolicy::Required;
    });
    for (call, answer) in first {
        assert_replayed(&answer, &app.call(call).await);
    }
    let new = Call::post(&alice.path("/fund"), json!({"amount": "1.00"}));
    app.refused(new.clone().key("new"))
        .await
        .problem(400, "amount_out_of_range");
    app.refused(new)
        .await
        .problem(400, "idempotency_key_missing");
}

/// Makes what was answered under this key the answer to another request.
async fn answered_to(app: &TestApp, key: &str, command: &Command) {
    let changed = sqlx::query("update idempotency_keys set fingerprint = $2 where key = $1")
        .bind(key)
        .bind(command.fingerprint().as_slice())
        .execute(app.database.pool())
        .await
        .unwrap();
    assert_eq!(changed.rows_affected(), 1, "{key}");
}

#[tokio::test]
async fn a_request_is_answered_again_after_a_rule_came_that_refuses_it() {
    let app = TestApp::start().await;
    let alice = app.create_wallet("alice").await;
    let metadata = |key: String, value: String| Details {
        metadata: [(key, value)].into(),
        ..Details::default()
    };
    let many = (0..21).map(|key| (key.to_string(), "v".to_owned()));
    let cases = [
        Details {
            reference: Some("ends with a space ".to_owned()),
            ..Details::default()
        },
        Details {
            reference: Some("r".repeat(129)),
            ..Details::default()
        },
        Details {
            description: Some("a\nline".to_owned()),
            ..Details::default()
        },
        Details {
            description: Some("d".repeat(513)),
            ..Details::default()
        },
        metadata("k".repeat(65), "v".to_owned()),
        metadata("k".to_owned(), "v".repeat(513)),
        Details {
            metadata: many.collect(),
            ..Details::default()
        },
    ];
    for (number, details) in cases.into_iter().enumerate() {
        let key = format!("key-{number}");
        let path = alice.path("/fund");
        let plain = Call::post(&path, json!({"amount": "1.00"})).key(&key);
        let first = app.call(plain.clone()).await;
        let mut body = serde_json::to_value(&details).unwrap();
        body["amount"] = json!("1.00");
        let payment = Payment {
            amount: "1.00".parse::<DecimalAmount>().unwrap().into(),
            currency: None,
            details,
        };
        let wallet_id = alice.0.parse().unwrap();
        answered_to(&app, &key, &command(Intent::Fund { wallet_id, payment })).await;
        let call = Call::post(&path, body).key(&key);
        assert_replayed(&first, &app.call(call.clone()).await);
        app.refused(call.key("new"))
            .await
            .problem(400, "invalid_value");
        app.refused(plain)
            .await
            .problem(422, "idempotency_key_reused");
    }
    for (user, code) in [(" carol", "invalid_value"), ("@carol", "reserved_user_id")] {
        let plain = Call::post("/wallets", json!({"user_id": "carol"})).key(user.trim());
        let first = app.call(plain).await;
        let new = NewWallet::new(
            user.parse().unwrap(),
            WalletCurrency::Default("USD".parse().unwrap()),
        );
        answered_to(&app, user.trim(), &command(Intent::CreateWallet(new))).await;
        let call = Call::post("/wallets", json!({"user_id": user}));
        assert_replayed(&first, &app.call(call.clone().key(user.trim())).await);
        app.refused(call.key("new")).await.problem(400, code);
    }
}

#[tokio::test]
async fn a_payment_is_answered_again_while_the_clock_is_off() {
    let clock = PostgresClock::default();
    let app = TestApp::with_clock(clock.clone()).await;
    let (alice, first) = answered_commands(&app).await;
    let command =
        json!({"kind": "fund", "wallet_id": alice.0, "amount": "1.00", "idempotency_key": "fund"});
    let ahead = Timestamp::now().utc() + TimeDelta::seconds(60);
    clock.set(ahead.into(), Instant::now());
    for (call, answer) in first {
        assert_replayed(&answer, &app.call(call.clone()).await);
        app.refused(call.key("new"))
            .await
            .problem(503, "clock_skew");
    }
    let mut new = command.clone();
    new["idempotency_key"] = json!("new");
    let batch = Call::post("/transactions/batch", json!({"commands": [new, command]}));
    let mixed = results(&app.call(batch).await);
    assert_eq!(mixed[0]["problem"]["code"], "clock_skew");
    assert_eq!(mixed[1]["idempotent_replayed"], true);
}

#[tokio::test]
async fn a_payment_is_answered_again_after_its_wallet_became_unreadable() {
    let app = TestApp::start().await;
    let (alice, bob) = (
        app.funded_wallet("alice", "10.00").await,
        app.create_wallet("bob").await,
    );
    let first = answered(&app, payments(&alice, &bob, &json!({"amount": "1.00"}))).await;
    app.execute("update wallets set updated_at = 'infinity' where user_id = 'alice'")
        .await;
    let app = app.restarted();
    for (call, answer) in first {
        assert_replayed(&answer, &app.call(call.clone()).await);
        app.refused(call.key("new"))
            .await
            .problem(500, "internal_error");
    }
}
