//! What operators do to a wallet: what is sent, and what is said of it.

use serde_json::{Value, json};

use super::{ALICE, BOB, WALLET, moved, run, text};
use crate::script::{Reply, Script};

fn frozen() -> String {
    let freeze = r#""status":"frozen","freeze":{"direction":"debit","reason":"stolen","actor":"desk","since":"2026-11-21T08:00:03.000001Z","until":"2026-12-01T00:00:00.000000Z"}"#;
    let wallet = WALLET.replace(r#""status":"active""#, freeze);
    format!(r#"{{"wallet":{wallet}}}"#)
}

async fn sent(script: &Script, arguments: &[&str]) -> (Value, String) {
    let output = run(script, arguments).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let asked = &script.asked()[0];
    let (action, _) = asked.line.rsplit_once(' ').unwrap();
    assert_eq!(action, format!("POST /wallets/{ALICE}/{}", arguments[0]));
    assert!(asked.header("idempotency-key").is_some());
    let body = serde_json::from_str(&asked.body).unwrap();
    (body, text(&output.stdout))
}

#[tokio::test]
async fn a_freeze_is_sent_with_all_that_was_said_and_shown_as_it_stands() {
    let script = Script::start(vec![Reply::Json(200, "", frozen())]).await;
    let arguments = [
        "freeze",
        ALICE,
        "--reason",
        "stolen",
        "--direction",
        "debit",
        "--until",
        "2026-12-01",
        "--if-match",
        "2",
    ];
    let (body, printed) = sent(&script, &arguments).await;
    let expected =
        json!({"reason": "stolen", "direction": "debit", "until": "2026-12-01T00:00:00.000000Z"});
    assert_eq!(body, expected);
    assert_eq!(script.asked()[0].header("if-match"), Some("\"2\""));
    let stands = "frozen (debit) until 2026-12-01 00:00:00";
    assert!(printed.contains(stands), "{printed}");
}

#[tokio::test]
async fn what_is_not_said_of_an_order_is_not_sent() {
    let wallet = format!(r#"{{"wallet":{WALLET}}}"#);
    for (command, expected) in [
        ("freeze", json!({"reason": "r", "direction": "all"})),
        ("unfreeze", json!({"reason": "r"})),
        ("close", json!({"reason": "r"})),
    ] {
        let script = Script::start(vec![Reply::Json(200, "", wallet.clone())]).await;
        let (body, printed) = sent(&script, &[command, ALICE, "--reason", "r"]).await;
        assert_eq!(body, expected);
        assert!(!printed.contains("TRANSACTION"), "{printed}");
    }
}

#[tokio::test]
async fn closing_shows_where_the_money_went() {
    let script = Script::start(vec![Reply::Json(201, "", moved())]).await;
    let arguments = ["close", ALICE, "--reason", "left", "--drain-to", BOB];
    let (body, printed) = sent(&script, &arguments).await;
    assert_eq!(body, json!({"reason": "left", "drain_to": BOB}));
    assert!(printed.contains("TRANSACTION"), "{printed}");
}
