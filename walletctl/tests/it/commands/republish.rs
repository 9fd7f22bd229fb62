//! `republish`: what is ordered, and that it waits to the end.

use serde_json::{Value, json};

use super::{ALICE, run, text};
use crate::script::{Reply, Script};

fn order(status: &str, events: u32, faulty_wallets: u32) -> Value {
    let mut order = json!({
        "id": "01990000-0000-7000-8000-0000000000aa", "target": "all", "actor": "anonymous", "status": status,
        "wallets": 2, "events": events, "events_per_second": 1000, "faulty_wallets": faulty_wallets,
        "requested_at": "2026-11-21T08:00:00.000001Z",
    });
    if faulty_wallets > 0 {
        order["fault"] = json!("event 2 of wallet x does not fit its hash");
    }
    order
}

fn list(order: &Value) -> Reply {
    Reply::Json(200, "", json!({"items": [order]}).to_string())
}

#[tokio::test]
async fn everything_is_sent_again_and_waited_for() {
    let script = Script::start(vec![
        Reply::Json(202, "", order("running", 0, 0).to_string()),
        list(&order("running", 0, 0)),
        list(&order("running", 3, 0)),
        list(&order("finished", 5, 0)),
    ])
    .await;
    let output = run(&script, &["republish", "--all", "--create-topic"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let asked = script.asked();
    assert_eq!(asked[0].line, "POST /admin/republish HTTP/1.1");
    assert_eq!(asked[0].body, r#"{"all":true,"create_topic":true}"#);
    assert_eq!(asked[2].line, "GET /admin/republish HTTP/1.1");
    assert_eq!(
        text(&output.stderr),
        "3 events of 2 wallets are in the outbox again\n5 events of 2 wallets are in the outbox again\n",
        "nothing is said before there is something to say"
    );
    assert_eq!(
        text(&output.stdout),
        "5 events of 2 wallets were sent again\n"
    );
}

#[tokio::test]
async fn one_is_not_told_as_many() {
    let mut one = order("finished", 1, 1);
    one["wallets"] = json!(1);
    let script = Script::start(vec![Reply::Json(202, "", one.to_string())]).await;
    let output = run(&script, &["republish", "--all"]).await;
    assert_eq!(
        text(&output.stdout),
        "1 event of 1 wallet was sent again\n1 wallet could not be sent whole: event 2 of wallet x does not fit its hash\n"
    );
}

#[tokio::test]
async fn a_wallet_that_could_not_be_sent_whole_is_a_failure_that_names_it() {
    let script = Script::start(vec![Reply::Json(
        202,
        "",
        order("finished", 5, 1).to_string(),
    )])
    .await;
    let output = run(&script, &["--json", "republish", "--wallet", ALICE]).await;
    assert_eq!(output.status.code(), Some(1));
    let asked = script.asked();
    assert_eq!(asked[0].body, json!({"wallet_id": ALICE}).to_string());
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        printed["fault"],
        "event 2 of wallet x does not fit its hash"
    );
}

#[tokio::test]
async fn what_is_to_be_sent_again_must_be_said_and_only_once() {
    let script = Script::start(Vec::new()).await;
    for arguments in [
        &["republish"][..],
        &["republish", "--all", "--wallet", ALICE],
    ] {
        let output = run(&script, arguments).await;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}
