//! Any legs, all of them or none.

use serde_json::{Value, json};
use shared::testing::tokens;
use wallet_service::ledger::UserRights;

use super::{id, leg, outside, post, read};
use crate::app::{Call, TestApp, TestWallet};

#[tokio::test]
async fn a_top_up_with_a_fee_and_two_currencies_is_one_transaction() {
    let app = TestApp::start().await;
    let alice = app.create_wallet("alice").await;
    let fees = app.create_wallet("fees").await;
    let euros = app.create_wallet_in("alice", "EUR").await;
    let yen = app.create_wallet_in("alice", "JPY").await;
    let legs = [
        outside("USD", "-100.00"),
        leg(&alice, "98.00"),
        leg(&fees, "2.00"),
        outside("JPY", "-700"),
        json!({"wallet_id": yen.0, "amount_minor": 700, "currency": "JPY"}),
        outside("EUR", "-5.50"),
        leg(&euros, "5.50"),
    ];
    let call = post(&legs).key("k");
    let first = app.call(call.clone()).await;
    let said = first.good(201);
    let transaction = &said["transaction"];
    assert_eq!(
        first.header("location").unwrap(),
        format!("/transactions/{}", id(&said))
    );
    assert_eq!(transaction["kind"], json!("posting"));
    assert_eq!(
        (&transaction["currency"], &transaction["amount"]),
        (&json!("USD"), &json!("100.00"))
    );
    let amounts: Vec<(Value, Value)> = transaction["legs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|leg| (leg["currency"].clone(), leg["amount"].clone()))
        .collect();
    let expected = [
        ("USD", "-100.00"),
        ("USD", "98.00"),
        ("USD", "2.00"),
        ("JPY", "-700"),
        ("JPY", "700"),
        ("EUR", "-5.50"),
        ("EUR", "5.50"),
    ]
    .map(|(currency, amount)| (json!(currency), json!(amount)));
    assert_eq!(amounts, expected);
    assert_eq!(said["wallet"]["id"], json!(alice.0));
    assert_eq!(app.balance(&fees).await, "2.00");
    assert_eq!(app.balance(&yen).await, "700");
    assert_eq!(read(&app, &id(&said)).await, *transaction);
    let conserved = "select count(*) from (select currency from wallets group by currency having sum(balance) <> 0) as c";
    assert_eq!(app.count(conserved).await, 0);
    let app = app.restarted();
    let again = app.call(call).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.good(201), said);
}

/// The leg, with one more field.
fn with(mut leg: Value, name: &str, value: Value) -> Value {
    leg[name] = value;
    leg
}

#[tokio::test]
async fn one_leg_that_is_refused_refuses_all_and_is_named() {
    let app = TestApp::start().await;
    let alice = app.funded_wallet("alice", "10.00").await;
    let bob = app.create_wallet("bob").await;
    let euros = app.create_wallet_in("carol", "EUR").await;
    let none = TestWallet("01990000-0000-7000-8000-000000000001".to_owned());
    let one = || leg(&alice, "-1.00");
    let too_much = [leg(&alice, "-10.01"), leg(&bob, "10.01")];
    let in_euros = [with(one(), "currency", json!("EUR")), leg(&bob, "1.00")];
    let stale = [with(one(), "expected_version", json!(7)), leg(&bob, "1.00")];
    let twice = [one(), leg(&bob, "0.50"), leg(&bob, "0.50")];
    for (legs, told) in [
        (
            &[one(), leg(&none, "1.00")][..],
            "404 wallet_not_found legs[1].wallet_id",
        ),
        (&too_much, "422 insufficient_funds legs[0].amount"),
        (
            &[one(), leg(&bob, "1.001")],
            "400 amount_too_precise legs[1].amount",
        ),
        (&twice, "400 same_wallet legs[2].wallet_id"),
        (&[one(), leg(&bob, "1.01")], "422 legs_not_zero legs"),
        (&[one(), leg(&euros, "1.00")], "422 legs_not_zero legs"),
        (&in_euros, "422 currency_mismatch legs[0].currency"),
        (&stale, "412 version_mismatch legs[0].expected_version"),
    ] {
        let answer = app.refused(post(legs)).await;
        let words: Vec<&str> = told.split(' ').collect();
        answer.problem_of(words[0].parse().unwrap(), words[1], words[2]);
    }
}

#[tokio::test]
async fn a_leg_demands_what_is_in_its_wallet_after_it() {
    let app = TestApp::start().await;
    let alice = app.funded_wallet("alice", "10.00").await;
    let bob = app.create_wallet("bob").await;
    let legs = |min: &str, max: &str| {
        let one = with(leg(&alice, "-1.00"), "min_balance", json!(min));
        let other = with(leg(&bob, "1.00"), "max_balance", json!(max));
        [with(one, "expected_version", json!(2)), other]
    };
    let code = "balance_condition_failed";
    let answer = app.refused(post(&legs("9.01", "1.00"))).await;
    let problem = answer.problem_of(422, code, "legs[0].min_balance");
    assert_eq!(problem["balance_after"], json!("9.00"));
    let answer = app.refused(post(&legs("9.00", "0.99"))).await;
    answer.problem_of(422, code, "legs[1].max_balance");
    app.call(post(&legs("9.00", "1.00"))).await.good(201);
}

#[tokio::test]
async fn a_transaction_that_is_malformed_is_told_what_is_wrong() {
    let app = TestApp::start().await;
    let alice = app.funded_wallet("alice", "10.00").await;
    let good = leg(&app.create_wallet("bob").await, "1.00");
    let bare = json!({"wallet_id": alice.0});
    let one = with(bare.clone(), "amount", json!("1"));
    let minor = |minor: i64| with(bare.clone(), "amount_minor", json!(minor));
    let no_currency = json!({"settlement": true, "amount": "1.00"});
    for (second, code, field) in [
        (json!({"amount": "1.00"}), "missing_field", "wallet_id"),
        (no_currency, "missing_field", "currency"),
        (
            with(outside("USD", "1"), "wallet_id", json!(alice.0)),
            "invalid_value",
            "settlement",
        ),
        (bare.clone(), "missing_field", "amount"),
        (leg(&alice, "0.00"), "amount_not_positive", "amount"),
        (minor(0), "amount_not_positive", "amount_minor"),
        (
            with(minor(1), "amount", json!("1")),
            "invalid_value",
            "amount_minor",
        ),
        (leg(&alice, "--1"), "amount_malformed", "amount"),
        (
            with(bare.clone(), "amount", json!(1)),
            "amount_not_string",
            "amount",
        ),
        (
            with(one, "colour", json!("blue")),
            "unknown_field",
            "colour",
        ),
        (
            with(outside("EUR", "1"), "min_balance", json!("1")),
            "invalid_value",
            "min_balance",
        ),
    ] {
        let field = format!("legs[1].{field}");
        let answer = app.refused(post(&[good.clone(), second])).await;
        answer.problem_of(400, code, &field);
    }
    for legs in [
        vec![good.clone()],
        vec![good.clone(); 101],
        vec![outside("USD", "-1"), outside("USD", "1")],
    ] {
        let answer = app.refused(post(&legs)).await;
        answer.problem_of(400, "invalid_value", "legs");
    }
    let conditional = post(&[leg(&alice, "-1.00"), good]).header("if-match", "\"2\"");
    app.refused(conditional)
        .await
        .problem_of(400, "header_not_allowed", "if-match");
}

#[tokio::test]
async fn what_is_wrong_with_a_leg_is_told_once_and_nothing_beside_it() {
    let app = TestApp::start().await;
    let alice = app.funded_wallet("alice", "10.00").await;
    let bob = app.create_wallet("bob").await;
    for (legs, expected) in [
        (
            vec![leg(&alice, "0"), leg(&bob, "0")],
            vec!["legs[0].amount", "legs[1].amount"],
        ),
        (
            vec![leg(&alice, "-1.00"), outside("XXX", "1")],
            vec!["legs[1].currency"],
        ),
    ] {
        let problem = app.refused(post(&legs)).await.json();
        let errors = problem["errors"].as_array().unwrap().iter();
        let told: Vec<&str> = errors
            .map(|error| error["field"].as_str().unwrap())
            .collect();
        assert_eq!(told, expected, "{problem}");
    }
}

#[tokio::test]
async fn what_is_written_on_many_legs_is_bounded() {
    let app = TestApp::start().await;
    let alice = app.funded_wallet("alice", "10.00").await;
    let mut wallets = Vec::new();
    for _ in 0..99 {
        wallets.push(app.create_wallet("many").await);
    }
    let mut legs: Vec<Value> = wallets.iter().map(|wallet| leg(wallet, "0.10")).collect();
    legs.push(leg(&alice, "-9.90"));
    let text = "x".repeat(512);
    let metadata: serde_json::Map<String, Value> =
        (0..20).map(|key| (key.to_string(), json!(text))).collect();
    let body = json!({"legs": legs, "metadata": metadata});
    let answer = app.refused(Call::post("/transactions", body)).await;
    answer.problem_of(400, "invalid_value", "metadata");
    app.call(post(&legs)).await.good(201);
    assert_eq!(app.balance(&wallets[98]).await, "0.10");
    assert_eq!(app.balance(&alice).await, "0.10");
}

#[tokio::test]
async fn a_batch_posts_legs_too_and_a_leg_of_another_user_gets_money_and_gives_none() {
    let app = TestApp::guarded(UserRights::USUAL).await;
    let service = tokens::service("shop", json!("*"));
    let mut wallets = Vec::new();
    for user in ["alice", "bob"] {
        let create = Call::post("/wallets", json!({"user_id": user})).token(&service);
        let made = app.call(create).await.good(201);
        let wallet = TestWallet(made["id"].as_str().unwrap().to_owned());
        let fund = Call::post(&wallet.path("/fund"), json!({"amount": "50.00"}));
        app.call(fund.token(&service)).await.good(201);
        wallets.push(wallet);
    }
    let [hers, his] = &wallets[..] else {
        unreachable!()
    };
    let alice = tokens::user("alice");
    let said = app
        .call(post(&[leg(his, "5.00"), leg(hers, "-5.00")]).token(&alice))
        .await;
    let said = said.good(201);
    assert_eq!(said["wallet"]["id"], json!(hers.0));
    let legs = said["transaction"]["legs"].as_array().unwrap();
    assert_eq!(legs[0].get("balance_after"), None);
    assert_eq!(legs[1]["balance_after"], json!("45.00"));
    let take = post(&[leg(hers, "5.00"), leg(his, "-5.00")]).token(&alice);
    app.refused(take)
        .await
        .problem_of(404, "wallet_not_found", "legs[1].wallet_id");
    // Nor is another's balance told by what a leg demands.
    let mut probing = leg(his, "0.01");
    probing["max_balance"] = json!("60.00");
    let probe = post(&[leg(hers, "-0.01"), probing]).token(&alice);
    app.refused(probe)
        .await
        .problem_of(404, "wallet_not_found", "legs[1].wallet_id");
    let settle = [outside("USD", "-1.00"), leg(hers, "1.00")];
    app.refused(post(&settle).token(&alice))
        .await
        .problem(403, "service_token_required");
    let commands = json!([
        {"kind": "post_transaction", "legs": settle, "idempotency_key": "p"},
        {"kind": "post_transaction", "legs": [leg(hers, "-1.00"), leg(his, "2.00")]},
        {"kind": "fund", "wallet_id": hers.0, "amount": "1.00"},
    ]);
    let batch = |commands: &Value| {
        Call::post("/transactions/batch", json!({"commands": commands})).token(&service)
    };
    let said = app.call(batch(&commands)).await.good(200);
    let results = said["results"].as_array().unwrap();
    assert_eq!(results[0]["transaction"]["kind"], json!("posting"));
    assert_eq!(results[1]["problem"]["code"], json!("legs_not_zero"));
    assert_eq!(results[2]["status"], json!(201));
    let versioned = json!([{"kind": "post_transaction", "legs": settle, "expected_version": 3}]);
    let answer = app.refused(batch(&versioned)).await;
    answer.problem_of(400, "unknown_field", "commands[0].expected_version");
}
