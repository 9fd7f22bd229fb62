//! One transaction at most has a reference: the same again is answered with it, anything else is refused with its id.

use serde_json::{Value, json};
use shared::testing::tokens;
use wallet_service::ledger::UserRights;

use super::{id, leg, post, reverse};
use crate::app::{Call, TestApp, TestWallet};

fn named(mut body: Value, reference: &str) -> Value {
    body["reference"] = json!(reference);
    body
}

/// One of each kind that moves money: its reference, its path and its body.
async fn calls(
    app: &TestApp,
    alice: &TestWallet,
    bob: &TestWallet,
) -> Vec<(&'static str, String, Value)> {
    let place = Call::post(&alice.path("/holds"), json!({"amount": "5.00"}));
    let hold = app.call(place).await.good(201)["hold"].clone();
    let sent = app.transfer(alice, bob, "3.00").await.good(201);
    let amount = || json!({"amount": "1.00"});
    vec![
        ("fund", alice.path("/fund"), amount()),
        ("withdraw", alice.path("/withdraw"), amount()),
        (
            "transfer",
            alice.path("/transfer"),
            json!({"amount": "1.00", "to_wallet_id": bob.0}),
        ),
        (
            "capture",
            format!("/holds/{}/capture", hold["id"].as_str().unwrap()),
            json!({}),
        ),
        (
            "post",
            "/transactions".to_owned(),
            json!({"legs": [leg(alice, "-1.00"), leg(bob, "1.00")]}),
        ),
        (
            "reverse",
            format!("/transactions/{}/reverse", id(&sent)),
            json!({"reason": "broken"}),
        ),
    ]
}

#[tokio::test]
async fn every_command_that_moves_money_is_answered_again_under_its_reference_whatever_the_key() {
    let app = TestApp::start().await;
    let alice = app.funded_wallet("alice", "100.00").await;
    let bob = app.create_wallet("bob").await;
    let calls = calls(&app, &alice, &bob).await;
    let mut answers = Vec::new();
    for (reference, path, body) in &calls {
        let call = Call::post(path, named(body.clone(), reference));
        let first = app.call(call).await;
        first.good(201);
        answers.push(first);
    }
    // None of it can be done again, and an instance that knows nothing answers as well.
    app.withdraw(&alice, "91.00").await.good(201);
    let app = app.restarted();
    let before = app.state().await;
    for ((reference, path, body), first) in calls.iter().zip(&answers) {
        for key in [format!("{reference}-2"), format!("{reference}-3")] {
            let call = Call::post(path, named(body.clone(), reference)).key(&key);
            let again = app.call(call.clone()).await;
            assert_eq!(
                again.header("idempotent-replayed"),
                Some("true"),
                "{reference}"
            );
            for name in ["location", "etag"] {
                assert_eq!(again.header(name), first.header(name), "{reference}");
            }
            assert_eq!(again.good(201), first.json(), "{reference}");
            // The key has the answer too, and is used up.
            let kept = app.get(&format!("/idempotency-keys/{key}")).await.good(200);
            assert_eq!(kept["response"], first.json(), "{reference}");
            let call = Call::post(&alice.path("/fund"), json!({"amount": "7"})).key(&key);
            let answer = app.refused(call).await;
            answer.problem(422, "idempotency_key_reused");
        }
        let mut other = named(body.clone(), reference);
        other["description"] = json!("another");
        let answer = app.refused(Call::post(path, other)).await;
        match *reference {
            // That nothing is left of the hold, or of what was moved, is said first.
            "capture" => drop(answer.problem(409, "hold_closed")),
            "reverse" => drop(answer.problem(409, "already_reversed")),
            _ => {
                let problem = answer.problem(409, "reference_reused");
                assert_eq!(problem["transaction_id"], first.json()["transaction"]["id"]);
            }
        }
    }
    assert_eq!(app.state().await, before);
}

#[tokio::test]
async fn a_refused_command_leaves_its_reference_free() {
    let app = TestApp::start().await;
    let alice = app.create_wallet("alice").await;
    let body = json!({"amount": "1.00", "reference": "order-7"});
    let withdraw = || Call::post(&alice.path("/withdraw"), body.clone());
    app.refused(withdraw())
        .await
        .problem(422, "insufficient_funds");
    app.fund(&alice, "1.00").await.good(201);
    app.call(withdraw()).await.good(201);
}

#[tokio::test]
async fn a_transaction_is_found_by_its_reference_by_the_caller_who_gave_it() {
    let app = TestApp::guarded(UserRights::USUAL).await;
    let service = tokens::service("shop", json!("*"));
    let create = Call::post("/wallets", json!({"user_id": "alice"})).token(&service);
    let made = app.call(create).await.good(201);
    let alice = TestWallet(made["id"].as_str().unwrap().to_owned());
    let body = json!({"amount": "5.00", "reference": "order 7/ä"});
    let fund = Call::post(&alice.path("/fund"), body).token(&service);
    let said = app.call(fund).await.good(201);
    let find = || Call::get("/transactions?reference=order%207%2F%C3%A4");
    let found = app.call(find().token(&service)).await.good(200);
    assert_eq!(
        found,
        json!({"items": [said["transaction"]], "next_cursor": null})
    );
    // It is the service's reference, not hers.
    let empty = json!({"items": [], "next_cursor": null});
    let found = app.call(find().token(&tokens::user("alice"))).await;
    assert_eq!(found.good(200), empty);
    let none = Call::get("/transactions?reference=none").token(&service);
    assert_eq!(app.call(none).await.good(200), empty);
    let ask = |path: &str| app.call(Call::get(path).token(&service));
    let answer = ask("/transactions").await;
    answer.problem_of(400, "missing_field", "reference");
    let answer = ask("/transactions?reference=").await;
    answer.problem_of(400, "invalid_value", "reference");
    let answer = ask("/transactions?reference=a&limit=1").await;
    answer.problem_of(400, "unknown_parameter", "limit");
}

#[tokio::test]
async fn what_is_found_says_what_was_taken_back() {
    let app = TestApp::start().await;
    let alice = app.funded_wallet("alice", "10.00").await;
    let bob = app.create_wallet("bob").await;
    let legs = [leg(&alice, "-4.00"), leg(&bob, "4.00")];
    let body = json!({"legs": legs, "reference": "order-7"});
    let said = app.call(Call::post("/transactions", body)).await.good(201);
    app.call(reverse(&id(&said), json!({"amount": "1.00"})))
        .await
        .good(201);
    let found = app.get("/transactions?reference=order-7").await.good(200);
    assert_eq!(found["items"][0]["reversed"], json!("1.00"));
    let again = post(&legs);
    app.call(again).await.good(201);
}
