//! Names, labels and notes of wallets: said when a wallet is made, changed after that, told wherever a wallet is.

use axum::http::Method;
use serde_json::{Value, json};

use crate::app::{Answer, Call, TestApp, TestWallet};

fn patch(wallet: &TestWallet, body: Value) -> Call {
    Call::post(&wallet.path(""), body).method(Method::PATCH)
}

impl TestApp {
    async fn named(&self, external_id: &str) -> Answer {
        let body = json!({"user_id": "alice", "external_id": external_id});
        self.post("/wallets", body).await
    }

    async fn described(&self) -> TestWallet {
        let body = json!({
            "user_id": "alice", "external_id": "crm/7 – \"ä\"", "label": "Rent", "metadata": {"plan": "gold", "tier": "1"},
        });
        let made = self.post("/wallets", body).await.good(201);
        TestWallet(made["id"].as_str().unwrap().to_owned())
    }

    async fn events(&self, wallet: &TestWallet) -> Value {
        let page = self.get(&wallet.path("/events?order=asc")).await.good(200);
        page["items"].clone()
    }
}

#[tokio::test]
async fn what_a_wallet_is_made_with_is_told_wherever_the_wallet_is_and_in_its_first_event() {
    let app = TestApp::start().await;
    let wallet = app.described().await;
    let read = app.get(&wallet.path("")).await.good(200);
    assert_eq!(read["external_id"], "crm/7 – \"ä\"");
    assert_eq!(read["label"], "Rent");
    assert_eq!(read["metadata"], json!({"plan": "gold", "tier": "1"}));
    let funded = app.fund(&wallet, "1.00").await.good(201);
    for member in ["external_id", "label", "metadata"] {
        assert_eq!(funded["wallet"][member], read[member], "{member}");
    }
    let events = app.events(&wallet).await;
    assert_eq!(
        events[0]["data"],
        json!({"external_id": "crm/7 – \"ä\"", "label": "Rent", "metadata": {"plan": "gold", "tier": "1"}})
    );
    let bare = app.create_wallet("bob").await;
    let read = app.get(&bare.path("")).await.good(200);
    assert_eq!(read.get("external_id"), None);
    assert_eq!(app.events(&bare).await[0]["data"], json!({}));
}

#[tokio::test]
async fn a_patch_changes_what_it_names_removes_what_is_null_and_leaves_the_rest() {
    let app = TestApp::start().await;
    let wallet = app.described().await;
    let steps = [
        (
            json!({"label": "Food"}),
            json!("Food"),
            json!({"plan": "gold", "tier": "1"}),
        ),
        (
            json!({"metadata": {"plan": null, "since": "2026"}}),
            json!("Food"),
            json!({"since": "2026", "tier": "1"}),
        ),
        (
            json!({"label": null, "metadata": {}}),
            Value::Null,
            json!({"since": "2026", "tier": "1"}),
        ),
        (json!({"metadata": null}), Value::Null, Value::Null),
    ];
    for (place, (body, label, metadata)) in steps.into_iter().enumerate() {
        let answer = app.call(patch(&wallet, body.clone())).await;
        let after = answer.good(200)["wallet"].clone();
        assert_eq!(
            (&after["label"], &after["metadata"]),
            (&label, &metadata),
            "{body}"
        );
        assert_eq!(after["external_id"], "crm/7 – \"ä\"", "{body}");
        assert_eq!(after["version"], json!(place + 2));
        assert_eq!(
            answer.header("etag"),
            Some(&format!("\"{}\"", place + 2)[..])
        );
        assert_eq!(app.get(&wallet.path("")).await.good(200), after);
    }
    let events = app.events(&wallet).await;
    assert_eq!(events[2]["kind"], "wallet.updated");
    assert_eq!(
        events[2]["data"],
        json!({"label": "Food", "metadata": {"since": "2026", "tier": "1"}})
    );
    assert_eq!(events[4]["data"], json!({}));
    assert_eq!(events[4].get("amount"), None);
}

#[tokio::test]
async fn a_patch_that_cannot_be_is_refused_by_field() {
    let app = TestApp::start().await;
    let wallet = app.described().await;
    let many: serde_json::Map<_, _> = (0..21).map(|n| (n.to_string(), json!("v"))).collect();
    let long = format!("metadata.{}…", "k".repeat(64));
    for (body, code, field) in [
        (json!({}), "missing_field", "label"),
        (json!({"label": 7}), "invalid_type", "label"),
        (json!({"label": ""}), "invalid_value", "label"),
        (json!({"label": "l".repeat(129)}), "invalid_value", "label"),
        (json!({"metadata": []}), "invalid_type", "metadata"),
        (json!({"metadata": {"k": 1}}), "invalid_type", "metadata.k"),
        (
            json!({"metadata": {"k": "a\u{7}"}}),
            "invalid_value",
            "metadata.k",
        ),
        (json!({"label": "gift\u{202e}"}), "invalid_value", "label"),
        (
            json!({"metadata": {"k": "a\u{200b}b"}}),
            "invalid_value",
            "metadata.k",
        ),
        (
            json!({"metadata": {"a\u{2066}b": "v"}}),
            "invalid_value",
            r"metadata.a\u{2066}b",
        ),
        (
            json!({"metadata": {"k".repeat(65): "v"}}),
            "invalid_value",
            &long,
        ),
        (json!({"metadata": many}), "invalid_value", "metadata"),
        (
            json!({"label": "x", "external_id": "new"}),
            "unknown_field",
            "external_id",
        ),
        (
            json!({"label": "x", "currency": "EUR"}),
            "unknown_field",
            "currency",
        ),
    ] {
        app.refused(patch(&wallet, body))
            .await
            .problem_of(400, code, field);
    }
    // What is null is none of them.
    let mut at_most: serde_json::Map<_, _> = (0..20).map(|n| (n.to_string(), json!("v"))).collect();
    at_most.insert("none".to_owned(), Value::Null);
    let body = json!({"user_id": "dora", "metadata": at_most});
    let made = app.post("/wallets", body).await.good(201);
    assert_eq!(
        made["metadata"].as_object().map(serde_json::Map::len),
        Some(20)
    );
    // Nineteen beside the two that are there.
    let more: serde_json::Map<_, _> = (0..19).map(|n| (n.to_string(), json!("v"))).collect();
    app.refused(patch(&wallet, json!({"metadata": more})))
        .await
        .problem_of(400, "invalid_value", "metadata");
    let nowhere = TestWallet("01990000-0000-7000-8000-000000000001".to_owned());
    app.refused(patch(&nowhere, json!({"label": "x"})))
        .await
        .problem_of(404, "wallet_not_found", "id");
}

#[tokio::test]
async fn a_label_with_white_space_at_an_end_is_refused() {
    let app = TestApp::start().await;
    let wallet = app.described().await;
    for label in [" ", " Rent", "Rent ", "Rent\u{a0}"] {
        app.refused(patch(&wallet, json!({"label": label})))
            .await
            .problem_of(400, "invalid_value", "label");
        let made = json!({"user_id": "carol", "label": label});
        let problem = app.post("/wallets", made).await;
        problem.problem_of(400, "invalid_value", "label");
    }
}

#[tokio::test]
async fn a_patch_heeds_the_version_and_its_key_and_answers_again_word_for_word() {
    let app = TestApp::start().await;
    let wallet = app.described().await;
    let stale = patch(&wallet, json!({"label": "x"})).header("if-match", "\"7\"");
    app.refused(stale).await.problem(412, "version_mismatch");
    let change = || patch(&wallet, json!({"label": "Food"})).key("describe");
    let matched = || change().header("if-match", "\"1\"");
    let first = app.call(matched()).await;
    first.good(200);
    // The version is a part of the request.
    app.refused(change())
        .await
        .problem(422, "idempotency_key_reused");
    let funded = app
        .call(Call::post(&wallet.path("/fund"), json!({"amount": "1.00"})).key("fund"))
        .await;
    let kept = app.get("/idempotency-keys/describe").await.good(200);
    assert_eq!(kept["response"], first.good(200));
    app.call(patch(
        &wallet,
        json!({"label": "Other", "metadata": {"new": "1"}}),
    ))
    .await
    .good(200);
    let app = app.restarted();
    let again = app.call(matched()).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.body, first.body);
    let again = app
        .call(Call::post(&wallet.path("/fund"), json!({"amount": "1.00"})).key("fund"))
        .await;
    assert_eq!(again.body, funded.body, "as it was described then");
}

#[tokio::test]
async fn a_name_is_given_once_and_finds_its_wallet() {
    let app = TestApp::start().await;
    let first = app.named("crm 7/ä?").await.good(201);
    let body = json!({"user_id": "bob", "external_id": "crm 7/ä?"});
    let taken = app.refused(Call::post("/wallets", body)).await;
    let problem = taken.problem_of(409, "already_exists", "external_id");
    assert_eq!(problem["wallet_id"], first["id"]);
    app.named("crm 8").await.good(201);
    let found = app.get("/wallets?external_id=crm%207/%C3%A4%3F").await;
    assert_eq!(found.good(200)["items"], json!([first]));
    let none = app.get("/wallets?external_id=crm").await.good(200);
    assert_eq!(none["items"], json!([]));
    app.get("/wallets?external_id=")
        .await
        .problem_of(400, "invalid_value", "external_id");
    for (name, code) in [
        (json!(""), "invalid_value"),
        (json!("x".repeat(129)), "invalid_value"),
        (json!("a\nb"), "invalid_value"),
        (json!(7), "invalid_type"),
    ] {
        let body = json!({"user_id": "alice", "external_id": name});
        app.refused(Call::post("/wallets", body))
            .await
            .problem_of(400, code, "external_id");
    }
    app.named(&"ü".repeat(128)).await.good(201);
    app.named(" any text ").await.good(201);
}

#[tokio::test]
async fn a_name_that_was_refused_under_a_key_is_refused_again_and_a_new_one_is_asked_for_by_a_new_key()
 {
    let app = TestApp::start().await;
    let create = |name: &str, key: &str| {
        let body = json!({"user_id": "alice", "external_id": name});
        app.call(Call::post("/wallets", body).key(key))
    };
    let made = create("a", "1").await;
    let again = create("a", "1").await;
    assert_eq!(made.good(201), again.good(201));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    create("a", "2").await.problem(409, "already_exists");
    let refused = create("a", "2").await;
    refused.problem(409, "already_exists");
    assert_eq!(refused.header("idempotent-replayed"), Some("true"));
}

/// A name that is on its way in another session is waited for, and no other command with it.
#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_give_a_name_at_once_one_gets_it() {
    const CALLERS: usize = 30;
    let app = TestApp::start().await;
    let calls = (0..CALLERS).map(|_| app.named("one"));
    let answers = futures::future::join_all(calls).await;
    let (made, refused): (Vec<Answer>, Vec<Answer>) =
        answers.into_iter().partition(|answer| answer.status == 201);
    assert_eq!(made.len(), 1);
    let id = made[0].good(201)["id"].clone();
    for answer in refused {
        assert_eq!(answer.problem(409, "already_exists")["wallet_id"], id);
    }
}
