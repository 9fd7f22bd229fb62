//! Dry runs: what they answer is what the command then comes to, and nothing of it stays.

use serde_json::{Value, json};
use shared::testing::tokens;
use wallet_service::ledger::UserRights;

use crate::{
    app::{Answer, Call, TestApp, TestWallet, results},
    redaction::{Redaction, indented},
};

/// The body, its ids and moments numbered by their first appearance: those of a dry run are its own.
fn said(answer: &Answer) -> String {
    let body = indented(std::str::from_utf8(&answer.body).unwrap());
    Redaction::default().apply(&body)
}

/// Asks what a command would come to, then has it carried out, and demands that it is the same.
async fn held_against_the_real_one(app: &TestApp, path: &str, body: &Value) -> Answer {
    let dry = Call::post(&format!("{path}?dry_run=true"), body.clone());
    let before = app.state().await;
    let dry = app.call(dry).await;
    assert_eq!(app.state().await, before, "a dry run changed something");
    let real = app.call(Call::post(path, body.clone())).await;
    let expected = if real.status == 201 { 200 } else { real.status };
    assert_eq!(dry.status, expected, "{path} {body}: {dry:?} {real:?}");
    assert_eq!(dry.header("location"), None);
    assert_eq!(dry.header("etag"), real.header("etag"));
    assert_eq!(said(&dry), said(&real), "{path} {body}");
    real
}

/// A sequence of commands that is the same every time; its beginning decides which.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let high = usize::try_from(self.0 >> 33).unwrap();
        high % sides
    }

    fn amount(&mut self) -> String {
        let amounts = ["0.01", "1.00", "7.50", "20.00", "60.00", "1000.00", "0.001"];
        amounts[self.roll(amounts.len())].to_owned()
    }
}

/// Any command on these wallets and holds, good or not.
fn any_command(dice: &mut Dice, wallets: &[TestWallet], holds: &[String]) -> (String, Value) {
    let wallet = wallets[dice.roll(wallets.len())].clone();
    let other = wallets[dice.roll(wallets.len())].0.clone();
    let amount = dice.amount();
    let hold = holds.get(dice.roll(holds.len().max(1)));
    let of_hold = |what: &str| {
        let id = hold.map_or("01990000-0000-7000-8000-000000000001", String::as_str);
        format!("/holds/{id}/{what}")
    };
    match dice.roll(12) {
        0 | 1 => (wallet.path("/fund"), json!({"amount": amount})),
        2 | 3 => (wallet.path("/withdraw"), json!({"amount": amount})),
        4 | 5 => {
            let reference = format!("r{}", dice.roll(6));
            let body = json!({"amount": amount, "to_wallet_id": other, "reference": reference});
            (wallet.path("/transfer"), body)
        }
        6 => {
            let ends = "2099-12-31T00:00:00Z";
            let body = json!({"amount": amount, "to_wallet_id": other, "expires_at": ends});
            (wallet.path("/holds"), body)
        }
        7 => (
            of_hold("capture"),
            json!({"amount": amount, "final": false}),
        ),
        8 => (of_hold("release"), json!({"amount": amount})),
        9 => (of_hold("increase"), json!({"amount": amount})),
        10 => (
            wallet.path("/freeze"),
            json!({"reason": "r", "direction": "debit"}),
        ),
        _ => (wallet.path("/unfreeze"), json!({"reason": "r"})),
    }
}

#[tokio::test]
async fn any_dry_run_says_what_the_command_then_comes_to_and_leaves_nothing() {
    let app = TestApp::start().await;
    let mut wallets = vec![app.create_wallet_in("yuki", "JPY").await];
    for user in ["alice", "bob", "carol"] {
        wallets.push(app.funded_wallet(user, "50.00").await);
    }
    let window = json!({"of": "debits", "period": "day", "time_zone": "UTC", "maximum": "40.00"});
    let limits = Call::put(&wallets[1].path("/limits"), json!({"windows": [window]}));
    app.call(limits).await.good(200);
    let (mut dice, mut holds) = (Dice(7), Vec::new());
    let mut accepted = 0;
    for _ in 0..150 {
        let (path, body) = any_command(&mut dice, &wallets, &holds);
        let real = held_against_the_real_one(&app, &path, &body).await;
        if real.status < 300 {
            accepted += 1;
        }
        if real.status == 201 && path.ends_with("/holds") {
            holds.push(real.json()["hold"]["id"].as_str().unwrap().to_owned());
        }
    }
    assert!(
        (20..140).contains(&accepted),
        "{accepted} of 150 were accepted"
    );
}

#[tokio::test]
async fn a_dry_run_under_a_key_leaves_the_key_free_and_tells_what_was_answered_under_it() {
    let app = TestApp::start().await;
    let wallet = app.funded_wallet("alice", "50.00").await;
    let withdraw = |dry| {
        let path = format!("/withdraw?dry_run={dry}");
        Call::post(&wallet.path(&path), json!({"amount": "50.00"})).key("w")
    };
    for _ in 0..2 {
        app.call(withdraw(true)).await.good(200);
    }
    let answers = "select count(*) from idempotency_keys where key = 'w'";
    assert_eq!(app.count(answers).await, 0);
    let real = app.call(withdraw(false)).await;
    real.good(201);
    // Not that there is no money any more: sent again it would be answered with the first answer.
    let again = app.call(withdraw(true)).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.good(200), real.good(201));
    let other = Call::post(
        &wallet.path("/fund?dry_run=true"),
        json!({"amount": "1.00"}),
    )
    .key("w");
    app.call(other).await.problem(422, "idempotency_key_reused");
}

#[tokio::test]
async fn a_dry_run_of_a_batch_goes_on_from_what_each_command_would_leave() {
    let app = TestApp::start().await;
    let wallet = app.create_wallet("alice").await;
    let id = &wallet.0;
    let body = json!({"commands": [
        {"kind": "withdraw", "wallet_id": id, "amount": "5.00"},
        {"kind": "fund", "wallet_id": id, "amount": "5.00", "reference": "r", "idempotency_key": "f"},
        {"kind": "fund", "wallet_id": id, "amount": "5.00", "reference": "r", "idempotency_key": "f"},
        {"kind": "fund", "wallet_id": id, "amount": "5.00", "reference": "r"},
        {"kind": "withdraw", "wallet_id": id, "amount": "5.00"},
    ]});
    let before = app.state().await;
    let path = "/transactions/batch";
    let dry = app
        .post(&format!("{path}?dry_run=true"), body.clone())
        .await;
    assert_eq!(app.state().await, before);
    let statuses = |answer: &Answer| -> Vec<Value> {
        let results = results(answer).into_iter();
        let told = |result: Value| json!([result["status"], result["idempotent_replayed"]]);
        results.map(told).collect()
    };
    let real = app.post(path, body).await;
    assert_eq!(statuses(&dry), statuses(&real));
    assert_eq!(said(&dry), said(&real));
}

#[tokio::test]
async fn a_dry_run_of_limits_says_whether_they_could_be_put() {
    let app = TestApp::start().await;
    let wallet = app.funded_wallet("alice", "5.00").await;
    let before = app.state().await;
    let dry = |body| Call::put(&wallet.path("/limits?dry_run=true"), body);
    let said = app.call(dry(json!({"floor": "5.00"}))).await.good(200);
    assert_eq!(said["limits"]["floor"], json!("5.00"));
    let too_much = app.call(dry(json!({"floor": "5.01"}))).await;
    too_much.problem(422, "insufficient_funds");
    let stale = dry(json!({})).header("if-match", "\"1\"");
    app.call(stale).await.problem(412, "version_mismatch");
    assert_eq!(app.state().await, before);
    let wrong = Call::post(&wallet.path("/fund?dry_run=yes"), json!({"amount": "1.00"}));
    app.call(wrong)
        .await
        .problem_of(400, "invalid_value", "dry_run");
    let unknown = Call::post(&wallet.path("/fund?dryrun=true"), json!({"amount": "1.00"}));
    app.call(unknown)
        .await
        .problem_of(400, "unknown_parameter", "dryrun");
    assert_eq!(app.state().await, before);
}

#[tokio::test]
async fn a_dry_run_of_a_batch_knows_a_key_that_was_used_before_however_often_it_comes() {
    let app = TestApp::start().await;
    let wallet = app.funded_wallet("alice", "100.00").await;
    let command = |amount: &str, key: &str| json!({"kind": "withdraw", "wallet_id": wallet.0, "amount": amount, "idempotency_key": key});
    let before = json!({"commands": [command("5.00", "done"), command("500.00", "refused")]});
    app.call(Call::post("/transactions/batch", before)).await;
    let batch = json!({"commands": [
        command("6.00", "done"), command("5.00", "done"), command("5.00", "done"), command("7.00", "done"),
        command("500.00", "refused"), command("500.00", "refused"),
    ]});
    let real = held_against_the_real_one(&app, "/transactions/batch", &batch).await;
    let statuses: Vec<u64> = results(&real)
        .iter()
        .map(|result| result["status"].as_u64().unwrap())
        .collect();
    assert_eq!(statuses, [422, 201, 201, 422, 422, 422]);
}

#[tokio::test]
async fn a_dry_run_of_any_legs_and_of_what_is_taken_back_says_what_they_come_to() {
    let app = TestApp::start().await;
    let alice = app.funded_wallet("alice", "50.00").await;
    let bob = app.create_wallet("bob").await;
    let legs = |amount: &str| {
        json!({"legs": [
            {"wallet_id": alice.0, "amount": format!("-{amount}")},
            {"wallet_id": bob.0, "amount": amount},
        ], "reference": format!("order-{amount}")})
    };
    let posted = held_against_the_real_one(&app, "/transactions", &legs("30.00")).await;
    held_against_the_real_one(&app, "/transactions", &legs("20.01"))
        .await
        .problem_of(422, "insufficient_funds", "legs[0].amount");
    let again = Call::post("/transactions?dry_run=true", legs("30.00"));
    let again = app.call(again).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(
        again.good(200)["transaction"],
        posted.good(201)["transaction"]
    );
    let id = posted.good(201)["transaction"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/transactions/{id}/reverse");
    let part = json!({"reason": "a mistake", "amount": "20.00"});
    held_against_the_real_one(&app, &path, &part)
        .await
        .good(201);
    held_against_the_real_one(&app, &path, &part)
        .await
        .problem_of(422, "reversal_too_large", "amount");
}

/// What somebody else's wallet takes is that user's business: who pays into it learns that it does not take this, by a dry run
/// as by the payment.
#[tokio::test]
async fn a_dry_run_tells_of_limits_of_others_that_there_are_some_and_nothing_more() {
    let app = TestApp::guarded(UserRights::USUAL).await;
    let service = tokens::service("shop", json!("*"));
    let claims = tokens::with(tokens::claims("desk"), "scope", json!("admin"));
    let operator = tokens::signed(&claims);
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
        panic!("there are two");
    };
    let alice = tokens::user("alice");
    let day = json!({"of": "credits", "period": "day", "maximum": "7.31"});
    for limits in [
        json!({"ceiling": "57.31"}),
        json!({"caps": [{"of": "credits", "maximum": "7.31"}]}),
        json!({"windows": [day]}),
    ] {
        let put = Call::put(&his.path("/limits"), limits);
        app.call(put.token(&operator)).await.good(200);
        let pay = json!({"amount": "7.32", "to_wallet_id": his.0});
        for path in ["/transfer?dry_run=true", "/transfer"] {
            let call = Call::post(&hers.path(path), pay.clone());
            let answer = app.call(call.token(&alice)).await;
            let problem = answer.problem_of(422, "limit_exceeded", "to_wallet_id");
            assert_eq!(problem["required"], json!("7.32"));
            let told = problem.to_string();
            for amount in ["7.31", "57.31", "50.00"] {
                assert!(!told.contains(amount), "{told}");
            }
            for name in ["limit", "left", "maximum", "until", "of", "period"] {
                assert_eq!(problem.get(name), None, "{told}");
            }
        }
    }
}
