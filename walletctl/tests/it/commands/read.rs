//! Commands that read: pages, pipes, and what comes while it is followed.

use std::time::Duration;

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
        "GET /users/a%2F..%2Fb%3Fc%23%C3%BC/wallets?limit=200 HTTP/1.1"
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
        "transfer.sent",
        "--kind",
        "wallet.funded",
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
            "GET /wallets/{ALICE}/history?limit=1&kind=transfer.sent%2Cwallet.funded\
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

#[tokio::test]
async fn tail_shows_what_comes_in_order_and_ends_on_an_interrupt() {
    let page = |sequences: &[u32]| {
        let items: Vec<String> = sequences
            .iter()
            .map(|sequence| entry(*sequence, "wallet.funded", "1.00"))
            .collect();
        Reply::ok(format!(
            r#"{{"items":[{}],"next_cursor":null,"applied_sequence":9}}"#,
            items.join(",")
        ))
    };
    let not_yet = Reply::problem(503, "history_behind", "not yet");
    // History goes away in the middle, for longer than one request is tried.
    let mut replies = vec![page(&[2, 1]), not_yet.clone(), page(&[4, 3, 2, 1])];
    replies.extend(vec![Reply::HangUp; 6]);
    replies.extend([not_yet, page(&[5, 4])]);
    let script = Script::start(replies).await;
    let directory = std::env::temp_dir().join(format!("tail-{}", uuid::Uuid::now_v7()));
    let file = std::fs::File::create(&directory).unwrap();
    let mut child = walletctl(&script, &["tail", ALICE, "--json"])
        .stdout(file)
        .spawn()
        .unwrap();
    let sequences = || -> Vec<i64> {
        let printed = std::fs::read_to_string(&directory).unwrap();
        let parse = |line: &str| serde_json::from_str::<Value>(line).ok()?["sequence"].as_i64();
        printed.lines().filter_map(parse).collect()
    };
    eventually(
        "five entries were shown",
        Duration::from_secs(10),
        || async { (sequences().len() >= 5).then_some(()) },
    )
    .await;
    assert_eq!(sequences(), [1, 2, 3, 4, 5]);
    let pid = child.id().unwrap().to_string();
    Command::new("kill")
        .args(["-INT", &pid])
        .status()
        .await
        .unwrap();
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
    std::fs::remove_file(&directory).unwrap();
    let asked = script.asked();
    assert!(
        asked[1].line.contains("min_sequence=3&wait_ms=10000"),
        "{}",
        asked[1].line
    );
    assert!(
        asked[10].line.contains("min_sequence=5"),
        "{}",
        asked[10].line
    );
}
