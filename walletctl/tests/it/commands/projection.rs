//! How far history is, for people and for programs.

use serde_json::Value;

use super::{ALICE, BOB, run, text};
use crate::script::{Reply, Script};

fn said(drifts: &str, forks: &str) -> String {
    format!(
        r#"{{"partitions":[{{"topic":"wallet-events","partition":1,"next_offset":5,"updated_at":"2026-11-27T02:19:04.373376Z","lag_events":2}},{{"topic":"wallet-events","partition":10,"next_offset":12345,"updated_at":"2026-11-27T02:19:04.373376Z"}}],"lag":{{"events":2,"seconds":0.25}},"parked_events":0,"quarantined_messages":1,"waiting_events":0,"instance":{{"batches":4}},"refill":{{"waiting":0,"forked":0,"forks":[{forks}],"rebuild":{{"id":3,"requested_at":"2026-11-27T02:30:00.000000Z","reason":"asked for","actor":"olga","status":"failed","ledger_wins":true,"compared":1200,"queued":3,"finished_at":"2026-11-27T02:30:04.000000Z"}}}},"proof":{{"finished_at":"2026-11-27T02:31:10.101112Z","whole_finished_at":null,"ledger_compared_at":"2026-11-27T02:31:04.000000Z","ledger_error":"the ledger does not answer","wallets_drifted":1,"drifts":[{drifts}]}}}}"#
    )
}

fn wrong() -> String {
    let drift = format!(
        r#"{{"wallet_id":"{ALICE}","reason":"event_missing","sequence":5,"detail":"event 5 is not there, and event 6 is","found_at":"2026-11-27T02:31:10.000000Z"}}"#
    );
    let fork = format!(
        r#"{{"wallet_id":"{BOB}","state":"forked","common_sequence":4,"requested_at":"2026-11-27T02:31:10.000000Z"}}"#
    );
    said(&drift, &fork)
}

/// Line by line, however wide the columns are.
fn words(text: &str) -> Vec<Vec<&str>> {
    let lines = text.lines();
    lines
        .map(|line| line.split_whitespace().collect())
        .collect()
}

#[tokio::test]
async fn how_far_history_is_and_what_is_wrong_with_it_is_shown_for_people() {
    let script = Script::start(vec![Reply::ok(wrong())]).await;
    let output = run(&script, &["projection"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(script.asked()[0].line, "GET /admin/projection HTTP/1.1");
    let expected = format!(
        "\
TOPIC          PARTITION  NEXT OFFSET         BEHIND  MOVED (UTC)
wallet-events          1            5              2  2026-11-27 02:19:04
wallet-events         10        12345  not known yet  2026-11-27 02:19:04

WHAT                       STATE
behind the topic           2 events, for 0.2 s
parked                     0 events
in quarantine, open        1 message
waiting for a newer build  0 events
asked of the ledger        0 wallets
last rebuild               3, a repair, failed 2026-11-27 02:30:04: 1,200 wallets compared, 3 looked at
what is new proved         2026-11-27 02:31:10
every event proved         not yet
compared with the ledger   2026-11-27 02:31:04, and not now: the ledger does not answer
not as it was written      1 wallet

WALLET                                WHAT                                EVENT  DETAIL
{ALICE}  event_missing                           5  event 5 is not there, and event 6 is
{BOB}  forked         4 is the last in common
"
    );
    let shown = text(&output.stdout);
    assert_eq!(words(&shown), words(&expected), "{shown}");
}

#[tokio::test]
async fn it_fits_a_narrow_terminal_and_says_nothing_of_wallets_when_nothing_is_wrong() {
    let script = Script::start(vec![Reply::ok(wrong()), Reply::ok(said("", ""))]).await;
    let output = run(&script, &["--width", "80", "projection"]).await;
    let shown = text(&output.stdout);
    let widest = shown.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(80), "{shown}");
    assert!(shown.contains(ALICE) && shown.contains(BOB), "{shown}");
    let output = run(&script, &["projection"]).await;
    let shown = text(&output.stdout);
    assert!(!shown.contains("WALLET"), "{shown}");
}

#[tokio::test]
async fn programs_get_what_the_service_said() {
    let script = Script::start(vec![Reply::ok(wrong())]).await;
    let output = run(&script, &["--json", "projection"]).await;
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown, serde_json::from_str::<Value>(&wrong()).unwrap());
}
