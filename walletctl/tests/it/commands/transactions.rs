//! Transactions that are looked at, and taken back.

use serde_json::{Value, json};

use super::{ALICE, BOB, WALLET, run, text};
use crate::script::{Reply, Script};

const ID: &str = "01990000-0000-7000-8000-0000000000f1";
const REVERSAL: &str = "01990000-0000-7000-8000-0000000000f2";

fn transaction(members: &Value) -> Value {
    let mut transaction = json!({
        "id": ID, "kind": "transfer", "status": "completed", "currency": "USD", "amount": "30.00",
        "reference": "order-7", "description": "Kaffee", "metadata": {"shop": "7"},
        "occurred_at": "2026-11-21T08:00:03.000001Z",
        "legs": [
            {"wallet_id": ALICE, "sequence": 3, "amount": "-30.00", "balance_after": "70.00"},
            {"wallet_id": BOB, "amount": "30.00"},
        ],
    });
    for (name, value) in members.as_object().unwrap() {
        transaction[name] = value.clone();
    }
    transaction
}

fn not_found() -> Reply {
    Reply::problem(404, "transaction_not_found", "There is none.")
}

/// What is printed of the replies, to the names of both wallets after them, and what was asked.
async fn shown(mut replies: Vec<Reply>, name: &str) -> (String, Vec<String>) {
    replies.push(Reply::ok(WALLET));
    replies.push(Reply::ok(WALLET.replace("alice", "bob")));
    let script = Script::start(replies).await;
    let output = run(&script, &["--width", "80", "transaction", name]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let asked = script.asked();
    let printed = text(&output.stdout);
    assert!(
        printed.lines().all(|line| line.chars().count() <= 80),
        "{printed}"
    );
    (
        printed,
        asked.iter().map(|asked| asked.line.clone()).collect(),
    )
}

#[tokio::test]
async fn a_transaction_is_shown_with_its_legs_and_what_was_taken_back_of_it() {
    let taken = json!({"reversed": "10.00", "reversible": "20.00", "reversals": [REVERSAL]});
    let (printed, asked) = shown(vec![Reply::ok(transaction(&taken).to_string())], ID).await;
    assert_eq!(asked[0], format!("GET /transactions/{ID} HTTP/1.1"));
    for part in [
        "order-7",
        "description: Kaffee",
        "shop=7",
        "-$30.00",
        "$70.00",
        "alice",
        "bob",
        "$10.00 of $30.00 was taken back, $20.00 can be still",
        REVERSAL,
    ] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
}

#[tokio::test]
async fn what_can_be_taken_back_is_said_of_what_was_not_and_of_what_never_can() {
    let (printed, _) = shown(vec![Reply::ok(transaction(&json!({})).to_string())], ID).await;
    assert!(
        printed.contains("Nothing of it was taken back; $30.00 can be."),
        "{printed}"
    );
    let reversal = json!({"kind": "reversal", "reverses": REVERSAL, "reason": "came broken"});
    let (printed, _) = shown(vec![Reply::ok(transaction(&reversal).to_string())], ID).await;
    for part in [
        format!("takes back: {REVERSAL}"),
        "reason: came broken".to_owned(),
        "It cannot be taken back".to_owned(),
    ] {
        assert!(printed.contains(&part), "{printed}");
    }
}

#[tokio::test]
async fn a_transaction_is_found_by_its_reference_also_when_that_looks_like_an_id() {
    let page = json!({"items": [transaction(&json!({}))], "next_cursor": null}).to_string();
    let (printed, asked) = shown(vec![Reply::ok(page.clone())], "order 7").await;
    assert!(printed.contains(ID), "{printed}");
    assert_eq!(asked[0], "GET /transactions?reference=order+7 HTTP/1.1");
    let (printed, asked) = shown(vec![not_found(), Reply::ok(page.clone())], BOB).await;
    assert!(printed.contains(ID), "{printed}");
    assert_eq!(
        asked[1],
        format!("GET /transactions?reference={BOB} HTTP/1.1")
    );
    let script = Script::start(vec![Reply::ok(page)]).await;
    let output = run(&script, &["--json", "transaction", "order-7"]).await;
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["id"], ID);
}

#[tokio::test]
async fn a_name_of_no_transaction_is_said_to_be_none() {
    let none = json!({"items": [], "next_cursor": null}).to_string();
    let script = Script::start(vec![not_found(), Reply::ok(none)]).await;
    let output = run(&script, &["transaction", ID]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("has the id or the reference"), "{said}");
}

fn reversed() -> String {
    let original = json!({"id": ID, "currency": "USD", "amount": "30.00", "reversed": "10.00", "reversible": "20.00"});
    let reversal = json!({"id": REVERSAL, "kind": "reversal", "amount": "10.00", "reverses": ID, "reason": "r"});
    let wallet: Value = serde_json::from_str(WALLET).unwrap();
    json!({"transaction": transaction(&reversal), "original": original, "wallet": wallet})
        .to_string()
}

#[tokio::test]
async fn a_reversal_is_sent_with_what_was_said_and_says_what_is_left() {
    let key = ["--key", "mine", "--if-match", "3"];
    for (words, query, body) in [
        ("--reason broken", "", json!({"reason": "broken"})),
        (
            "10.00 --reason broken --allow-negative --reference back-7 --dry-run",
            "?dry_run=true",
            json!({"reason": "broken", "amount": "10.00", "allow_negative": true, "reference": "back-7"}),
        ),
    ] {
        let script = Script::start(vec![Reply::Json(201, "", reversed())]).await;
        let words = words.split(' ').chain(key);
        let arguments: Vec<&str> = ["reverse", ID].into_iter().chain(words).collect();
        let output = run(&script, &arguments).await;
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let asked = &script.asked()[0];
        assert_eq!(
            asked.line,
            format!("POST /transactions/{ID}/reverse{query} HTTP/1.1")
        );
        assert_eq!(asked.header("idempotency-key"), Some("mine"));
        assert_eq!(asked.header("if-match"), Some("\"3\""));
        assert_eq!(serde_json::from_str::<Value>(&asked.body).unwrap(), body);
        let printed = text(&output.stdout);
        let left = format!("$10.00 of the $30.00 of {ID} is taken back, $20.00 can be still");
        assert!(
            printed.contains(&left) && printed.contains("alice"),
            "{printed}"
        );
    }
}

#[tokio::test]
async fn a_dry_run_without_an_answer_leaves_nobody_in_doubt() {
    let script = Script::start(Vec::new()).await;
    for (more, is_in_doubt) in [(None, true), (Some("--dry-run"), false)] {
        let arguments: Vec<&str> = ["withdraw", ALICE, "5"].into_iter().chain(more).collect();
        let output = run(&script, &arguments).await;
        assert_eq!(output.status.code(), Some(1));
        let said = text(&output.stderr);
        assert_eq!(said.contains("--key"), is_in_doubt, "{said}");
    }
}
