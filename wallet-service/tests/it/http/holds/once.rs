//! Once and no more: keys, versions, references, ends, and several who ask at the same time.

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use shared::{Timestamp, testing::eventually};

use super::{of, parts, place, placed};
use crate::app::{Answer, TestApp};

#[tokio::test]
async fn each_command_is_carried_out_once_under_its_key_and_answered_again_word_for_word() {
    let app = TestApp::start().await;
    let wallet = app.funded_wallet("alice", "100.00").await;
    let bob = app.create_wallet("bob").await;
    let body = json!({"amount": "50.00", "to_wallet_id": bob.0, "metadata": {"a": "b"}});
    let mut calls = vec![place(&wallet, body).key("place")];
    let first = app.call(calls[0].clone()).await;
    let hold = first.good(201)["hold"].clone();
    let part = json!({"amount": "5.00", "final": false});
    for (what, body) in [
        ("/increase", json!({"amount": "10.00"})),
        ("/extend", json!({"expires_at": "2099-12-31T00:00:00Z"})),
        ("/capture", part),
        ("/release", json!({"amount": "1.00"})),
    ] {
        calls.push(of(&hold, what, body).key(what));
    }
    let mut answers = vec![first];
    for call in &calls[1..] {
        answers.push(app.call(call.clone()).await);
    }
    let same = |again: &Answer, first: &Answer| {
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
        assert_eq!(again.status, first.status);
        for name in ["location", "etag"] {
            assert_eq!(again.header(name), first.header(name));
        }
        assert_eq!(again.json(), first.json());
    };
    let before = app.state().await;
    for (call, first) in calls.iter().zip(&answers) {
        same(&app.call(call.clone()).await, first);
    }
    assert_eq!(app.state().await, before);
    // By its key alone, and by an instance that has to read it.
    let app = app.restarted();
    for (name, first) in [
        "place",
        "%2Fincrease",
        "%2Fextend",
        "%2Fcapture",
        "%2Frelease",
    ]
    .iter()
    .zip(&answers)
    {
        let path = format!("/idempotency-keys/{name}");
        let kept = app.get(&path).await.good(200);
        assert_eq!(kept["status"], json!("succeeded"), "{name}");
        assert_eq!(kept["response_status"], json!(first.status), "{name}");
        assert_eq!(kept["response"], first.json(), "{name}");
    }
    for (call, first) in calls.iter().zip(&answers) {
        same(&app.call(call.clone()).await, first);
    }
    let other = of(&hold, "/release", json!({"amount": "2.00"})).key("/release");
    app.refused(other)
        .await
        .problem(422, "idempotency_key_reused");
    // A refusal is kept too.
    let all = of(&hold, "/capture", json!({"amount": "500.00"})).key("too-much");
    app.refused(all.clone())
        .await
        .problem(422, "insufficient_hold");
    let again = app.refused(all).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
}

#[tokio::test]
async fn a_command_about_a_hold_may_ask_for_the_version_of_its_wallet() {
    let app = TestApp::start().await;
    let wallet = app.funded_wallet("alice", "100.00").await;
    let hold = placed(&app, &wallet, json!({"amount": "50.00"})).await;
    let release = || of(&hold, "/release", json!({"amount": "1.00"}));
    let stale = release().header("if-match", "\"2\"");
    app.refused(stale).await.problem(412, "version_mismatch");
    let fresh = release().header("if-match", "\"3\"");
    app.call(fresh).await.good(200);
}

#[tokio::test]
async fn a_reference_of_a_capture_is_its_transactions() {
    let app = TestApp::start().await;
    let wallet = app.funded_wallet("alice", "100.00").await;
    let body = json!({"amount": "50.00", "reference": "order-7"});
    let hold = placed(&app, &wallet, body).await;
    let capture = || {
        let body = json!({"amount": "5.00", "final": false, "reference": "order-7"});
        of(&hold, "/capture", body)
    };
    let said = app.call(capture()).await.good(201);
    assert_eq!(said["transaction"]["hold_id"], hold["id"]);
    let path = format!(
        "/transactions/{}",
        said["transaction"]["id"].as_str().unwrap()
    );
    assert_eq!(app.get(&path).await.good(200)["hold_id"], hold["id"]);
    // The same again is that capture, and takes no more.
    let before = app.state().await;
    let again = app.call(capture()).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.good(201), said);
    assert_eq!(app.state().await, before);
    let more = json!({"amount": "6.00", "final": false, "reference": "order-7"});
    let answer = app.refused(of(&hold, "/capture", more)).await;
    let problem = answer.problem(409, "reference_reused");
    assert_eq!(problem["transaction_id"], said["transaction"]["id"]);
    // Also when nothing of the hold is left.
    app.call(of(&hold, "/capture", json!({}))).await.good(201);
    assert_eq!(app.call(capture()).await.good(201), said);
    let place = place(&wallet, json!({"amount": "1.00", "reference": "order-7"}));
    app.refused(place).await.problem(409, "reference_reused");
}

/// No task of this instance looks for ends.
#[tokio::test]
async fn nothing_is_done_to_a_hold_whose_end_has_come() {
    let app = TestApp::start().await;
    let wallet = app.funded_wallet("alice", "100.00").await;
    let until: Timestamp = (Timestamp::now().utc() + Duration::from_millis(400)).into();
    let body = json!({"amount": "50.00", "expires_at": until});
    let hold = placed(&app, &wallet, body).await;
    eventually("the end has come", Duration::from_secs(10), async || {
        (Timestamp::now() > until).then_some(())
    })
    .await;
    for (what, body) in [
        ("/capture", json!({})),
        ("/release", json!({})),
        ("/increase", json!({"amount": "1.00"})),
        ("/extend", json!({"expires_in": 86_400})),
    ] {
        let answer = app.refused(of(&hold, what, body)).await;
        let problem = answer.problem_of(409, "hold_expired", "id");
        assert_eq!(problem["expires_at"], json!(until));
    }
}

#[tokio::test]
async fn two_who_capture_all_of_it_at_once_are_one_who_gets_it_and_one_who_hears_why_not() {
    let app = TestApp::start().await;
    let wallet = app.funded_wallet("alice", "100.00").await;
    for _ in 0..10 {
        let hold = placed(&app, &wallet, json!({"amount": "5.00"})).await;
        let calls = (0..2).map(|_| app.call(of(&hold, "/capture", json!({}))));
        let mut answers = join_all(calls).await;
        answers.sort_by_key(|answer| answer.status);
        answers[0].good(201);
        let problem = answers[1].problem_of(409, "hold_closed", "id");
        assert_eq!(problem["hold_status"], json!("captured"));
    }
    // As many as fit get a part each.
    let hold = placed(&app, &wallet, json!({"amount": "50.00"})).await;
    let part = || json!({"amount": "8.00", "final": false});
    let calls = (0..10).map(|_| app.call(of(&hold, "/capture", part())));
    let answers = join_all(calls).await;
    let good = answers.iter().filter(|answer| answer.status == 201);
    assert_eq!(good.count(), 6);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        let problem = answer.problem(422, "insufficient_hold");
        assert_eq!(problem["remaining"], json!("2.00"));
    }
    let path = format!("/holds/{}", hold["id"].as_str().unwrap());
    let read = json!({"hold": app.get(&path).await.good(200)});
    assert_eq!(parts(&read), ["50.00", "48.00", "0.00", "2.00", "open"]);
}
