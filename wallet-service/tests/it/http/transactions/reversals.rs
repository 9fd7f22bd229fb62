//! Money goes the way it came, whole or in parts: by who has it, and never more of it than came.

use futures::future::join_all;
use serde_json::{Value, json};
use shared::testing::tokens;
use wallet_service::ledger::UserRights;

use super::{id, leg, outside, post, read, reverse};
use crate::app::{Call, TestApp, TestWallet};

/// Alice sent Bob so much of 100.00.
async fn sent(app: &TestApp, amount: &str) -> ([TestWallet; 2], String) {
    let alice = app.funded_wallet("alice", "100.00").await;
    let bob = app.create_wallet("bob").await;
    let said = app.transfer(&alice, &bob, amount).await.good(201);
    ([alice, bob], id(&said))
}

#[tokio::test]
async fn a_refund_in_parts_is_linked_both_ways_and_says_what_is_left() {
    let app = TestApp::start().await;
    let ([alice, bob], paid) = sent(&app, "30.00").await;
    let before = read(&app, &paid).await;
    assert_eq!(before["reversed"], Value::Null);
    let first = app.call(reverse(&paid, json!({"amount": "10.00"}))).await;
    let said = first.good(201);
    let transaction = &said["transaction"];
    assert_eq!(
        first.header("location").unwrap(),
        format!("/transactions/{}", id(&said))
    );
    assert_eq!(first.header("etag"), Some("\"3\""));
    assert_eq!(transaction["kind"], json!("reversal"));
    assert_eq!(transaction["reverses"], json!(paid));
    assert_eq!(transaction["reason"], json!("a mistake"));
    assert_eq!(said["wallet"]["id"], json!(bob.0));
    assert_eq!(said["wallet"]["balance"], json!("20.00"));
    let original = json!({
        "id": paid, "currency": "USD", "amount": "30.00", "reversed": "10.00", "reversible": "20.00",
    });
    assert_eq!(said["original"], original);
    let mut expected = before.clone();
    expected["reversed"] = json!("10.00");
    expected["reversible"] = json!("20.00");
    expected["reversals"] = json!([id(&said)]);
    assert_eq!(read(&app, &paid).await, expected);
    assert_eq!(read(&app, &id(&said)).await, *transaction);
    let too_large = app
        .refused(reverse(&paid, json!({"amount": "20.01"})))
        .await;
    let problem = too_large.problem_of(422, "reversal_too_large", "amount");
    assert_eq!(problem["reversible"], json!("20.00"));
    assert_eq!(problem["required"], json!("20.01"));
    let rest = app.call(reverse(&paid, json!({}))).await.good(201);
    assert_eq!(rest["transaction"]["amount"], json!("20.00"));
    assert_eq!(rest["original"]["reversible"], json!("0.00"));
    let answer = app.refused(reverse(&paid, json!({}))).await;
    let problem = answer.problem_of(409, "already_reversed", "id");
    assert_eq!(problem["reversible"], json!("0.00"));
    assert_eq!(
        read(&app, &paid).await["reversals"],
        json!([id(&said), id(&rest)])
    );
    assert_eq!(app.balance(&alice).await, "100.00");
    let answer = app.refused(reverse(&id(&rest), json!({}))).await;
    answer.problem_of(422, "not_reversible", "id");
    let events = app.get(&bob.path("/events?limit=1")).await.good(200);
    let event = &events["items"][0];
    assert_eq!(event["kind"], json!("transaction.reversed"));
    assert_eq!(event["data"]["reverses"], json!(paid));
    assert_eq!(event["counterparty_wallet_id"], json!(alice.0));
}

#[tokio::test]
async fn a_reversal_is_answered_again_under_its_key_as_it_was() {
    let app = TestApp::start().await;
    let (_, paid) = sent(&app, "30.00").await;
    let part = || reverse(&paid, json!({"amount": "10.00"})).key("part");
    let first = app.call(part()).await;
    app.call(reverse(&paid, json!({}))).await.good(201);
    let app = app.restarted();
    let before = app.state().await;
    let again = app.call(part()).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.good(201), first.good(201));
    let kept = app.get("/idempotency-keys/part").await.good(200);
    assert_eq!(kept["response"], first.json());
    assert_eq!(app.state().await, before);
    // The transaction that was taken back is answered again as it was, too.
    let more = reverse(&paid, json!({"amount": "11.00"})).key("part");
    app.refused(more)
        .await
        .problem(422, "idempotency_key_reused");
}

#[tokio::test]
async fn those_who_take_back_at_once_get_what_fits() {
    let app = TestApp::start().await;
    let (_, paid) = sent(&app, "30.00").await;
    let calls = (0..10).map(|_| app.call(reverse(&paid, json!({"amount": "4.00"}))));
    let answers = join_all(calls).await;
    let good = answers.iter().filter(|answer| answer.status == 201);
    assert_eq!(good.count(), 7);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        let problem = answer.problem(422, "reversal_too_large");
        assert_eq!(problem["reversible"], json!("2.00"));
    }
    let calls = (0..2).map(|_| app.call(reverse(&paid, json!({}))));
    let mut answers = join_all(calls).await;
    answers.sort_by_key(|answer| answer.status);
    answers[0].good(201);
    answers[1].problem_of(409, "already_reversed", "id");
}

#[tokio::test]
async fn what_was_spent_is_refused_with_what_is_recoverable_and_an_operator_may_overdraw() {
    let app = TestApp::start().await;
    let ([alice, bob], paid) = sent(&app, "30.00").await;
    app.withdraw(&bob, "25.00").await.good(201);
    let answer = app.refused(reverse(&paid, json!({}))).await;
    let problem = answer.problem_of(422, "insufficient_funds", "amount");
    assert_eq!(problem["recoverable"], json!("5.00"));
    assert_eq!(problem["required"], json!("30.00"));
    assert_eq!(problem.get("available"), None);
    assert_eq!(problem["wallet_id"], json!(bob.0));
    let all = || reverse(&paid, json!({"allow_negative": true})).key("all");
    let first = app.call(all()).await.good(201);
    assert_eq!(first["wallet"]["available"], json!("-25.00"));
    assert_eq!(app.balance(&alice).await, "100.00");
    let app = app.restarted();
    assert_eq!(app.call(all()).await.good(201), first);
    // It takes money, and gives none until it is at its floor again.
    let answer = app.refused(Call::post(
        &bob.path("/withdraw"),
        json!({"amount": "0.01"}),
    ));
    answer.await.problem(422, "insufficient_funds");
    app.fund(&bob, "20.00").await.good(201);
    let spend = Call::post(&bob.path("/withdraw"), json!({"amount": "0.01"}));
    app.refused(spend.clone())
        .await
        .problem(422, "insufficient_funds");
    app.fund(&bob, "5.01").await.good(201);
    app.call(spend).await.good(201);
    let overdrawn = "select count(*) from wallets where overdrawn <> 0";
    assert_eq!(app.count(overdrawn).await, 0);
}

#[tokio::test]
async fn captures_funds_withdrawals_and_postings_go_back_the_way_they_came() {
    let app = TestApp::start().await;
    let alice = app.create_wallet("alice").await;
    let bob = app.create_wallet("bob").await;
    let funded = app.fund(&alice, "100.00").await.good(201);
    let withdrawn = app.withdraw(&alice, "10.00").await.good(201);
    let back = app
        .call(reverse(&id(&withdrawn), json!({})))
        .await
        .good(201);
    assert_eq!(back["wallet"]["balance"], json!("100.00"));
    let place = Call::post(&alice.path("/holds"), json!({"amount": "50.00"}));
    let hold = app.call(place).await.good(201)["hold"]["id"].clone();
    let path = format!("/holds/{}/capture", hold.as_str().unwrap());
    let captured = app.post(&path, json!({"amount": "20.00"})).await.good(201);
    let back = app.call(reverse(&id(&captured), json!({"amount_minor": 500})));
    assert_eq!(back.await.good(201)["wallet"]["balance"], json!("85.00"));
    let legs = [
        outside("USD", "-10.00"),
        leg(&alice, "9.00"),
        leg(&bob, "1.00"),
    ];
    let posted = app.call(post(&legs)).await.good(201);
    let answer = app
        .refused(reverse(&id(&posted), json!({"amount": "5.00"})))
        .await;
    answer.problem_of(400, "invalid_value", "amount");
    app.call(reverse(&id(&posted), json!({}))).await.good(201);
    assert_eq!(app.balance(&bob).await, "0.00");
    assert_eq!(app.balance(&alice).await, "85.00");
    // More than is there by now.
    let answer = app.refused(reverse(&id(&funded), json!({}))).await;
    let problem = answer.problem(422, "insufficient_funds");
    assert_eq!(problem["recoverable"], json!("85.00"));
}

#[tokio::test]
async fn who_has_the_money_gives_it_back_and_nobody_else_takes_it() {
    let app = TestApp::guarded(UserRights::USUAL).await;
    let service = tokens::service("shop", json!("*"));
    let (alice, bob, carol) = (
        tokens::user("alice"),
        tokens::user("bob"),
        tokens::user("carol"),
    );
    let mut wallets = Vec::new();
    for user in ["alice", "bob"] {
        let create = Call::post("/wallets", json!({"user_id": user})).token(&service);
        let made = app.call(create).await.good(201);
        let wallet = TestWallet(made["id"].as_str().unwrap().to_owned());
        let fund = Call::post(&wallet.path("/fund"), json!({"amount": "50.00"}));
        let funded = app.call(fund.token(&service)).await.good(201);
        wallets.push((wallet, id(&funded)));
    }
    let (hers, funded) = &wallets[0];
    let pay = json!({"amount": "20.00", "to_wallet_id": wallets[1].0.0});
    let call = Call::post(&hers.path("/transfer"), pay).token(&alice);
    let paid = id(&app.call(call).await.good(201));
    let part = || reverse(&paid, json!({"amount": "1.00"}));
    let answer = app.refused(part().token(&alice)).await;
    answer.problem(403, "service_token_required");
    let answer = app.refused(part().token(&carol).key("c")).await;
    answer.problem_of(404, "transaction_not_found", "id");
    let path = "/idempotency-keys/c";
    let kept = app.call(Call::get(path).token(&carol)).await.good(200);
    assert_eq!(kept["status"], json!("unknown"));
    let said = app.call(part().token(&bob)).await.good(201);
    assert_eq!(said["wallet"]["id"], json!(wallets[1].0.0));
    app.call(part().token(&service)).await.good(201);
    // A user takes nothing out of the system by taking back what came in.
    let answer = app.refused(reverse(funded, json!({})).token(&alice)).await;
    answer.problem(403, "service_token_required");
    // And no one overdraws a wallet without being an operator.
    let overdraw = || reverse(&paid, json!({"allow_negative": true}));
    let claims = tokens::with(tokens::claims("till"), "scope", json!("money:move"));
    let till = tokens::signed(&tokens::with(claims, "act_for", json!("*")));
    let answer = app.refused(overdraw().token(&till)).await;
    let problem = answer.problem_of(403, "scope_missing", "allow_negative");
    assert_eq!(problem["scope"], json!("admin"));
    let claims = tokens::with(tokens::claims("desk"), "scope", json!("money:move admin"));
    let operator = tokens::signed(&tokens::with(claims, "act_for", json!("*")));
    let item = json!({"kind": "reverse_transaction", "transaction_id": paid, "reason": "r", "allow_negative": true});
    let batch = || Call::post("/transactions/batch", json!({"commands": [item]}));
    let answer = app.refused(batch().token(&till)).await;
    answer.problem_of(403, "scope_missing", "commands[0].allow_negative");
    let said = app.call(batch().token(&operator)).await.good(200);
    assert_eq!(said["results"][0]["status"], json!(201));
}

#[tokio::test]
async fn a_batch_takes_back_what_is_there_and_says_of_each_what_became_of_it() {
    let app = TestApp::start().await;
    let (_, paid) = sent(&app, "30.00").await;
    let none = "01990000-0000-7000-8000-000000000001";
    let take = |id: &str, amount: &str| json!({"kind": "reverse_transaction", "transaction_id": id, "amount": amount, "reason": "r"});
    let commands = json!([
        take(&paid, "10.00"),
        take(none, "1.00"),
        take(&paid, "15.00"),
        take(&paid, "6.00")
    ]);
    let call = Call::post("/transactions/batch", json!({"commands": commands}));
    let said = app.call(call).await.good(200);
    let results = said["results"].as_array().unwrap();
    let statuses: Vec<i64> = results
        .iter()
        .map(|result| result["status"].as_i64().unwrap())
        .collect();
    assert_eq!(statuses, [201, 404, 201, 422]);
    assert_eq!(results[2]["original"]["reversible"], json!("5.00"));
    assert_eq!(results[3]["problem"]["reversible"], json!("5.00"));
    let wrong = reverse(none, json!({})).without("reason");
    app.refused(wrong)
        .await
        .problem_of(404, "transaction_not_found", "id");
    let path = format!("/transactions/{paid}/reverse");
    for (body, code) in [
        (json!({"amount": "1.00"}), "missing_field"),
        (json!({"amount": "1.00", "reason": "  "}), "invalid_value"),
    ] {
        let answer = app.refused(Call::post(&path, body)).await;
        answer.problem_of(400, code, "reason");
    }
    let stale = reverse(&paid, json!({})).header("if-match", "\"2\"");
    app.refused(stale).await.problem(412, "version_mismatch");
}
