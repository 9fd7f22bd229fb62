//! Keys and references are the caller's: two callers who use the same one do not meet.

use serde_json::{Value, json};
use shared::testing::tokens;

use super::Guarded;
use crate::app::{Answer, Call, TestWallet};

impl Guarded {
    /// One dollar from this wallet to that one, under a key.
    async fn sends(&self, token: &str, from: &TestWallet, to: &TestWallet, key: &str) -> Answer {
        let body = json!({"amount": "1.00", "to_wallet_id": to.0, "reference": "order-7"});
        let call = Call::post(&from.path("/transfer"), body);
        self.app.call(call.token(token).key(key)).await
    }
}

fn id(answer: &Value) -> &Value {
    &answer["transaction"]["id"]
}

#[tokio::test]
async fn one_key_and_one_reference_of_two_callers_are_two() {
    let world = Guarded::start().await;
    let first = world
        .sends(&world.alice, &world.wallet, &world.bobs, "k")
        .await
        .good(201);
    let again = world
        .sends(&world.alice, &world.wallet, &world.bobs, "k")
        .await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.good(201), first);
    let bobs = world
        .sends(&world.bob, &world.bobs, &world.wallet, "k")
        .await;
    assert_eq!(bobs.header("idempotent-replayed"), None);
    assert_ne!(id(&bobs.good(201)), id(&first));
    // The very same request, of a service that is called like the user.
    let twin = tokens::service("alice", json!("*"));
    let twins = world.sends(&twin, &world.wallet, &world.bobs, "k").await;
    assert_eq!(twins.header("idempotent-replayed"), None);
    assert_ne!(id(&twins.good(201)), id(&first));
    // Another key, so that the reference is what is asked for.
    let taken = world
        .sends(&world.alice, &world.wallet, &world.bobs, "l")
        .await;
    assert_eq!(taken.header("idempotent-replayed"), Some("true"));
    assert_eq!(taken.good(201), first);
}

#[tokio::test]
async fn the_answer_to_a_key_is_given_again_only_within_reach() {
    let world = Guarded::start().await;
    let wide = tokens::service("shop", json!(["alice", "bob"]));
    let narrow = tokens::service("shop", json!(["bob"]));
    let ask = async |token: &str, key: &str, amount: &str| {
        let call = Call::post(&world.wallet.path("/withdraw"), json!({"amount": amount}));
        world.app.call(call.token(token).key(key)).await
    };
    ask(&wide, "accepted", "1.00").await.good(201);
    ask(&wide, "refused", "1000.00")
        .await
        .problem(422, "insufficient_funds");
    let create = async |token: &str| {
        let call = Call::post("/wallets", json!({"user_id": "alice", "currency": "EUR"}));
        world.app.call(call.token(token).key("created")).await
    };
    create(&wide).await.good(201);
    for answer in [
        ask(&narrow, "accepted", "1.00").await,
        ask(&narrow, "refused", "1000.00").await,
        create(&narrow).await,
    ] {
        answer.problem(404, "wallet_not_found");
    }
    let batch = json!({"commands": [{
        "kind": "withdraw", "wallet_id": world.wallet.0, "amount": "1.00", "idempotency_key": "accepted",
    }]});
    let answer = world
        .post(&narrow, "/transactions/batch", batch)
        .await
        .good(200);
    assert_eq!(
        answer["results"][0]["problem"]["code"],
        json!("wallet_not_found")
    );
    let again = ask(&wide, "accepted", "1.00").await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
}

#[tokio::test]
async fn what_became_of_a_key_is_told_to_its_caller_alone_and_only_within_reach() {
    let world = Guarded::start().await;
    let wide = tokens::service("shop", json!(["alice", "bob"]));
    let narrow = tokens::service("shop", json!(["bob"]));
    let everyone = tokens::service("shop", json!("*"));
    for (key, amount, status) in [("accepted", "1.00", 201), ("refused", "1000.00", 422)] {
        let call = Call::post(&world.wallet.path("/withdraw"), json!({"amount": amount}));
        let answer = world.app.call(call.token(&wide).key(key)).await;
        assert_eq!(answer.status, status);
        let ask = async |token: &str| {
            let call = Call::get(&format!("/idempotency-keys/{key}")).token(token);
            world.app.call(call).await.good(200)
        };
        // A refusal does not say whose wallet it is of, so who reaches some users is shown none.
        let shown = [(&everyone, true), (&wide, status == 201), (&narrow, false)];
        for (token, is_shown) in shown {
            let seen = ask(token).await;
            assert_eq!(seen["response_status"], json!(status));
            assert_eq!(seen["response"].is_object(), is_shown, "{seen}");
        }
        for other in [&world.alice, &tokens::service("till", json!("*"))] {
            assert_eq!(ask(other).await, json!({"key": key, "status": "unknown"}));
        }
    }
}
