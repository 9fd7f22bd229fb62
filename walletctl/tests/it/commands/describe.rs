//! What is sent of a wallet itself: its name and notes when it is made, a user's main wallet, and a change of the notes.

use serde_json::{Value, json};

use super::{ALICE, WALLET, run, text};
use crate::script::{Reply, Script};

fn described() -> String {
    WALLET.replacen(
        "\"version\"",
        r#""external_id":"crm-7","label":"Rent","metadata":{"plan":"gold"},"version""#,
        1,
    )
}

#[tokio::test]
async fn a_wallet_is_created_with_a_name_and_notes_and_shown_with_them() {
    let script = Script::start(vec![Reply::Json(201, "", described())]).await;
    let arguments = [
        "create",
        "alice",
        "--external-id",
        "crm-7",
        "--label",
        "Rent",
        "--metadata",
        "plan=gold",
    ];
    let output = run(&script, &arguments).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let body: Value = serde_json::from_str(&script.asked()[0].body).unwrap();
    assert_eq!(
        body,
        json!({"user_id": "alice", "external_id": "crm-7", "label": "Rent", "metadata": {"plan": "gold"}})
    );
    let printed = text(&output.stdout);
    assert!(
        printed.ends_with("external id: crm-7\nlabel: Rent\nplan=gold\n"),
        "{printed}"
    );
}

#[tokio::test]
async fn a_main_wallet_is_put_with_a_key() {
    let script = Script::start(vec![Reply::Json(200, "", WALLET.to_owned())]).await;
    let output = run(&script, &["main", "alice", "USD"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let asked = &script.asked()[0];
    assert_eq!(asked.line, "PUT /users/alice/wallets/USD HTTP/1.1");
    assert!(asked.header("idempotency-key").is_some());
}

#[tokio::test]
async fn notes_are_changed_and_removed_by_one_patch() {
    let answer = format!(r#"{{"wallet":{}}}"#, described());
    let script = Script::start(vec![Reply::Json(200, "", answer)]).await;
    let arguments = [
        "describe",
        ALICE,
        "--no-label",
        "--metadata",
        "plan=gold",
        "--remove",
        "trial",
        "--if-match",
        "3",
    ];
    let output = run(&script, &arguments).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let asked = &script.asked()[0];
    assert_eq!(asked.line, format!("PATCH /wallets/{ALICE} HTTP/1.1"));
    assert_eq!(asked.header("if-match"), Some("\"3\""));
    let body: Value = serde_json::from_str(&asked.body).unwrap();
    assert_eq!(
        body,
        json!({"label": null, "metadata": {"plan": "gold", "trial": null}})
    );
    assert!(text(&output.stdout).contains("label: Rent"));
}
