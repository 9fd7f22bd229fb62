//! Freeze, unfreeze, close: what each answers, what stands in its way, and what others meet then.

use std::time::Duration;

use serde_json::{Value, json};
use shared::{
    Timestamp,
    testing::{eventually, tokens},
};
use wallet_service::ledger::UserRights;

use crate::app::{Answer, Call, TestApp, TestWallet};

fn order(wallet: &TestWallet, what: &str, body: Value) -> Call {
    Call::post(&wallet.path(what), body)
}

async fn ordered(app: &TestApp, wallet: &TestWallet, what: &str, body: Value) -> Value {
    app.call(order(wallet, what, body)).await.good(200)
}

fn later(seconds: u64) -> Timestamp {
    (Timestamp::now().utc() + Duration::from_secs(seconds)).into()
}

async fn kinds(app: &TestApp, wallet: &TestWallet) -> Vec<String> {
    let path = wallet.path("/events?order=asc");
    let page = app.get(&path).await.good(200);
    let items = page["items"].as_array().unwrap();
    let kind = |item: &Value| item["kind"].as_str().unwrap().to_owned();
    items.iter().map(kind).collect()
}

#[tokio::test]
async fn a_freeze_is_answered_and_shown_as_it_stands() {
    let app = TestApp::start().await;
    let wallet = app.funded_wallet("alice", "10.00").await;
    let until = later(3600);
    let body = json!({"reason": "card stolen", "direction": "debit", "until": until});
    let answer = app.call(order(&wallet, "/freeze", body)).await;
    let said = answer.good(200);
    assert_eq!(answer.header("etag"), Some("\"3\""));
    assert_eq!(answer.header("location"), None);
    assert_eq!(said.as_object().unwrap().len(), 1, "{said}");
    let freeze = said["wallet"]["freeze"].clone();
    let since = said["wallet"]["updated_at"].clone();
    let expected = json!({
        "direction": "debit", "reason": "card stolen", "actor": "anonymous", "since": since, "until": until,
    });
    assert_eq!(freeze, expected);
    assert_eq!(said["wallet"]["status"], json!("frozen"));
    let read = app.get(&wallet.path("")).await.good(200);
    assert_eq!(read, said["wallet"]);
    let listed = app.get("/wallets?status=frozen").await.good(200);
    assert_eq!(listed["items"], json!([read]));
    let events = app.get(&wallet.path("/events?limit=1")).await.good(200);
    let event = &events["items"][0];
    assert_eq!(event["kind"], json!("wallet.frozen"));
    let data = json!({"direction": "debit", "reason": "card stolen", "until": until});
    assert_eq!(event["data"], data);
    assert!(event.get("amount").is_none() && event.get("transaction_id").is_none());
}

#[tokio::test]
async fn a_refusal_says_which_way_no_money_moves_why_and_until_when() {
    let app = TestApp::start().await;
    let (alice, bob) = (
        app.funded_wallet("alice", "10.00").await,
        app.funded_wallet("bob", "10.00").await,
    );
    let until = later(3600);
    let fund = || order(&alice, "/fund", json!({"amount": "1.00"}));
    let withdraw = || order(&alice, "/withdraw", json!({"amount": "1.00"}));
    let transfer = |from: &TestWallet, to: &TestWallet| {
        order(
            from,
            "/transfer",
            json!({"amount": "1.00", "to_wallet_id": to.0}),
        )
    };
    for (direction, debit, credit) in [
        ("debit", true, false),
        ("credit", false, true),
        ("all", true, true),
    ] {
        let body = json!({"reason": "sanctions", "direction": direction, "until": until});
        ordered(&app, &alice, "/freeze", body).await;
        for (call, is_kept, field) in [
            (withdraw(), debit, "id"),
            (transfer(&alice, &bob), debit, "id"),
            (fund(), credit, "id"),
            (transfer(&bob, &alice), credit, "to_wallet_id"),
        ] {
            if !is_kept {
                app.call(call).await.good(201);
                continue;
            }
            let problem = app.refused(call).await;
            let problem = problem.problem_of(422, "wallet_frozen", field);
            assert_eq!(problem["direction"], json!(direction));
            assert_eq!(problem["reason"], json!("sanctions"));
            assert_eq!(problem["until"], json!(until));
        }
    }
}

#[tokio::test]
async fn a_freeze_without_more_words_is_of_all_money_and_for_good() {
    let app = TestApp::start().await;
    let wallet = app.funded_wallet("alice", "10.00").await;
    let said = ordered(&app, &wallet, "/freeze", json!({"reason": "r"})).await;
    let freeze = &said["wallet"]["freeze"];
    assert_eq!(freeze["direction"], json!("all"));
    assert!(freeze.get("until").is_none());
    let problem = app.refused(order(&wallet, "/fund", json!({"amount": "1.00"})));
    let problem = problem.await.problem(422, "wallet_frozen");
    assert!(problem.get("until").is_none());
}

#[tokio::test]
async fn freezing_again_replaces_the_freeze_and_unfreezing_again_is_refused() {
    let app = TestApp::start().await;
    let wallet = app.funded_wallet("alice", "10.00").await;
    let again = order(&wallet, "/unfreeze", json!({"reason": "r"}));
    app.refused(again.clone()).await.problem(409, "not_frozen");
    let first = json!({"reason": "one", "until": later(3600)});
    ordered(&app, &wallet, "/freeze", first).await;
    let second = json!({"reason": "two", "direction": "credit"});
    let said = ordered(&app, &wallet, "/freeze", second).await;
    let freeze = &said["wallet"]["freeze"];
    assert_eq!(freeze["reason"], json!("two"));
    assert!(freeze.get("until").is_none());
    app.withdraw(&wallet, "1.00").await.good(201);
    let said = ordered(&app, &wallet, "/unfreeze", json!({"reason": "found"})).await;
    assert_eq!(said["wallet"]["status"], json!("active"));
    assert!(said["wallet"].get("freeze").is_none());
    app.refused(again).await.problem(409, "not_frozen");
    app.fund(&wallet, "1.00").await.good(201);
    let expected = [
        "wallet.created",
        "wallet.funded",
        "wallet.frozen",
        "wallet.frozen",
        "wallet.withdrawn",
        "wallet.unfrozen",
        "wallet.funded",
    ];
    assert_eq!(kinds(&app, &wallet).await, expected);
}

#[tokio::test]
async fn a_field_of_an_order_that_cannot_be_used_is_named() {
    let app = TestApp::start().await;
    let wallet = app.create_wallet("alice").await;
    let long = "r".repeat(513);
    for what in ["/freeze", "/unfreeze", "/close"] {
        for (body, code, field) in [
            (json!({}), "missing_field", "reason"),
            (json!({"reason": null}), "missing_field", "reason"),
            (json!({"reason": ""}), "invalid_value", "reason"),
            (json!({"reason": " "}), "invalid_value", "reason"),
            (
                json!({"reason": "\u{a0} \u{2003}"}),
                "invalid_value",
                "reason",
            ),
            (json!({"reason": "a\nb"}), "invalid_value", "reason"),
            (json!({"reason": long}), "invalid_value", "reason"),
            (json!({"reason": 7}), "invalid_type", "reason"),
            (
                json!({"reason": "r", "colour": "red"}),
                "unknown_field",
                "colour",
            ),
        ] {
            let answer = app.refused(order(&wallet, what, body)).await;
            answer.problem_of(400, code, field);
        }
    }
    let past = "2020-01-01T00:00:00Z";
    for (what, more, code) in [
        ("/freeze", ("direction", json!("sideways")), "invalid_value"),
        ("/freeze", ("direction", json!(1)), "invalid_type"),
        ("/freeze", ("until", json!("tomorrow")), "invalid_value"),
        ("/freeze", ("until", json!("2026-12-01")), "invalid_value"),
        ("/freeze", ("until", json!(past)), "invalid_value"),
        ("/freeze", ("drain_to", json!(wallet.0)), "unknown_field"),
        ("/unfreeze", ("until", json!(past)), "unknown_field"),
        ("/close", ("drain_to", json!("bob")), "invalid_uuid"),
        ("/close", ("drain_to", json!(wallet.0)), "same_wallet"),
    ] {
        let (field, value) = more;
        let mut body = json!({"reason": "r"});
        body[field] = value;
        let answer = app.refused(order(&wallet, what, body)).await;
        answer.problem_of(400, code, field);
    }
    let no_one = TestWallet("01990000-0000-7000-8000-000000000001".to_owned());
    for what in ["/freeze", "/unfreeze", "/close"] {
        let answer = app.refused(order(&no_one, what, json!({"reason": "r"})));
        answer.await.problem_of(404, "wallet_not_found", "id");
    }
    let to_no_one = json!({"reason": "r", "drain_to": no_one.0});
    let answer = app.refused(order(&wallet, "/close", to_no_one)).await;
    answer.problem_of(404, "wallet_not_found", "drain_to");
}

#[tokio::test]
async fn an_order_is_carried_out_once_under_its_key_and_only_on_the_version_it_names() {
    let app = TestApp::start().await;
    let wallet = app.create_wallet("alice").await;
    let until = (Timestamp::now().utc() + Duration::from_millis(400)).into();
    let until: Timestamp = until;
    let freeze = order(&wallet, "/freeze", json!({"reason": "r", "until": until})).key("k");
    let first = app.call(freeze.clone()).await;
    let first = first.good(200);
    eventually("the end has come", Duration::from_secs(10), async || {
        (Timestamp::now() > until).then_some(())
    })
    .await;
    // What is asked again was right when it was asked.
    let again = app.call(freeze).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.good(200), first);
    let other = order(&wallet, "/freeze", json!({"reason": "s"})).key("k");
    app.refused(other)
        .await
        .problem(422, "idempotency_key_reused");
    let stale = order(&wallet, "/freeze", json!({"reason": "r"})).header("if-match", "\"1\"");
    let answer = app.refused(stale).await;
    answer.problem(412, "version_mismatch");
    let fresh = order(&wallet, "/freeze", json!({"reason": "r"})).header("if-match", "\"2\"");
    app.call(fresh).await.good(200);
}

/// No task of this instance looks for ends: what comes next does.
#[tokio::test]
async fn what_comes_after_the_end_of_a_freeze_is_not_refused_for_it() {
    let app = TestApp::start().await;
    let wallet = app.funded_wallet("alice", "10.00").await;
    let until: Timestamp = (Timestamp::now().utc() + Duration::from_millis(400)).into();
    let body = json!({"reason": "r", "until": until});
    ordered(&app, &wallet, "/freeze", body).await;
    eventually("the end has come", Duration::from_secs(10), async || {
        (Timestamp::now() > until).then_some(())
    })
    .await;
    let unfreeze = order(&wallet, "/unfreeze", json!({"reason": "r"}));
    app.refused(unfreeze).await.problem(409, "not_frozen");
    let said = app.withdraw(&wallet, "1.00").await.good(201);
    assert_eq!(said["wallet"]["status"], json!("active"));
    let path = wallet.path("/events?order=asc&after_sequence=3");
    let events = app.get(&path).await.good(200);
    let [unfrozen, withdrawn] = [0, 1].map(|place| events["items"][place].clone());
    assert_eq!(unfrozen["kind"], json!("wallet.unfrozen"));
    assert_eq!(unfrozen["data"], json!({"cause": "expiry"}));
    assert_eq!(unfrozen["actor"], json!("@system"));
    assert_eq!(withdrawn["kind"], json!("wallet.withdrawn"));
    assert_eq!(withdrawn["actor"], json!("anonymous"));
}

async fn closed(app: &TestApp, wallet: &TestWallet) {
    for (what, body) in [
        ("/fund", json!({"amount": "1.00"})),
        ("/withdraw", json!({"amount": "1.00"})),
        ("/freeze", json!({"reason": "r"})),
        ("/unfreeze", json!({"reason": "r"})),
        ("/close", json!({"reason": "r"})),
    ] {
        let answer = app.refused(order(wallet, what, body)).await;
        answer.problem_of(422, "wallet_closed", "id");
    }
}

#[tokio::test]
async fn an_empty_wallet_is_closed_for_ever() {
    let app = TestApp::start().await;
    let wallet = app.create_wallet("alice").await;
    let other = app.funded_wallet("bob", "10.00").await;
    let said = ordered(&app, &wallet, "/close", json!({"reason": "left"})).await;
    assert_eq!(said["wallet"]["status"], json!("closed"));
    assert!(said.get("transaction").is_none());
    closed(&app, &wallet).await;
    let answer = app
        .refused(order(
            &other,
            "/transfer",
            json!({"amount": "1.00", "to_wallet_id": wallet.0}),
        ))
        .await;
    answer.problem_of(422, "wallet_closed", "to_wallet_id");
    let answer = app
        .refused(order(
            &other,
            "/close",
            json!({"reason": "r", "drain_to": wallet.0}),
        ))
        .await;
    answer.problem_of(422, "wallet_closed", "drain_to");
    // Also for an instance that did not see it happen.
    closed(&app.restarted(), &wallet).await;
}

#[tokio::test]
async fn what_is_in_a_closed_wallet_is_where_it_was_told_to_go() {
    let app = TestApp::start().await;
    let wallet = app.funded_wallet("alice", "12.34").await;
    let rest = app.create_wallet("alice").await;
    let answer = app.refused(order(&wallet, "/close", json!({"reason": "left"})));
    let problem = answer.await.problem(422, "wallet_not_empty");
    assert_eq!(problem["balance"], json!("12.34"));
    assert_eq!(problem["held"], json!("0.00"));
    let body = json!({"reason": "left", "drain_to": rest.0});
    let close = order(&wallet, "/close", body).key("k");
    let answer = app.call(close.clone()).await;
    let said = answer.good(201);
    let transaction = &said["transaction"];
    let id = transaction["id"].as_str().unwrap();
    let location = format!("/transactions/{id}");
    assert_eq!(answer.header("location"), Some(&location[..]));
    assert_eq!(answer.header("etag"), Some("\"4\""));
    assert_eq!(
        (&transaction["kind"], &transaction["amount"]),
        (&json!("close"), &json!("12.34"))
    );
    assert_eq!(said["wallet"]["balance"], json!("0.00"));
    assert_eq!(app.balance(&rest).await, "12.34");
    assert_eq!(app.get(&location).await.good(200), *transaction);
    let events = app.get(&wallet.path("/events?limit=1")).await.good(200);
    let event = &events["items"][0];
    assert_eq!(event["kind"], json!("wallet.closed"));
    assert_eq!(
        event["data"],
        json!({"reason": "left", "drained_to": rest.0})
    );
    closed(&app, &wallet).await;
    // By this instance, and by one that has to read it.
    let again = app.call(close.clone()).await;
    assert_eq!(again.good(201), said);
    let app = app.restarted();
    let again = app.call(close).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.header("location"), Some(&location[..]));
    assert_eq!(again.good(201), said);
}

#[tokio::test]
async fn settlement_wallets_are_neither_frozen_nor_closed() {
    let app = TestApp::start().await;
    let alice = app.funded_wallet("alice", "10.00").await;
    let listed = app.get("/wallets?kind=settlement").await.good(200);
    let world = TestWallet(listed["items"][0]["id"].as_str().unwrap().to_owned());
    for what in ["/freeze", "/unfreeze", "/close"] {
        let answer = app.refused(order(&world, what, json!({"reason": "r"})));
        answer.await.problem_of(422, "settlement_wallet", "id");
    }
    let body = json!({"reason": "r", "drain_to": world.0});
    let answer = app.refused(order(&alice, "/close", body)).await;
    answer.problem_of(422, "settlement_wallet", "drain_to");
}

#[tokio::test]
async fn a_batch_of_payments_freezes_nothing() {
    let app = TestApp::start().await;
    let wallet = app.create_wallet("alice").await;
    let command = json!({"kind": "freeze", "wallet_id": wallet.0, "reason": "r"});
    let batch = Call::post("/transactions/batch", json!({"commands": [command]}));
    let answer = app.refused(batch).await;
    answer.problem_of(400, "invalid_value", "commands[0].kind");
    let wallet = app.funded_wallet("bob", "1.00").await;
    ordered(&app, &wallet, "/freeze", json!({"reason": "r"})).await;
    let command = json!({"kind": "fund", "wallet_id": wallet.0, "amount": "1.00"});
    let said = app
        .post("/transactions/batch", json!({"commands": [command]}))
        .await
        .good(200);
    let problem = &said["results"][0]["problem"];
    assert_eq!(problem["code"], json!("wallet_frozen"));
    assert_eq!(problem["reason"], json!("r"));
}

/// Who is frozen reads it, and cannot change it; who pays is told no more than that it does not go.
#[tokio::test]
async fn a_user_cannot_lift_a_freeze_and_others_do_not_learn_why_it_is_there() {
    let app = TestApp::guarded(UserRights::USUAL).await;
    let operator = tokens::service("desk", json!("*"));
    let made = async |user: &str| {
        let create = Call::post("/wallets", json!({"user_id": user})).token(&operator);
        let said = app.call(create).await.good(201);
        let wallet = TestWallet(said["id"].as_str().unwrap().to_owned());
        let fund = order(&wallet, "/fund", json!({"amount": "5.00"})).token(&operator);
        app.call(fund).await.good(201);
        wallet
    };
    let (alice, bob) = (made("alice").await, made("bob").await);
    let freeze = order(
        &alice,
        "/freeze",
        json!({"reason": "court order 7", "until": later(3600)}),
    );
    app.call(freeze.token(&operator)).await.good(200);
    let hers = tokens::user("alice");
    for what in ["/freeze", "/unfreeze", "/close"] {
        let asked = order(&alice, what, json!({"reason": "r"})).token(&hers);
        let answer: Answer = app.refused(asked).await;
        let problem = answer.problem(403, "scope_missing");
        assert_eq!(problem["scope"], json!("admin"));
    }
    let read = app.call(Call::get(&alice.path("")).token(&hers)).await;
    let freeze = &read.good(200)["freeze"];
    assert_eq!(freeze["reason"], json!("court order 7"));
    assert_eq!(freeze["actor"], json!("desk"));
    let pay = json!({"amount": "1.00", "to_wallet_id": alice.0});
    let pay = order(&bob, "/transfer", pay).token(&tokens::user("bob"));
    let answer = app.refused(pay).await;
    let problem = answer.problem_of(422, "wallet_frozen", "to_wallet_id");
    assert_eq!(problem["direction"], json!("all"));
    assert!(problem.get("reason").is_none() && problem.get("until").is_none());
    let unfreeze = order(&alice, "/unfreeze", json!({"reason": "r"})).token(&operator);
    app.call(unfreeze).await.good(200);
    let events = Call::get(&alice.path("/events?limit=1")).token(&hers);
    let events = app.call(events).await.good(200);
    let event = &events["items"][0];
    assert_eq!(
        (&event["actor"], &event["subject"]),
        (&json!("desk"), &json!("alice"))
    );
}
