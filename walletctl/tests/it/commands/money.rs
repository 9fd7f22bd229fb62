//! Commands that change something: what is sent, how often, and what is said of it.

use serde_json::Value;

use super::{ALICE, BOB, WALLET, moved, run, text, walletctl};
use crate::script::{Reply, Script};

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
async fn a_wrong_value_of_the_environment_is_told_by_its_variable_and_an_empty_one_is_none() {
    let script = Script::start(vec![Reply::ok(WALLET)]).await;
    let mut command = walletctl(&script, &["wallet", ALICE]);
    let output = command
        .env("WALLETCTL_TIMEOUT_MS", "soon")
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    for part in ["--timeout-ms", "WALLETCTL_TIMEOUT_MS", "from 1 to 600000"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let mut command = walletctl(&script, &["wallet", ALICE]);
    let output = command
        .env("WALLETCTL_TIMEOUT_MS", "")
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[tokio::test]
async fn tables_fit_the_width_they_are_given() {
    let script = Script::start(vec![Reply::Json(201, "", moved())]).await;
    let output = run(&script, &["fund", ALICE, "30.00", "--width", "80"]).await;
    let printed = text(&output.stdout);
    for part in [
        "01990000-0000-7000-8000-0000000000f1",
        ALICE,
        "alice",
        "$70.00",
    ] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    for line in printed.lines() {
        assert!(line.chars().count() <= 80, "{printed}");
    }
}

#[tokio::test]
async fn programs_get_the_key_of_a_failed_change_as_a_member() {
    let refused = Reply::problem(422, "insufficient_funds", "too little");
    let script = Script::start(vec![refused]).await;
    for code in ["insufficient_funds", "no_answer"] {
        let output = run(
            &script,
            &["--json", "withdraw", ALICE, "1.00", "--key", "mine"],
        )
        .await;
        assert_eq!(output.status.code(), Some(1));
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            (&document["code"], &document["key"]),
            (&code.into(), &"mine".into())
        );
    }
}

#[tokio::test]
async fn a_service_that_is_another_one_is_suspected() {
    let elsewhere = Reply::problem(404, "route_not_found", "There is no such path here.");
    let script = Script::start(vec![elsewhere; 2]).await;
    let said = text(&run(&script, &["fund", ALICE, "1.00"]).await.stderr);
    assert!(
        said.contains("is that wallet-service? --wallet-url"),
        "{said}"
    );
    let said = text(&run(&script, &["history", ALICE]).await.stderr);
    assert!(
        said.contains("is that history-service? --history-url"),
        "{said}"
    );
}
