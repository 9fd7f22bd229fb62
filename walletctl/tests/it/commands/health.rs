//! What the services say about themselves, and how the command ends with it.

use serde_json::{Value, json};

use super::{run, text};
use crate::script::{Reply, Script};

const WELL: &str = r#"{"status":"ok","components":{"postgres":{"status":"ok"}}}"#;
const WORN: &str = r#"{"status":"degraded","reasons":["kafka: no broker answers"],"components":{"kafka":{"status":"degraded","reason":"no broker answers"},"outbox":{"status":"ok","events":3}}}"#;
const ILL: &str = r#"{"status":"down","reasons":["postgres: starting"],"components":{"postgres":{"status":"down","reason":"starting"}}}"#;

fn replies(status: u16, wallet: &str, history: &str) -> Vec<Reply> {
    vec![
        Reply::Json(status, "", wallet.to_owned()),
        Reply::Json(200, "", history.to_owned()),
    ]
}

#[tokio::test]
async fn each_part_of_both_services_is_shown_with_its_reason_and_degraded_is_no_failure() {
    let script = Script::start(replies(200, WORN, WELL)).await;
    let output = run(&script, &["health"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    let rows: Vec<Vec<&str>> = printed
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let expected = [
        vec!["SERVICE", "PART", "STATUS", "REASON"],
        vec!["history-service", "ok"],
        vec!["history-service", "postgres", "ok"],
        vec!["wallet-service", "degraded"],
        vec![
            "wallet-service",
            "kafka",
            "degraded",
            "no",
            "broker",
            "answers",
        ],
        vec!["wallet-service", "outbox", "ok"],
    ];
    assert_eq!(rows, expected);
}

#[tokio::test]
async fn a_service_that_takes_no_requests_is_asked_once_shown_and_a_failure() {
    let script = Script::start(replies(503, ILL, WELL)).await;
    let output = run(&script, &["--json", "health"]).await;
    assert_eq!(output.status.code(), Some(1));
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    let told = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let expected = json!({"wallet-service": told(ILL), "history-service": told(WELL)});
    assert_eq!(shown, expected);
    assert_eq!(script.asked().len(), 2);
}

#[tokio::test]
async fn a_service_that_does_not_answer_is_shown_beside_the_other_and_a_failure() {
    for away in ["--wallet-url", "--history-url"] {
        let script = Script::start(vec![Reply::ok(WORN), Reply::ok(WORN)]).await;
        let nobody = [away, "http://127.0.0.1:9"];
        let output = run(&script, &[&nobody[..], &["health"]].concat()).await;
        assert_eq!(output.status.code(), Some(1));
        let printed = text(&output.stdout);
        assert!(
            printed.contains("down")
                && printed.contains("no answer from http://127.0.0.1:9/readyz (1 attempt; "),
            "{printed}"
        );
        assert!(printed.contains("no broker answers"), "{printed}");
        let output = run(&script, &[&nobody[..], &["--json", "health"]].concat()).await;
        assert_eq!(output.status.code(), Some(1));
        let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
        let statuses = ["wallet-service", "history-service"].map(|name| &shown[name]["status"]);
        assert!(statuses.contains(&&json!("down")) && statuses.contains(&&json!("degraded")));
    }
}

#[tokio::test]
async fn one_service_is_asked_alone_and_what_is_not_its_answer_is_refused() {
    let script = Script::start(vec![Reply::ok(WELL)]).await;
    let output = run(&script, &["health", "history"]).await;
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(script.asked().len(), 1);

    let elsewhere = Script::start(vec![Reply::Json(404, "", "{}".to_owned())]).await;
    let output = run(&elsewhere, &["health", "wallet"]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("is that wallet-service?"), "{said}");
}
