//! Commands that read: pages, pipes, and what comes while it is followed.

use std::{path::Path, process::Stdio, time::Duration};

use serde_json::Value;
use shared::testing::eventually;
use tokio::process::Command;

use super::{ALICE, BOB, WALLET, entry, run, text, walletctl};
use crate::script::{Reply, Script};

#[tokio::test]
async fn a_users_name_is_one_segment_of_the_path_whatever_it_holds() {
    let page = format!(r#"{{"items":[{WALLET}],"next_cursor":null}}"#);
    let script = Script::start(vec![Reply::ok(page)]).await;
    let output = run(&script, &["wallet", "--user", "a/../b?c#ü"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(
        script.asked()[0].line,
        "GET /users/a%2F..%2Fb%3Fc%23%C3%BC/wallets?limit=500 HTTP/1.1"
    );
}

#[tokio::test]
async fn history_is_asked_to_wait_for_the_change_that_is_to_be_seen() {
    let entry = entry(2, "wallet.funded", "100.00");
    let page = format!(r#"{{"items":[{entry}],"next_cursor":null,"applied_sequence":2}}"#);
    let script = Script::start(vec![Reply::ok(page), Reply::ok(WALLET)]).await;
    let output = run(&script, &["history", ALICE, "--min-sequence", "2"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(
        script.asked()[0].line,
        format!("GET /wallets/{ALICE}/history?min_sequence=2&wait_ms=20000 HTTP/1.1")
    );
}

#[tokio::test]
async fn a_whole_history_is_read_page_by_page() {
    let page = |sequence, cursor: &str| {
        let entry = entry(sequence, "transfer.sent", "-30.00");
        format!(r#"{{"items":[{entry}],"next_cursor":{cursor},"applied_sequence":3}}"#)
    };
    let pages = || vec![Reply::ok(page(3, r#""next""#)), Reply::ok(page(2, "null"))];
    // Whose the wallet on the other side is, is asked once.
    let named = {
        let [first, second] = <[Reply; 2]>::try_from(pages()).unwrap();
        vec![
            first,
            Reply::ok(WALLET.replace("alice", "bob-the-buyer")),
            second,
        ]
    };
    let script = Script::start(named).await;
    let arguments = [
        "history",
        ALICE,
        "--all",
        "--asc",
        "--kind",
        "transfer.sent,wallet.funded",
        "--kind",
        "wallet.withdrawn",
        "--from",
        "2026-11-21",
        "--limit",
        "1",
    ];
    let output = run(&script, &arguments).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    assert_eq!(printed.lines().count(), 3, "{printed}");
    assert!(printed.contains("-$30.00"), "{printed}");
    let asked = script.asked();
    assert_eq!(
        asked[0].line,
        format!(
            "GET /wallets/{ALICE}/history?limit=1&kind=transfer.sent%2Cwallet.funded%2Cwallet.withdrawn\
             &from=2026-11-21T00%3A00%3A00.000000Z&order=asc HTTP/1.1"
        )
    );
    assert_eq!(asked[1].line, format!("GET /wallets/{BOB} HTTP/1.1"));
    assert!(asked[2].line.contains("cursor=next"), "{}", asked[2].line);
    assert_eq!(printed.matches("bob-the-buyer").count(), 2, "{printed}");

    let script = Script::start(pages()).await;
    let output = run(&script, &["history", ALICE, "--all", "--json"]).await;
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["items"].as_array().unwrap().len(), 2);
    assert_eq!(document["applied_sequence"], 3);
    assert!(
        text(&output.stdout).contains(&entry(2, "transfer.sent", "-30.00")),
        "untouched"
    );
}

#[tokio::test]
async fn a_history_of_which_events_are_in_an_archive_says_up_to_which() {
    let entry = entry(21, "wallet.funded", "1.00");
    let archived = r#""archived_to_sequence":20,"archived_until":"2024-03-01T00:00:09.000000Z""#;
    let page =
        format!(r#"{{"items":[{entry}],"next_cursor":null,"applied_sequence":21,{archived}}}"#);
    let script = Script::start(vec![Reply::ok(page.clone()), Reply::ok(WALLET)]).await;
    let output = run(&script, &["history", ALICE]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let said = text(&output.stderr);
    assert!(
        said.contains("events up to 20, of 2024-03-01 00:00:09 UTC, are in an archive"),
        "{said}"
    );
    for all in [&[][..], &["--all"]] {
        let script = Script::start(vec![Reply::ok(page.clone())]).await;
        let arguments = [&["history", ALICE, "--json"], all].concat();
        let output = run(&script, &arguments).await;
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(document["archived_to_sequence"], 20, "{document}");
        assert_eq!(
            document["archived_until"], "2024-03-01T00:00:09.000000Z",
            "{document}"
        );
    }
}

#[tokio::test]
async fn a_closed_pipe_ends_a_command_quietly() {
    let entries: Vec<String> = (1..=90)
        .map(|sequence| entry(sequence, "wallet.funded", "1.00"))
        .collect();
    let page = format!(
        r#"{{"items":[{}],"next_cursor":"more","applied_sequence":90}}"#,
        entries.join(",")
    );
    let script = Script::start(vec![Reply::ok(page); 50]).await;
    let mut child = walletctl(&script, &["history", ALICE, "--all"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(
        (output.status.code(), text(&output.stderr)),
        (Some(0), String::new())
    );
}

/// Of the entries that were written so far.
fn sequences_in(file: &Path) -> Vec<i64> {
    let printed = std::fs::read_to_string(file).unwrap();
    let parse = |line: &str| serde_json::from_str::<Value>(line).ok()?["sequence"].as_i64();
    printed.lines().filter_map(parse).collect()
}

#[tokio::test]
async fn tail_shows_what_comes_once_and_in_order_whatever_breaks_off() {
    let event = |sequence: u32| {
        let entry = entry(sequence, "wallet.funded", "1.00");
        format!("id: {sequence}\nevent: wallet.funded\ndata: {entry}\n\n")
    };
    let stream = |position: u32, rest: String| {
        let position = format!("retry: 2000\nid: {position}\nevent: position\ndata: {{}}\n\n");
        let headers = "content-type: text/event-stream\r\n";
        Reply::Json(200, headers, format!("{position}{rest}"))
    };
    let end = "event: end\ndata: {\"code\":\"unavailable\",\"detail\":\"The service ends.\"}\n\n";
    let items: Vec<String> = [3, 2, 1]
        .map(|sequence| entry(sequence, "wallet.funded", "1.00"))
        .into();
    let latest = Reply::ok(format!(
        r#"{{"items":[{}],"next_cursor":null,"applied_sequence":3}}"#,
        items.join(",")
    ));
    let script = Script::start(vec![
        // The third happens after the stream was opened, and before the latest are read.
        stream(2, event(3) + &event(4)),
        latest,
        Reply::HangUp,
        Reply::problem(503, "unavailable", "not now"),
        stream(4, event(5) + end),
        stream(5, event(6) + "id: 7\nevent: half"),
    ])
    .await;
    let directory = std::env::temp_dir().join(format!("tail-{}", uuid::Uuid::now_v7()));
    let file = std::fs::File::create(&directory).unwrap();
    let child = walletctl(&script, &["tail", ALICE, "--json"])
        .stdout(file)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let sequences = || sequences_in(&directory);
    eventually(
        "six entries were shown",
        Duration::from_secs(10),
        || async { (sequences().len() >= 6).then_some(()) },
    )
    .await;
    assert_eq!(sequences(), [1, 2, 3, 4, 5, 6]);
    let pid = child.id().unwrap().to_string();
    Command::new("kill")
        .args(["-INT", &pid])
        .status()
        .await
        .unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(0));
    std::fs::remove_file(&directory).unwrap();
    let said = text(&output.stderr);
    assert!(
        said.contains("The service ends; connecting again"),
        "{said}"
    );
    assert!(said.contains("ended; --after 6 goes on"), "{said}");
    let asked = script.asked();
    let went_on: Vec<_> = asked
        .iter()
        .filter(|asked| asked.line.contains("/stream"))
        .map(|asked| asked.header("last-event-id").map(str::to_owned))
        .take(5)
        .collect();
    let expected = [None, Some("4"), Some("4"), Some("4"), Some("5")];
    assert_eq!(went_on, expected.map(|id| id.map(str::to_owned)));
}

#[tokio::test]
async fn tail_goes_on_after_an_id_and_ends_when_it_may_not_go_on() {
    let script = Script::start(vec![
        Reply::Json(200, "content-type: text/event-stream\r\n", String::new()),
        Reply::problem(401, "token_expired", "The token has expired."),
    ])
    .await;
    let output = walletctl(&script, &["tail", "--user", "alice", "--after", "abc"]).output();
    let output = output.await.unwrap();
    assert_ne!(output.status.code(), Some(0));
    let said = text(&output.stderr);
    assert!(
        said.contains("the stream broke off; connecting again"),
        "{said}"
    );
    assert!(said.contains("The token has expired."), "{said}");
    let asked = script.asked();
    assert_eq!(asked.len(), 2);
    for asked in asked {
        assert!(
            asked.line.starts_with("GET /users/alice/stream "),
            "{}",
            asked.line
        );
        assert_eq!(asked.header("last-event-id"), Some("abc"));
    }
}

#[tokio::test]
async fn tail_says_when_what_it_showed_was_replaced_and_goes_on_there() {
    let replaced = format!(
        "id: 3\nevent: replaced\ndata: {{\"wallet_id\":\"{ALICE}\",\"from_sequence\":4}}\n\n"
    );
    let script = Script::start(vec![
        Reply::Json(200, "content-type: text/event-stream\r\n", replaced),
        Reply::problem(401, "token_expired", "The token has expired."),
    ])
    .await;
    let output = walletctl(&script, &["tail", ALICE, "--after", "5"]).output();
    let said = text(&output.await.unwrap().stderr);
    let expected = format!("an operator replaced events of {ALICE} from number 4 on");
    assert!(said.contains(&expected), "{said}");
    assert_eq!(script.asked()[1].header("last-event-id"), Some("3"));
}
