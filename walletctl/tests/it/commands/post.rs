//! Transactions of any legs: what is sent for them, and how an amount is divided.

use serde_json::{Value, json};

use super::{ALICE, BOB, WALLET, run, text};
use crate::script::{Reply, Script};

const CAROL: &str = "01990000-0000-7000-8000-00000000000c";

fn posted() -> String {
    format!(
        r#"{{"transaction":{{"id":"01990000-0000-7000-8000-0000000000f1","kind":"posting","status":"completed","currency":"USD","amount":"10.00","occurred_at":"2026-11-21T08:00:03.000001Z","legs":[]}},"wallet":{WALLET}}}"#
    )
}

async fn sent(words: &str) -> (String, Value, String, String) {
    let script = Script::start(vec![Reply::Json(201, "", posted())]).await;
    let arguments: Vec<&str> = words.split(' ').collect();
    let output = run(&script, &arguments).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let asked = &script.asked()[0];
    assert!(asked.header("idempotency-key").is_some());
    let (action, _) = asked.line.rsplit_once(' ').unwrap();
    let body = serde_json::from_str(&asked.body).unwrap();
    let (printed, said) = (text(&output.stdout), text(&output.stderr));
    (action.to_owned(), body, printed, said)
}

#[tokio::test]
async fn legs_are_sent_as_they_were_typed_with_what_is_written_on_them() {
    let words = format!(
        "post --leg {ALICE}=-10.00 --leg {BOB}=9.50 --leg settlement:USD=0.50 --reference order-7 --metadata shop=7"
    );
    let (action, body, printed, _) = sent(&words).await;
    assert_eq!(action, "POST /transactions");
    let expected = json!({
        "legs": [
            {"wallet_id": ALICE, "amount": "-10.00"},
            {"wallet_id": BOB, "amount": "9.50"},
            {"settlement": true, "currency": "USD", "amount": "0.50"},
        ],
        "reference": "order-7", "metadata": {"shop": "7"},
    });
    assert_eq!(body, expected);
    assert!(
        printed.contains("posting") && printed.contains("alice"),
        "{printed}"
    );
}

#[tokio::test]
async fn legs_of_a_file_are_sent_as_they_are_there() {
    let file = tempfile();
    let legs = json!([
        {"wallet_id": ALICE, "amount_minor": -1000, "min_balance": "5.00"},
        {"wallet_id": BOB, "amount": "10.00"},
    ]);
    std::fs::write(&file, legs.to_string()).unwrap();
    let (action, body, _, said) = sent(&format!("post --dry-run --file {}", file.display())).await;
    assert_eq!(action, "POST /transactions?dry_run=true");
    assert_eq!(body, json!({"legs": legs}));
    assert!(said.contains("a dry run: nothing was done"), "{said}");
    std::fs::write(&file, r#"{"legs": []}"#).unwrap();
    let script = Script::start(Vec::new()).await;
    let output = run(&script, &["post", "--file", file.to_str().unwrap()]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("a JSON array of legs"));
    std::fs::remove_file(file).unwrap();
}

fn tempfile() -> std::path::PathBuf {
    std::env::temp_dir().join(format!("legs-{}.json", uuid::Uuid::now_v7()))
}

#[tokio::test]
async fn a_split_is_shown_and_nothing_is_sent() {
    let script = Script::start(Vec::new()).await;
    let words = format!("split 10.00 USD --from {ALICE} --to {BOB} --to {CAROL} --to settlement");
    let arguments: Vec<&str> = words.split(' ').collect();
    let output = run(&script, &arguments).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    let line = |whose: &str| {
        printed
            .lines()
            .find(|line| line.starts_with(whose))
            .unwrap()
    };
    for (whose, amount) in [
        (ALICE, "-$10.00"),
        (BOB, "$3.34"),
        (CAROL, "$3.33"),
        ("settlement", "$3.33"),
    ] {
        assert!(line(whose).ends_with(amount), "{printed}");
    }
    assert!(script.asked().is_empty());
    let arguments: Vec<&str> = ["--json"].into_iter().chain(arguments).collect();
    let output = run(&script, &arguments).await;
    let legs: Value = serde_json::from_slice(&output.stdout).unwrap();
    let of = |wallet: &str, amount: &str| json!({"wallet_id": wallet, "currency": "USD", "amount": amount});
    let settlement = json!({"settlement": true, "currency": "USD", "amount": "3.33"});
    assert_eq!(
        legs,
        json!([
            of(ALICE, "-10.00"),
            of(BOB, "3.34"),
            of(CAROL, "3.33"),
            settlement
        ])
    );
}

#[tokio::test]
async fn a_split_that_is_paid_is_one_transaction_and_who_gets_nothing_has_no_leg() {
    let words = format!(
        "split 7 JPY --from settlement --to {ALICE}=70% --to {BOB}=2 --to {CAROL} --post --reference payday --key mine"
    );
    let (action, body, printed, _) = sent(&words).await;
    assert_eq!(action, "POST /transactions");
    let expected = json!({
        "legs": [
            {"settlement": true, "currency": "JPY", "amount": "-7"},
            {"wallet_id": ALICE, "currency": "JPY", "amount": "5"},
            {"wallet_id": BOB, "currency": "JPY", "amount": "2"},
        ],
        "reference": "payday",
    });
    assert_eq!(body, expected);
    assert!(
        printed.contains("¥5") && printed.contains("¥0"),
        "{printed}"
    );
}
