//! `rebuild` and `repair`: what is ordered, that it is waited for, and how it ends.

use serde_json::{Value, json};

use super::{ALICE, run, text};
use crate::script::{Reply, Script};

fn ordered(wallets: &Value) -> Reply {
    let requested = json!({"id": 4, "requested_at": "2026-11-21T08:00:00.000001Z"});
    let mut body = json!({ "rebuild": requested });
    if !wallets.is_null() {
        body["wallet_ids"] = wallets.clone();
    }
    Reply::Json(202, "", body.to_string())
}

fn order(status: &str, changes: &Value) -> Reply {
    let mut order = json!({
        "id": 4, "requested_at": "2026-11-21T08:00:00.000001Z", "reason": "asked for", "actor": "anonymous",
        "ledger_wins": false, "status": status, "compared": 0, "rows_checked": 0, "queued": 0, "waiting": 0,
        "mended": 0, "unchanged": 0, "unknown": 0, "stuck": 0, "events_added": 0, "events_set_aside": 0,
        "totals_mended": 0,
    });
    for (name, value) in changes.as_object().unwrap() {
        order[name] = value.clone();
    }
    Reply::ok(order.to_string())
}

#[tokio::test]
async fn a_rebuild_is_waited_for_only_when_that_is_asked_and_shows_how_far_it_is() {
    let script = Script::start(vec![ordered(&Value::Null)]).await;
    let output = run(&script, &["rebuild"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(script.asked().len(), 1);

    let script = Script::start(vec![
        ordered(&Value::Null),
        order("running", &json!({"compared": 200})),
        order("running", &json!({"compared": 300, "rows_checked": 5_000, "waiting": 2})),
        order(
            "finished",
            &json!({"compared": 300, "rows_checked": 9_000, "queued": 1, "mended": 1, "events_added": 7, "totals_mended": 1}),
        ),
    ])
    .await;
    let output = run(&script, &["rebuild", "--wait"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let shown = text(&output.stderr);
    assert!(
        shown.contains("200 wallets compared") && shown.contains("5,000 rows"),
        "{shown}"
    );
    let said = text(&output.stdout);
    assert!(
        said.contains("300 wallets and 9,000 rows were compared, 1 wallet looked at one by one")
            && said.contains("1 wallet was mended: 7 events added")
            && said.contains("1 sum of reports was put right"),
        "{said}"
    );
    assert_eq!(script.asked()[1].line, "GET /admin/rebuilds/4 HTTP/1.1");
}

#[tokio::test]
async fn a_rebuild_is_ended_with_a_reason_and_never_without() {
    let end = ["rebuild", "--end", "4", "--actor", "olga"];
    let script = Script::start(vec![order("ended", &json!({"ended_by": "olga"}))]).await;
    let output = run(&script, &end).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(script.asked().is_empty());
    let output = run(&script, &[&end[..], &["--reason", "republished"]].concat()).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "rebuild 4 is ended\n");
    let asked = script.asked();
    assert_eq!(asked[0].line, "POST /admin/rebuilds/4/end HTTP/1.1");
    let body: Value = serde_json::from_str(&asked[0].body).unwrap();
    assert_eq!(body, json!({"reason": "republished", "actor": "olga"}));

    let done = Script::start(vec![order("finished", &json!({}))]).await;
    let output = run(&done, &[&end[..], &["--reason", "republished"]].concat()).await;
    assert_eq!(text(&output.stdout), "rebuild 4 was finished before\n");

    // One who waited for it is not told that all is well.
    let script = Script::start(vec![ordered(&Value::Null), order("ended", &json!({}))]).await;
    let output = run(&script, &["rebuild", "--wait"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "it was ended before it was done\n");
}

#[tokio::test]
async fn what_could_not_be_brought_to_the_ledgers_state_is_a_failure_with_the_way_out() {
    let stuck = json!({
        "queued": 1, "stuck": 1,
        "first_stuck": {"wallet_id": ALICE, "state": "forked", "common_sequence": 4,
                        "detail": "history and ledger agree up to event 4", "requested_at": "2026-11-21T08:00:00Z"},
    });
    let script = Script::start(vec![ordered(&Value::Null), order("failed", &stuck)]).await;
    let output = run(&script, &["rebuild", "--wallet", ALICE, "--wait"]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stdout);
    assert!(
        said.contains("agree up to event 4") && said.contains("repair --ledger-wins --wallet"),
        "{said}"
    );
    let script = Script::start(vec![ordered(&Value::Null), order("failed", &stuck)]).await;
    let output = run(&script, &["--json", "rebuild", "--wait"]).await;
    assert_eq!(output.status.code(), Some(1));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["status"], "failed");

    // By now it may be mended: a failure is never without a word.
    let mended = json!({"queued": 3, "mended": 2, "stuck": 1});
    let script = Script::start(vec![ordered(&Value::Null), order("failed", &mended)]).await;
    let output = run(&script, &["rebuild", "--wait"]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stdout);
    assert!(
        said.contains("1 wallet was left as it was; the first was brought"),
        "{said}"
    );
}

#[tokio::test]
async fn a_repair_says_what_it_did_and_when_it_did_nothing() {
    let repair = [
        "repair",
        "--ledger-wins",
        "--reason",
        "restored",
        "--actor",
        "olga",
    ];
    let nothing = || Reply::Json(202, "", json!({"wallet_ids": []}).to_string());
    let waiting = |count| Reply::ok(json!({"refill": {"waiting": count}}).to_string());
    let script = Script::start(vec![nothing(), waiting(1)]).await;
    let output = run(&script, &repair).await;
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stdout);
    assert!(
        said.contains("1 wallet is being compared with the ledger"),
        "{said}"
    );
    let script = Script::start(vec![nothing(), waiting(0)]).await;
    let output = run(&script, &repair).await;
    assert_eq!(output.status.code(), Some(0));
    let said = text(&output.stdout);
    assert!(
        said.contains("nothing was done: no wallet is known to be forked"),
        "{said}"
    );

    let script = Script::start(vec![nothing(), waiting(0)]).await;
    let output = run(&script, &[&repair[..], &["--unknown"]].concat()).await;
    assert_eq!(output.status.code(), Some(0));
    let said = text(&output.stdout);
    assert!(
        said.contains("nothing was done: no wallet is known here that"),
        "{said}"
    );
    let body: Value = serde_json::from_str(&script.asked()[0].body).unwrap();
    assert_eq!(body["unknown"], true);

    let of_one = [&repair[..], &["--wallet", ALICE]].concat();
    let script = Script::start(vec![
        ordered(&json!([ALICE])),
        order(
            "finished",
            &json!({"wallet_id": ALICE, "queued": 1, "unchanged": 1}),
        ),
    ])
    .await;
    let output = run(&script, &of_one).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert!(
        said.contains("nothing was done about 1 wallet: history has the ledger's events"),
        "{said}"
    );
    let body: Value = serde_json::from_str(&script.asked()[0].body).unwrap();
    assert_eq!(
        body,
        json!({"ledger_wins": true, "wallet_id": ALICE, "reason": "restored", "actor": "olga"})
    );

    let script = Script::start(vec![ordered(&json!([ALICE]))]).await;
    let output = run(&script, &[&of_one[..], &["--no-wait"]].concat()).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(script.asked().len(), 1);
}
