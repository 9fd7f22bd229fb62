//! The commands as people and programs run them: what is sent, what is printed, how they end.

use std::{process::Output, time::Duration};

use serde_json::Value;
use shared::testing::eventually;
use tokio::process::Command;

use crate::{
    databases::Databases,
    scenario::ordinary,
    script::{Reply, Script},
};

const ALICE: &str = "01990000-0000-7000-8000-00000000000a";
const BOB: &str = "01990000-0000-7000-8000-00000000000b";

const WALLET: &str = r#"{"id":"01990000-0000-7000-8000-00000000000a","user_id":"alice","currency":"USD","status":"active","balance":"70.00","held":"0.00","available":"70.00","version":3,"created_at":"2026-11-21T08:00:00.000001Z","updated_at":"2026-11-21T08:00:03.000001Z"}"#;

fn moved() -> String {
    format!(
        r#"{{"transaction":{{"id":"01990000-0000-7000-8000-0000000000f1","kind":"transfer","status":"completed","currency":"USD","amount":"30.00","occurred_at":"2026-11-21T08:00:03.000001Z","legs":[]}},"wallet":{WALLET}}}"#
    )
}

fn entry(sequence: u32, kind: &str, amount: &str) -> String {
    format!(
        r#"{{"event_id":"01990000-0000-7000-8000-0000000001{sequence:02}","wallet_id":"{ALICE}","user_id":"alice","sequence":{sequence},"kind":"{kind}","amount":"{amount}","currency":"USD","balance_after":"70.00","transaction_id":"01990000-0000-7000-8000-0000000000f1","counterparty_wallet_id":"{BOB}","occurred_at":"2026-11-21T08:00:03.000001Z","recorded_at":"2026-11-21T08:00:03.100001Z","data":{{"leg_count":2}},"hash":"00"}}"#
    )
}

fn walletctl(script: &Script, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_walletctl"));
    command
        .env_clear()
        .env("WALLET_URL", &script.url)
        .env("HISTORY_URL", &script.url)
        .args(arguments)
        .kill_on_drop(true);
    command
}

async fn run(script: &Script, arguments: &[&str]) -> Output {
    walletctl(script, arguments).output().await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn a_wallet_is_created_with_a_key_of_its_own() {
    let script = Script::start(vec![Reply::Json(201, "", WALLET.to_owned())]).await;
    let output = run(&script, &["create", "alice", "--currency", "USD"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let asked = &script.asked()[0];
    assert_eq!(asked.line, "POST /wallets HTTP/1.1");
    assert_eq!(asked.body, r#"{"user_id":"alice","currency":"USD"}"#);
    let key: uuid::Uuid = asked.header("idempotency-key").unwrap().parse().unwrap();
    assert_eq!(key.get_version_num(), 7);
    let printed = text(&output.stdout);
    assert!(printed.starts_with("WALLET "), "{printed}");
    assert!(
        printed.contains("$70.00") && printed.contains("2026-11-21 08:00:03"),
        "{printed}"
    );
}

#[tokio::test]
async fn everything_said_about_a_transfer_is_sent() {
    let script = Script::start(vec![Reply::Json(201, "", moved())]).await;
    let arguments = [
        "transfer",
        ALICE,
        BOB,
        "30.00",
        "--reference",
        "order-7",
        "--description",
        "Kaffee",
        "--metadata",
        "shop=7",
        "--metadata",
        "a=b=c",
        "--if-match",
        "2",
        "--key",
        "mine",
        "--currency",
        "USD",
    ];
    let output = run(&script, &arguments).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let asked = &script.asked()[0];
    assert_eq!(
        asked.line,
        format!("POST /wallets/{ALICE}/transfer HTTP/1.1")
    );
    assert_eq!(asked.header("if-match"), Some("\"2\""));
    assert_eq!(asked.header("idempotency-key"), Some("mine"));
    let body: Value = serde_json::from_str(&asked.body).unwrap();
    assert_eq!(
        body,
        serde_json::json!({"to_wallet_id": BOB, "amount": "30.00", "currency": "USD", "reference": "order-7",
            "description": "Kaffee", "metadata": {"a": "b=c", "shop": "7"}})
    );
    let printed = text(&output.stdout);
    assert!(
        printed.contains("TRANSACTION") && printed.contains("$30.00"),
        "{printed}"
    );
}

#[tokio::test]
async fn a_request_is_sent_again_under_the_same_key_until_it_is_answered() {
    let script = Script::start(vec![
        Reply::problem(503, "unavailable", "later"),
        Reply::HangUp,
        Reply::problem(408, "body_timeout", "wait"),
        Reply::Json(201, "idempotent-replayed: true\r\n", moved()),
    ])
    .await;
    let output = run(&script, &["fund", ALICE, "30.00"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let asked = script.asked();
    assert_eq!(asked.len(), 4);
    for again in &asked[1..] {
        assert_eq!(
            again.header("idempotency-key"),
            asked[0].header("idempotency-key")
        );
        assert_eq!(again.body, asked[0].body);
    }
    assert!(text(&output.stderr).contains("nothing was done now"));
}

#[tokio::test]
async fn an_answer_that_never_comes_is_reported_with_the_key_to_ask_again() {
    let script = Script::start(Vec::new()).await;
    let output = run(&script, &["withdraw", ALICE, "1.00"]).await;
    assert_eq!(output.status.code(), Some(1));
    let asked = script.asked();
    assert_eq!(asked.len(), 5, "bounded");
    let said = text(&output.stderr);
    let key = asked[0].header("idempotency-key").unwrap();
    assert!(
        said.contains(&format!("--key {key}")) && said.contains("5 attempts"),
        "{said}"
    );
}

#[tokio::test]
async fn a_request_that_never_left_is_not_said_to_be_in_doubt() {
    let script = Script::start(Vec::new()).await;
    let nobody = ["--wallet-url", "http://127.0.0.1:1", "fund", ALICE, "1.00"];
    let output = run(&script, &nobody).await;
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.contains("no answer from http://127.0.0.1:1/") && !said.contains("--key"),
        "{said}"
    );
}

#[tokio::test]
async fn a_refusal_is_final_and_readable() {
    let script = Script::start(vec![Reply::problem(
        422,
        "insufficient_funds",
        "2.00 is too little.",
    )])
    .await;
    let output = run(&script, &["withdraw", ALICE, "5.00"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(script.asked().len(), 1);
    assert!(output.stdout.is_empty());
    let said = text(&output.stderr);
    for part in [
        "Refused: 2.00 is too little.",
        "insufficient_funds",
        "422",
        "r-9",
    ] {
        assert!(said.contains(part), "{said}");
    }
}

#[tokio::test]
async fn programs_get_the_document_as_it_came_good_or_bad() {
    let script = Script::start(vec![
        Reply::ok(WALLET),
        Reply::problem(404, "wallet_not_found", "none"),
    ])
    .await;
    let output = run(&script, &["--json", "wallet", ALICE]).await;
    assert_eq!(text(&output.stdout), format!("{WALLET}\n"));
    let output = run(&script, &["wallet", ALICE, "--json"]).await;
    assert_eq!(output.status.code(), Some(1));
    let problem: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(problem["code"], "wallet_not_found");
}

#[tokio::test]
async fn wrong_usage_sends_nothing_and_ends_with_two() {
    let script = Script::start(Vec::new()).await;
    for arguments in [
        &["fund", "no-id", "1.00"][..],
        &["fund", ALICE, "-1.00"],
        &["transfer", ALICE, BOB],
        &["burn", ALICE],
        &["verify"],
        &[],
    ] {
        let output = run(&script, arguments).await;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
    let twice = [
        "fund",
        ALICE,
        "1.00",
        "--metadata",
        "a=1",
        "--metadata",
        "a=2",
    ];
    let output = run(&script, &twice).await;
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert!(script.asked().is_empty());
}

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
async fn a_whole_history_is_read_page_by_page() {
    let page = |sequence, cursor: &str| {
        let entry = entry(sequence, "transfer.sent", "-30.00");
        format!(r#"{{"items":[{entry}],"next_cursor":{cursor},"applied_sequence":3}}"#)
    };
    let pages = || vec![Reply::ok(page(3, r#""next""#)), Reply::ok(page(2, "null"))];
    let script = Script::start(pages()).await;
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
    assert!(asked[1].line.contains("cursor=next"), "{}", asked[1].line);

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
    let not_yet = Reply::problem(409, "not_yet_applied", "not yet");
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

async fn verify(databases: &Databases, arguments: &[&str]) -> Output {
    let settings = databases.settings(Duration::ZERO);
    Command::new(env!("CARGO_BIN_EXE_walletctl"))
        .env_clear()
        .env("WALLET_DATABASE_URL", settings.wallet_database_url.expose())
        .env(
            "HISTORY_DATABASE_URL",
            settings.history_database_url.unwrap().expose(),
        )
        .args(["verify", "--wait", "1"])
        .args(arguments)
        .output()
        .await
        .unwrap()
}

#[tokio::test]
async fn verify_ends_with_zero_only_when_everything_holds() {
    let (scenario, cast) = ordinary();
    let databases = Databases::of(&scenario).await;
    let output = verify(&databases, &[]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(
        text(&output.stdout).contains("ok   I12  hash chain"),
        "{}",
        text(&output.stdout)
    );

    let sql = format!(
        "delete from events where wallet_id = '{}' and sequence = 2",
        cast.bob
    );
    databases.tamper_history(&sql).await;
    let output = verify(&databases, &["--json"]).await;
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["clean"], false);
    assert_eq!(report["promises"][2]["id"], "I3");
    assert_eq!(
        report["promises"][2]["faults"][0]["code"],
        "missing_in_history"
    );
    assert_eq!(
        report["promises"][2]["faults"][0]["first"]["wallet_id"],
        cast.bob.to_string()
    );

    let output = verify(&databases, &["--wallet-only"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
}

#[tokio::test]
async fn verify_of_a_server_that_is_away_fails_without_telling_the_password() {
    let (databases, _) = Databases::ordinary().await;
    let away = [
        "--history-database-url",
        "postgres://wallet:hunter2@127.0.0.1:1/history",
    ];
    let output = verify(&databases, &away).await;
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.contains("127.0.0.1:1/history") && !said.contains("hunter2"),
        "{said}"
    );
}
