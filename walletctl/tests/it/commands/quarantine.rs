//! `quarantine`: what is asked, what is printed, how it ends.

use serde_json::{Value, json};

use super::{run, text};
use crate::script::{Reply, Script};

const MESSAGE: &str = r#"{"id":7,"status":"open","topic":"wallet-events","partition":1,"offset":6,"reason":"malformed","detail":"the message has no value","value_bytes":0,"value_preview":"","recorded_at":"2026-11-27T02:30:42.160942Z"}"#;

#[tokio::test]
async fn the_list_is_read_to_its_end_and_is_one_document_for_programs() {
    let page = |cursor: &str| format!(r#"{{"items":[{MESSAGE}],"next_cursor":{cursor}}}"#);
    let pages = || vec![Reply::ok(page(r#""next""#)), Reply::ok(page("null"))];
    let script = Script::start(pages()).await;
    let output = run(&script, &["--json", "quarantine", "list"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let ids: Vec<&Value> = document["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["id"])
        .collect();
    assert_eq!(ids, [7, 7]);
    let asked = script.asked();
    assert_eq!(
        asked[0].line,
        "GET /admin/quarantine?status=open&limit=200 HTTP/1.1"
    );
    assert!(asked[1].line.contains("cursor=next"), "{}", asked[1].line);

    let script = Script::start(pages()).await;
    let output = run(&script, &["quarantine", "list", "--status", "all"]).await;
    let printed = text(&output.stdout);
    assert!(printed.contains("wallet-events/1/6"), "{printed}");
    assert!(script.asked()[0].line.contains("status=all"));
}

#[tokio::test]
async fn a_decision_carries_its_reason_and_actor_and_a_refusal_is_a_failure() {
    let script = Script::start(vec![
        Reply::ok(r#"{"id":7,"outcome":"discarded","resolved":true}"#),
        Reply::ok(
            r#"{"id":7,"outcome":"refused","resolved":false,"reason":"malformed","detail":"the message has no value"}"#,
        ),
    ])
    .await;
    let arguments = [
        "quarantine",
        "discard",
        "7",
        "--reason",
        "a test",
        "--actor",
        "alice",
    ];
    let output = run(&script, &arguments).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let output = run(&script, &["quarantine", "replay", "7"]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stdout);
    assert!(
        said.contains("malformed (the message has no value)"),
        "{said}"
    );
    let asked = script.asked();
    assert_eq!(asked[0].line, "POST /admin/quarantine/7/discard HTTP/1.1");
    let body: Value = serde_json::from_str(&asked[0].body).unwrap();
    assert_eq!(body, json!({"reason": "a test", "actor": "alice"}));
    assert_eq!(asked[1].line, "POST /admin/quarantine/7/replay HTTP/1.1");
    let output = run(&script, &["quarantine", "discard", "7"]).await;
    assert_eq!(output.status.code(), Some(2), "a reason is required");
}

#[tokio::test]
async fn a_list_with_a_limit_says_where_it_goes_on() {
    let page = format!(r#"{{"items":[{MESSAGE}],"next_cursor":"next"}}"#);
    let script = Script::start(vec![Reply::ok(page.clone()), Reply::ok(page)]).await;
    let arguments = [
        "quarantine",
        "list",
        "--limit",
        "1",
        "--refused-for",
        "malformed",
    ];
    let printed = text(&run(&script, &arguments).await.stdout);
    assert!(printed.contains("--cursor next"), "{printed}");
    let more = [
        "--json",
        "quarantine",
        "list",
        "--limit",
        "1",
        "--cursor",
        "c",
    ];
    let document: Value = serde_json::from_slice(&run(&script, &more).await.stdout).unwrap();
    assert_eq!(document["next_cursor"], "next");
    let asked = script.asked();
    assert_eq!(
        asked[0].line,
        "GET /admin/quarantine?status=open&reason=malformed&limit=1 HTTP/1.1"
    );
    assert!(
        asked[1].line.contains("limit=1&cursor=c"),
        "{}",
        asked[1].line
    );
}

#[tokio::test]
async fn many_messages_are_decided_on_together() {
    let outcomes = |items: Value| Reply::ok(json!({ "items": items }).to_string());
    let page = |ids: &[i64], cursor: &str| {
        let items: Vec<String> = ids
            .iter()
            .map(|id| MESSAGE.replace(r#""id":7"#, &format!(r#""id":{id}"#)))
            .collect();
        Reply::ok(format!(
            r#"{{"items":[{}],"next_cursor":{cursor}}}"#,
            items.join(",")
        ))
    };
    let script = Script::start(vec![
        page(&[9, 8], r#""next""#),
        page(&[7], "null"),
        outcomes(json!([
            {"id": 7, "outcome": "discarded", "resolved": true},
            {"id": 8, "outcome": "already_resolved", "resolved": true},
            {"id": 9, "outcome": "discarded", "resolved": true},
        ])),
        outcomes(json!([
            {"id": 3, "outcome": "applied", "resolved": true},
            {"id": 4, "outcome": "refused", "resolved": false, "reason": "malformed", "detail": "x"},
        ])),
    ])
    .await;
    let all = [
        "quarantine",
        "discard",
        "--all",
        "--reason",
        "tests",
        "--actor",
        "alice",
    ];
    let output = run(&script, &all).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    assert!(
        printed.contains("2  discarded") && printed.contains("1  already resolved"),
        "{printed}"
    );
    let output = run(&script, &["quarantine", "replay", "3", "4"]).await;
    assert_eq!(output.status.code(), Some(1), "one is still refused");
    let asked = script.asked();
    assert_eq!(asked[2].line, "POST /admin/quarantine/discard HTTP/1.1");
    let body: Value = serde_json::from_str(&asked[2].body).unwrap();
    assert_eq!(
        body,
        json!({"ids": [7, 8, 9], "reason": "tests", "actor": "alice"})
    );
    assert_eq!(asked[3].line, "POST /admin/quarantine/replay HTTP/1.1");
    for wrong in [
        &["quarantine", "discard", "--reason", "x"][..],
        &["quarantine", "discard", "7", "--all", "--reason", "x"],
        &[
            "quarantine",
            "discard",
            "7",
            "--refused-for",
            "malformed",
            "--reason",
            "x",
        ],
    ] {
        let output = run(&script, wrong).await;
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
}

#[tokio::test]
async fn events_that_wait_are_chosen_by_their_reason_as_by_their_kind() {
    for only in [
        ["--refused-for", "unknown_event"],
        ["--kind", "wallet.minted"],
    ] {
        let empty = Reply::ok(r#"{"items":[],"next_cursor":null}"#);
        let script = Script::start(vec![empty]).await;
        let discard = ["quarantine", "discard", "--all", "--reason", "forged"];
        run(&script, &[&discard[..], &only].concat()).await;
        let asked = &script.asked()[0].line;
        assert!(asked.contains("status=waiting"), "{asked}");
    }
}
