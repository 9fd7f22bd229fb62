//! Many commands in one request: each is what it would have been alone.

mod malformed;

use futures::future::join_all;
use serde_json::{Value, json};

use super::noted;
use crate::app::{Call, TestApp, TestWallet, results as results_of};

const PATH: &str = "/transactions/batch";

fn batch(commands: &[Value]) -> Call {
    Call::post(PATH, json!({"commands": commands}))
}

fn fund(wallet: &TestWallet, amount: &str) -> Value {
    json!({"kind": "fund", "wallet_id": wallet.0, "amount": amount})
}

fn withdraw(wallet: &TestWallet, amount: &str) -> Value {
    json!({"kind": "withdraw", "wallet_id": wallet.0, "amount": amount})
}

fn transfer(from: &TestWallet, to: &TestWallet, amount: &str) -> Value {
    json!({"kind": "transfer", "wallet_id": from.0, "to_wallet_id": to.0, "amount": amount})
}

/// The command with one more field, or one field changed.
fn with(mut command: Value, field: &str, value: impl Into<Value>) -> Value {
    command[field] = value.into();
    command
}

fn keyed(command: Value, key: &str) -> Value {
    with(command, "idempotency_key", key)
}

async fn results(app: &TestApp, commands: &[Value]) -> Vec<Value> {
    results_of(&app.call(batch(commands)).await)
}

fn statuses(results: &[Value]) -> Vec<u64> {
    let statuses = results.iter().map(|result| result["status"].as_u64());
    statuses.map(Option::unwrap).collect()
}

fn codes(results: &[Value]) -> Vec<Option<&str>> {
    let codes = results.iter().map(|result| &result["problem"]["code"]);
    codes.map(Value::as_str).collect()
}

fn replayed(results: &[Value]) -> Vec<bool> {
    let flags = results.iter().map(|result| &result["idempotent_replayed"]);
    flags.map(|flag| flag.as_bool().unwrap()).collect()
}

async fn assert_conserved(app: &TestApp) {
    let open = "select count(*) from (select currency from wallets group by currency having sum(balance) <> 0) t";
    assert_eq!(app.count(open).await, 0);
}

#[tokio::test]
async fn every_command_has_its_own_result_in_the_order_sent() {
    let app = TestApp::start().await;
    let (alice, bob) = (
        app.funded_wallet("alice", "10.00").await,
        app.create_wallet("bob").await,
    );
    let answer = app
        .call(batch(&[
            transfer(&alice, &bob, "4.00"),
            withdraw(&alice, "100.00"),
            with(fund(&bob, "1.00"), "reference", "order-7"),
        ]))
        .await;
    assert_eq!(statuses(&results_of(&answer)), [201, 422, 201]);
    for header in ["location", "etag", "idempotent-replayed"] {
        assert_eq!(answer.header(header), None, "{header}");
    }
    insta::assert_snapshot!(answer.shown());
    assert_eq!(
        (app.balance(&alice).await, app.balance(&bob).await),
        ("6.00".into(), "5.00".into())
    );
}

#[tokio::test]
async fn a_result_is_what_the_command_alone_would_have_been_answered() {
    let app = TestApp::start().await;
    let alice = app.funded_wallet("alice", "10.00").await;
    let sent = |command: Value, path: &str, mut body: Value| {
        let call = batch(&[command]).header("x-request-id", "same");
        let path = alice.path(path);
        body["currency"] = json!("USD");
        let single = Call::post(&path, body).header("x-request-id", "same");
        (call, single)
    };
    let dollars = |command| keyed(with(command, "currency", "USD"), "k");
    for (amount, kind) in [("1.00", "fund"), ("100.00", "withdraw"), ("1.001", "fund")] {
        let command = dollars(json!({"kind": kind, "wallet_id": alice.0, "amount": amount}));
        let command = keyed(command, &format!("{kind}-{amount}"));
        let (call, single) = sent(command, &format!("/{kind}"), json!({"amount": amount}));
        let result = &results_of(&app.call(call).await)[0];
        let single = app.call(single.key(&format!("{kind}-{amount}"))).await;
        assert_eq!(result["status"], json!(single.status));
        let alone = single.json();
        if single.status == 201 {
            assert_eq!(result["transaction"], alone["transaction"]);
            assert_eq!(result["wallet"], alone["wallet"]);
        } else {
            assert_eq!(result["problem"], alone);
        }
    }
}

#[tokio::test]
async fn commands_are_taken_up_in_the_order_sent() {
    let app = TestApp::start().await;
    let (alice, bob) = (
        app.create_wallet("alice").await,
        app.create_wallet("bob").await,
    );
    // Every second command lives on what the one before brought, so any other order would refuse one.
    let mut commands = Vec::new();
    for _ in 0..100 {
        commands.extend([
            fund(&alice, "1.00"),
            transfer(&alice, &bob, "1.00"),
            withdraw(&bob, "1.00"),
        ]);
    }
    let results = results(&app, &commands).await;
    assert_eq!(statuses(&results), vec![201; 300]);
    let versions = results.iter().step_by(3);
    let versions: Vec<_> = versions
        .map(|result| result["wallet"]["version"].as_u64().unwrap())
        .collect();
    assert!(versions.is_sorted(), "{versions:?}");
    assert_eq!(app.balance(&bob).await, "0.00");
}

#[tokio::test]
async fn a_thousand_commands_are_all_answered_and_no_money_is_made() {
    let app = TestApp::start().await;
    let wallets = join_all((0..10).map(|_| app.funded_wallet("alice", "1000.00"))).await;
    let commands: Vec<_> = (0..1000)
        .map(|index| {
            let (from, to) = (&wallets[index % 10], &wallets[(index * 7 + 1) % 10]);
            let command = match index % 4 {
                0 => fund(from, "1.00"),
                1 => withdraw(from, "2.00"),
                _ if from.0 == to.0 => fund(from, "1.00"),
                _ => transfer(from, to, "3.00"),
            };
            keyed(command, &format!("payout-{index}"))
        })
        .collect();
    let first = results(&app, &commands).await;
    assert_eq!(statuses(&first), vec![201; 1000]);
    for (command, result) in commands.iter().zip(&first) {
        assert_eq!(result["transaction"]["kind"], command["kind"]);
        assert_eq!(result["wallet"]["id"], command["wallet_id"]);
    }
    assert_conserved(&app).await;

    let state = app.state().await;
    let again = results(&app, &commands).await;
    assert_eq!(replayed(&again), vec![true; 1000]);
    for (first, again) in first.iter().zip(again) {
        assert_eq!(again, with(first.clone(), "idempotent_replayed", true));
    }
    assert_eq!(app.state().await, state);
}

#[tokio::test]
async fn a_command_sent_alone_first_is_replayed_in_a_batch() {
    let app = TestApp::start().await;
    let (alice, bob) = (
        app.funded_wallet("alice", "10.00").await,
        app.create_wallet("bob").await,
    );
    let details = json!({"amount": "1.5", "currency": "USD", "reference": "r", "description": "d", "metadata": {"a": "1"}});
    let funded = Call::post(&alice.path("/fund"), details).key("fund");
    let moved = json!({"amount": "1.00", "to_wallet_id": bob.0});
    let moved = Call::post(&alice.path("/transfer"), moved)
        .key("transfer")
        .header("if-match", "\"3\"");
    let taken = Call::post(&bob.path("/withdraw"), json!({"amount": "7.00"})).key("withdraw");
    let mut alone = Vec::new();
    for call in [funded, moved, taken] {
        alone.push(app.call(call).await.json());
    }
    let state = app.state().await;
    let details = json!({
        "kind": "fund", "wallet_id": alice.0, "amount": "1.50", "currency": "USD", "reference": "r", "description": "d",
        "metadata": {"a": "1"}, "idempotency_key": "fund",
    });
    let moved = with(transfer(&alice, &bob, "1.00"), "expected_version", 3);
    let results = results(
        &app,
        &[
            details,
            keyed(moved, "transfer"),
            keyed(withdraw(&bob, "7.00"), "\"withdraw\""),
        ],
    )
    .await;
    assert_eq!(statuses(&results), [201, 201, 422]);
    assert_eq!(replayed(&results), [true, true, true]);
    assert_eq!(results[0]["transaction"], alone[0]["transaction"]);
    assert_eq!(results[1]["transaction"], alone[1]["transaction"]);
    assert_eq!(results[2]["problem"]["detail"], alone[2]["detail"]);
    assert_eq!(app.state().await, state);
}

#[tokio::test]
async fn a_command_sent_in_a_batch_first_is_replayed_alone() {
    let app = TestApp::start().await;
    let alice = app.create_wallet("alice").await;
    let first = results(&app, &[keyed(fund(&alice, "1.00"), "k")]).await;
    assert_eq!(replayed(&first), [false]);
    let single = Call::post(&alice.path("/fund"), json!({"amount": "1.00"})).key("k");
    let again = app.call(single).await;
    assert_eq!(again.good(201)["transaction"], first[0]["transaction"]);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let other = Call::post(&alice.path("/fund"), json!({"amount": "2.00"})).key("k");
    app.refused(other)
        .await
        .problem(422, "idempotency_key_reused");
    assert_eq!(app.balance(&alice).await, "1.00");
}

#[tokio::test]
async fn twins_in_one_batch_are_carried_out_once() {
    let app = TestApp::start().await;
    let alice = app.create_wallet("alice").await;
    let results = results(
        &app,
        &[
            keyed(fund(&alice, "1.00"), "k"),
            keyed(fund(&alice, "1.0"), "k"),
            keyed(fund(&alice, "2.00"), "k"),
            fund(&alice, "5.00"),
        ],
    )
    .await;
    assert_eq!(statuses(&results), [201, 201, 422, 201]);
    assert_eq!(replayed(&results), [false, true, false, false]);
    assert_eq!(results[1]["transaction"], results[0]["transaction"]);
    assert_eq!(codes(&results)[2], Some("idempotency_key_reused"));
    assert_eq!(app.balance(&alice).await, "6.00");
}

#[tokio::test]
async fn a_reference_is_used_once_also_within_a_batch() {
    let app = TestApp::start().await;
    let alice = app.create_wallet("alice").await;
    let results = results(
        &app,
        &[
            with(fund(&alice, "1.00"), "reference", "r"),
            with(fund(&alice, "1.00"), "reference", "r"),
            with(fund(&alice, "2.00"), "reference", "r"),
        ],
    )
    .await;
    assert_eq!(codes(&results), [None, None, Some("reference_reused")]);
    assert_eq!(replayed(&results), [false, true, false]);
    assert_eq!(results[1]["transaction"], results[0]["transaction"]);
    assert_eq!(
        results[2]["problem"]["transaction_id"],
        results[0]["transaction"]["id"]
    );
}

#[tokio::test]
async fn a_command_is_carried_out_only_at_the_version_it_expects() {
    let app = TestApp::start().await;
    let alice = app.create_wallet("alice").await;
    let results = results(
        &app,
        &[
            with(fund(&alice, "1.00"), "expected_version", 1),
            with(fund(&alice, "1.00"), "expected_version", 1),
            with(fund(&alice, "1.00"), "expected_version", 2),
        ],
    )
    .await;
    assert_eq!(statuses(&results), [201, 412, 201]);
    assert_eq!(results[1]["problem"]["code"], json!("version_mismatch"));
    assert_eq!(results[1]["problem"]["current_version"], json!(2));
}

#[tokio::test]
async fn a_refusal_touches_no_neighbour() {
    let app = TestApp::start().await;
    let alice = app.funded_wallet("alice", "1.00").await;
    let nobody = TestWallet("01990000-0000-7000-8000-000000000001".to_owned());
    let results = results(
        &app,
        &[
            fund(&nobody, "1.00"),
            transfer(&alice, &alice, "1.00"),
            transfer(&alice, &nobody, "1.00"),
            with(fund(&alice, "1.00"), "currency", "EUR"),
            fund(&alice, "0.001"),
            withdraw(&alice, "1.00"),
        ],
    )
    .await;
    assert_eq!(statuses(&results), [404, 400, 404, 422, 400, 201]);
    assert_eq!(
        codes(&results),
        [
            Some("wallet_not_found"),
            Some("same_wallet"),
            Some("wallet_not_found"),
            Some("currency_mismatch"),
            Some("amount_too_precise"),
            None
        ]
    );
    assert_eq!(app.balance(&alice).await, "0.00");
}

#[tokio::test]
async fn every_event_of_a_batch_carries_the_id_of_the_request() {
    let app = TestApp::start().await;
    let alice = app.create_wallet("alice").await;
    let commands = [
        fund(&alice, "1.00"),
        withdraw(&alice, "9.00"),
        withdraw(&alice, "1.00"),
    ];
    let answer = app
        .call(batch(&commands).header("x-request-id", "payout-7"))
        .await;
    assert_eq!(answer.header("x-request-id"), Some("payout-7"));
    let refused = &results_of(&answer)[1]["problem"];
    assert_eq!(refused["request_id"], json!("payout-7"));
    let journal = app.get(&alice.path("/events")).await.good(200);
    for event in [0, 1] {
        assert_eq!(journal["items"][event]["correlation_id"], json!("payout-7"));
    }
}

#[tokio::test]
async fn a_small_batch_has_a_small_answer_whatever_was_noted_on_what_it_is_about() {
    let app = TestApp::start().await;
    let noted = noted();
    let wallet = json!({"user_id": "alice", "currency": "USD", "metadata": noted});
    let wallet = app.post("/wallets", wallet).await.good(201)["id"].clone();
    let alice = TestWallet(wallet.as_str().unwrap().to_owned());
    app.fund(&alice, "100.00").await.good(201);
    let hold = json!({"amount": "1.00", "metadata": noted});
    let held = app.post(&alice.path("/holds"), hold).await.good(201);
    assert_eq!(held["wallet"]["metadata"], noted, "alone, it is told");
    let increase =
        json!({"kind": "increase_hold", "hold_id": held["hold"]["id"], "amount": "0.01"});
    let fund =
        json!({"kind": "fund", "wallet_id": alice.0, "amount": "0.01", "metadata": {"a": "b"}});
    let batch = json!({"commands": [increase, increase, fund, increase]});
    let answer = app.post("/transactions/batch", batch).await;
    let results = results_of(&answer);
    assert!(
        results
            .iter()
            .all(|result| result["status"] == 201 || result["status"] == 200)
    );
    assert!(answer.body.len() < 8_000, "{}", answer.body.len());
    for result in &results {
        assert_eq!(
            (
                result["wallet"].get("metadata"),
                result["hold"].get("metadata")
            ),
            (None, None)
        );
    }
    assert_eq!(results[2]["transaction"]["metadata"], json!({"a": "b"}));
}
