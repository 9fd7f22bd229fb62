//! Fund, withdraw, transfer: what a good answer says.

use std::collections::BTreeSet;

use serde_json::json;
use shared::{Slot, TransactionId, WalletId};

use crate::app::{Call, TestApp};

#[tokio::test]
async fn a_fund_answers_the_transaction_and_the_wallet_after_it() {
    let app = TestApp::start().await;
    let wallet = app.create_wallet("alice").await;
    let answer = app.fund(&wallet, "100.00").await;
    answer.good(201);
    insta::assert_snapshot!(answer.shown());
}

#[tokio::test]
async fn every_id_carries_the_slot_of_its_wallets_user() {
    let app = TestApp::start().await;
    let slot_of = |user: &str| Slot::of(&user.parse().unwrap());
    let (alice, bob) = (
        app.funded_wallet("alice", "100.00").await,
        app.create_wallet("bob").await,
    );
    assert_eq!(
        alice.0.parse::<WalletId>().unwrap().slot(),
        slot_of("alice")
    );
    assert_eq!(bob.0.parse::<WalletId>().unwrap().slot(), slot_of("bob"));
    let commands = json!({"commands": [
        {"kind": "transfer", "wallet_id": alice.0, "to_wallet_id": bob.0, "amount": "1.00"},
    ]});
    let answers = [
        app.fund(&bob, "2.00").await.good(201),
        app.withdraw(&bob, "1.00").await.good(201),
        app.post(
            &bob.path("/transfer"),
            json!({"to_wallet_id": alice.0, "amount": "1.00"}),
        )
        .await
        .good(201),
        app.post("/transactions/batch", commands).await.good(200)["results"][0].clone(),
    ];
    let users = ["bob", "bob", "bob", "alice"];
    for (answer, user) in answers.iter().zip(users) {
        let id = answer["transaction"]["id"].as_str().unwrap();
        assert_eq!(
            id.parse::<TransactionId>().unwrap().slot(),
            slot_of(user),
            "{answer}"
        );
        assert_eq!(id.parse::<uuid::Uuid>().unwrap().get_version_num(), 7);
    }
    // Event ids are counted from those, and are ids like them.
    let events = app.get(&bob.path("/events")).await.good(200);
    let ids: BTreeSet<uuid::Uuid> = events["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["event_id"].as_str().unwrap().parse().unwrap())
        .collect();
    assert_eq!(ids.len(), 5);
    assert!(ids.iter().all(|id| id.get_version_num() == 7));
}

#[tokio::test]
async fn a_withdrawal_answers_the_transaction_and_the_wallet_after_it() {
    let app = TestApp::start().await;
    let wallet = app.funded_wallet("alice", "100.00").await;
    let answer = app.withdraw(&wallet, "0.01").await;
    answer.good(201);
    insta::assert_snapshot!(answer.shown());
}

#[tokio::test]
async fn a_transfer_tells_the_sender_nothing_of_the_others_balance() {
    let app = TestApp::start().await;
    let (alice, bob) = (
        app.funded_wallet("alice", "100.00").await,
        app.create_wallet("bob").await,
    );
    let body = json!({
        "to_wallet_id": bob.0, "amount": "30.00", "currency": "USD", "reference": "order-7",
        "description": "lunch", "metadata": {"table": "4", "city": "Zürich"},
    });
    let answer = app.post(&alice.path("/transfer"), body).await;
    answer.good(201);
    insta::assert_snapshot!(answer.shown());
    assert_eq!(
        (app.balance(&alice).await, app.balance(&bob).await),
        ("70.00".into(), "30.00".into())
    );
}

#[tokio::test]
async fn a_transfer_between_ones_own_wallets_shows_both_balances() {
    let app = TestApp::start().await;
    let (from, to) = (
        app.funded_wallet("alice", "5.00").await,
        app.create_wallet("alice").await,
    );
    let moved = app.transfer(&from, &to, "2.00").await.good(201);
    let balances: Vec<_> = moved["transaction"]["legs"]
        .as_array()
        .unwrap()
        .iter()
        .collect();
    assert_eq!(balances[0]["balance_after"], json!("3.00"));
    assert_eq!(balances[1]["balance_after"], json!("2.00"));
}

#[tokio::test]
async fn the_calls_of_the_quick_start_work_as_they_are() {
    let app = TestApp::start().await;
    let sent = async |path: &str, body: &str| app.call(Call::post_text(path, body)).await.good(201);
    let w = sent("/wallets", r#"{"user_id":"alice"}"#).await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let v = sent("/wallets", r#"{"user_id":"bob"}"#).await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    sent(&format!("/wallets/{w}/fund"), r#"{"amount":"100.00"}"#).await;
    let body = format!(r#"{{"to_wallet_id":"{v}","amount":"30.00"}}"#);
    sent(&format!("/wallets/{w}/transfer"), &body).await;
    let wallets = app.get("/users/alice/wallets").await.good(200);
    assert_eq!(wallets["items"][0]["balance"], json!("70.00"));
    assert_eq!(wallets["next_cursor"], json!(null));
}

#[tokio::test]
async fn an_amount_is_shown_with_all_decimals_of_its_currency() {
    let app = TestApp::start().await;
    for (currency, sent, shown) in [
        ("USD", "1.5", "1.50"),
        ("JPY", "700", "700"),
        ("KWD", "1.25", "1.250"),
        ("CLF", "0.0001", "0.0001"),
    ] {
        let wallet = app.create_wallet_in("alice", currency).await;
        let funded = app.fund(&wallet, sent).await.good(201);
        assert_eq!(funded["transaction"]["amount"], json!(shown));
        assert_eq!(funded["wallet"]["balance"], json!(shown));
    }
}

#[tokio::test]
async fn the_whole_balance_may_leave_and_not_a_cent_more() {
    let app = TestApp::start().await;
    let wallet = app.funded_wallet("alice", "10.00").await;
    app.withdraw(&wallet, "10.00").await.good(201);
    app.withdraw(&wallet, "0.01")
        .await
        .problem(422, "insufficient_funds");
    assert_eq!(app.balance(&wallet).await, "0.00");
}

#[tokio::test]
async fn legs_of_every_transaction_and_balances_of_every_currency_sum_to_zero() {
    let app = TestApp::start().await;
    let (alice, bob) = (
        app.funded_wallet("alice", "9.00").await,
        app.create_wallet("bob").await,
    );
    app.transfer(&alice, &bob, "4.00").await.good(201);
    app.withdraw(&bob, "1.50").await.good(201);
    let yen = app.create_wallet_in("carol", "JPY").await;
    app.fund(&yen, "500").await.good(201);
    let open = "select count(*) from (select currency from wallets group by currency having sum(balance) <> 0) t";
    assert_eq!(app.count(open).await, 0);
    let open =
        "select count(*) from (select transaction_id from wallet_events where amount is not null
                group by transaction_id having sum(amount) <> 0) t";
    assert_eq!(app.count(open).await, 0);
}

#[tokio::test]
async fn what_the_topic_would_not_take_is_refused_by_the_field_that_is_too_large() {
    let app = TestApp::start().await;
    let wallet = app.create_wallet("alice").await;
    let path = wallet.path("/fund");
    let body = json!({"amount": "1.00", "description": "x".repeat(500), "metadata": {"note": "y".repeat(400)}});
    // As the relay has seen the topic.
    app.message_limit.set(Some(4_500));
    let refused = app.refused(Call::post(&path, body.clone())).await;
    assert_eq!(
        refused.problem(400, "invalid_value")["errors"][0]["field"],
        "description"
    );
    let batch = json!({"commands": [
        {"kind": "fund", "wallet_id": wallet.0, "amount": "1.00"},
        {"kind": "fund", "wallet_id": wallet.0, "amount": "1.00", "metadata": {"note": "y".repeat(500)}},
    ]});
    let refused = app.refused(Call::post("/transactions/batch", batch)).await;
    assert_eq!(
        refused.problem(400, "invalid_value")["errors"][0]["field"],
        "commands[1].metadata"
    );
    let short = json!({"amount": "1.00", "description": "lunch"});
    app.post(&path, short).await.good(201);
    app.message_limit.set(None);
    app.post(&path, body).await.good(201);
}

#[tokio::test]
async fn more_than_one_command_may_move_is_refused_by_field_and_hinders_no_other() {
    let app = TestApp::start().await;
    let (alice, bob) = (
        app.create_wallet("alice").await,
        app.create_wallet("bob").await,
    );
    for amount in ["92233720368547758.07", "10000000000000.01"] {
        let call = Call::post(&alice.path("/fund"), json!({"amount": amount}));
        let problem = app.refused(call).await;
        let problem = problem.problem_of(400, "amount_out_of_range", "amount");
        let maximum = (&problem["maximum"], &problem["currency"]);
        assert_eq!(maximum, (&json!("10000000000000.00"), &json!("USD")));
    }
    app.fund(&alice, "10000000000000.00").await.good(201);
    app.fund(&bob, "1.00").await.good(201);
}
