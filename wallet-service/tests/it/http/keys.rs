//! `GET /idempotency-keys/{key}`: a caller that lost its answers and has its keys finds out what became of each command.

use std::{collections::BTreeMap, future::Future, pin::pin, task::Poll, time::Duration};

use futures::future::{join_all, poll_fn};
use serde_json::{Value, json};
use shared::testing::eventually;

use crate::app::{Answer, Call, TestApp};

const SOON: Duration = Duration::from_secs(30);

impl TestApp {
    async fn key(&self, key: &str) -> Value {
        self.get(&format!("/idempotency-keys/{key}"))
            .await
            .good(200)
    }
}

/// A problem belongs to the request that it answers, but for that request's id.
fn without_request_id(mut body: Value) -> Value {
    if let Some(body) = body.as_object_mut() {
        body.remove("request_id");
    }
    body
}

#[tokio::test]
async fn the_answer_of_each_command_is_found_by_its_key() {
    let app = TestApp::start().await;
    let (alice, bob) = (
        app.funded_wallet("alice", "100.00").await,
        app.create_wallet("bob").await,
    );
    let cases = [
        (
            "/wallets".to_owned(),
            json!({"user_id": "carol"}),
            "succeeded",
        ),
        (
            alice.path("/fund"),
            json!({"amount": "1.00", "reference": "r"}),
            "succeeded",
        ),
        (
            alice.path("/withdraw"),
            json!({"amount": "1.00"}),
            "succeeded",
        ),
        (
            alice.path("/transfer"),
            json!({"to_wallet_id": bob.0, "amount": "1.00"}),
            "succeeded",
        ),
        (
            alice.path("/withdraw"),
            json!({"amount": "1000.00"}),
            "refused",
        ),
        (
            "/wallets/01990000-0000-7000-8000-000000000001/fund".to_owned(),
            json!({"amount": "1.00"}),
            "refused",
        ),
    ];
    let mut answered: Vec<(String, &str, Answer)> = Vec::new();
    for (number, (path, body, status)) in cases.into_iter().enumerate() {
        let key = format!("key-{number}");
        assert_eq!(
            app.key(&key).await,
            json!({"key": key, "status": "unknown"})
        );
        let answer = app.call(Call::post(&path, body).key(&key)).await;
        answered.push((key, status, answer));
    }
    // Not as the wallet is now.
    app.fund(&alice, "5.00").await.good(201);
    let app = app.restarted();
    for (key, status, answer) in answered {
        let kept = app.key(&key).await;
        assert_eq!(kept["status"], json!(status), "{kept}");
        assert_eq!(kept["response_status"], json!(answer.status), "{kept}");
        let response = without_request_id(kept["response"].clone());
        assert_eq!(response, without_request_id(answer.json()));
        assert!(kept["expires_at"].is_string(), "{kept}");
    }
}

#[tokio::test]
async fn a_command_of_a_batch_is_found_by_its_key() {
    let app = TestApp::start().await;
    let alice = app.funded_wallet("alice", "1.00").await;
    let commands: Vec<Value> = ["1.00", "2.00"]
        .iter()
        .map(|amount| {
            json!({"kind": "withdraw", "wallet_id": alice.0, "amount": amount, "idempotency_key": amount})
        })
        .collect();
    let body = json!({"commands": commands});
    let results = app.post("/transactions/batch", body).await.good(200);
    let (done, refused) = (app.key("1.00").await, app.key("2.00").await);
    assert_eq!(
        done["response"]["transaction"],
        results["results"][0]["transaction"]
    );
    assert_eq!(done["response"]["wallet"], results["results"][0]["wallet"]);
    assert_eq!(refused["response"]["code"], json!("insufficient_funds"));
}

#[tokio::test]
async fn a_key_is_found_whatever_is_in_it_and_only_a_key_is_asked_for() {
    let app = TestApp::start().await;
    let alice = app.create_wallet("alice").await;
    for (key, path) in [
        ("a/b?c=d#e", "a%2Fb%3Fc%3Dd%23e"),
        ("100%", "100%25"),
        ("..", "%2E%2E"),
        ("'or''='", "'or''='"),
    ] {
        let fund = Call::post(&alice.path("/fund"), json!({"amount": "1.00"}));
        app.call(fund.key(key)).await.good(201);
        let kept = app.key(path).await;
        assert_eq!(
            (&kept["key"], &kept["status"]),
            (&json!(key), &json!("succeeded"))
        );
    }
    let wrong = [("two%20words", "key"), (&"k".repeat(256), "key")];
    for (path, field) in wrong {
        let answer = app.get(&format!("/idempotency-keys/{path}")).await;
        answer.problem_of(400, "invalid_value", field);
    }
}

#[tokio::test]
async fn a_command_that_waits_is_in_progress_and_then_is_answered() {
    let app = TestApp::start().await;
    let alice = app.funded_wallet("alice", "1.00").await;
    let mut lock = app.database.pool().acquire().await.unwrap();
    sqlx::query("begin").execute(&mut *lock).await.unwrap();
    sqlx::query("select from wallets where id = $1::uuid for update")
        .bind(&alice.0)
        .execute(&mut *lock)
        .await
        .unwrap();
    let withdraw = Call::post(&alice.path("/withdraw"), json!({"amount": "1.00"}));
    let mut withdraw = pin!(app.call(withdraw.key("w")));
    let is_in_progress = eventually("it is in progress", SOON, async || {
        (app.key("w").await["status"] == "in_progress").then_some(())
    });
    tokio::select! {
        () = is_in_progress => {}
        answer = &mut withdraw => panic!("nothing can be done while the wallet is locked: {answer:?}"),
    }
    sqlx::query("rollback").execute(&mut *lock).await.unwrap();
    withdraw.await.good(201);
    assert_eq!(app.key("w").await["status"], "succeeded");
}

/// Polls a call so often and then drops it, as a server drops the call of a client that went away.
async fn abandoned(call: impl Future, polls: u32) {
    let mut call = pin!(call);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 || call.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        left -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_lost_answers_are_recovered_from_their_keys() {
    const CALLS: u32 = 10_000;
    const AT_ONCE: u32 = 500;
    const ASKED_AT_ONCE: u32 = 50;
    let app = TestApp::start().await;
    let alice = app.create_wallet("alice").await;
    let fund = |key: u32| {
        let call = Call::post(&alice.path("/fund"), json!({"amount": "0.01"}));
        app.call(call.key(&key.to_string()))
    };
    for first in (0..CALLS).step_by(AT_ONCE as usize) {
        let calls = (first..first + AT_ONCE).map(|key| abandoned(fund(key), key % 60));
        join_all(calls).await;
    }
    let recovered = async |key: u32| {
        let path = format!("/idempotency-keys/{key}");
        let kept = eventually("it is decided", SOON, async || {
            let answer = app.get(&path).await;
            // So many who ask have few connections: who has waited for one in vain asks again.
            if answer.status == 503 {
                return None;
            }
            let kept = answer.good(200);
            (kept["status"] != "in_progress").then_some(kept)
        })
        .await;
        let status = kept["status"].as_str().unwrap().to_owned();
        if status == "unknown" {
            // Nothing was done: it is sent again.
            let answer = fund(key).await;
            assert_eq!(answer.header("idempotent-replayed"), None, "{key}");
            answer.good(201);
        }
        status
    };
    let mut told: BTreeMap<String, u32> = BTreeMap::new();
    for first in (0..CALLS).step_by(ASKED_AT_ONCE as usize) {
        let keys = first..first + ASKED_AT_ONCE;
        for status in join_all(keys.map(&recovered)).await {
            *told.entry(status).or_default() += 1;
        }
    }
    assert_eq!(app.balance(&alice).await, "100.00");
    assert!(told["succeeded"] > 0 && told["unknown"] > 0, "{told:?}");
}
