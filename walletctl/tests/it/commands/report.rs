//! Reports for people and for programs: what is asked of history, and how it is shown.

use serde_json::Value;

use super::{ALICE, run, text};
use crate::script::{Reply, Script};

const DAILY: &str = r#"{"currency":"USD","date":"2026-11-20","time_zone":"Europe/Berlin","from":"2026-11-19T23:00:00Z","to":"2026-11-20T23:00:00Z","is_provisional":true,"opening":{"customers":"0.00","outside":"0.00","held":"0.00"},"in":"100.00","out":"5.00","moved":"30.00","held":"7.00","freed":"2.00","closing":{"customers":"95.00","outside":"-95.00","held":"5.00"},"events":4,"kinds":[{"kind":"transfer.sent","events":1,"in":"0.00","out":"30.00"},{"kind":"wallet.funded","events":2,"in":"100.00","out":"0.00"}]}"#;

const BALANCE: &str = r#"{"at":"2026-11-21T00:00:00Z","currencies":[{"currency":"JPY","customers":"1500","outside":"-1500","held":"0","sum":"0"},{"currency":"USD","customers":"95.00","outside":"-95.00","held":"5.00","sum":"0.00"}]}"#;

fn summary() -> String {
    format!(
        r#"{{"wallet_id":"{ALICE}","currency":"USD","applied_sequence":5,"months":[{{"month":"2026-10","kinds":[{{"kind":"wallet.created","events":1,"in":"0.00","out":"0.00"}}]}},{{"month":"2026-11","kinds":[{{"kind":"wallet.funded","events":4,"in":"12.50","out":"0.00"}}]}}]}}"#
    )
}

/// The cells of each line that is not empty.
fn rows(shown: &str) -> Vec<Vec<&str>> {
    let lines = shown.lines().filter(|line| !line.is_empty());
    lines
        .map(|line| line.split_whitespace().collect())
        .collect()
}

#[tokio::test]
async fn a_day_is_asked_for_by_currency_and_zone_and_shown_from_opening_to_closing() {
    let script = Script::start(vec![Reply::ok(DAILY)]).await;
    let asked = [
        "report",
        "daily",
        "USD",
        "2026-11-20",
        "--time-zone",
        "Europe/Berlin",
    ];
    let output = run(&script, &asked).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(
        script.asked()[0].line,
        "GET /reports/daily?currency=USD&date=2026-11-20&time_zone=Europe%2FBerlin HTTP/1.1"
    );
    let shown = text(&output.stdout);
    for line in [
        &["opening,", "customers", "0.00"][..],
        &["in", "100.00"],
        &["out", "5.00"],
        &["moved", "30.00"],
        &["set", "aside", "7.00"],
        &["freed", "2.00"],
        &["closing,", "outside", "-95.00"],
        &["closing,", "held", "5.00"],
        &["transfer.sent", "1", "0.00", "30.00"],
        &["wallet.funded", "2", "100.00", "0.00"],
    ] {
        assert!(
            rows(&shown).iter().any(|row| row == line),
            "{line:?}\n{shown}"
        );
    }
    assert!(
        shown.contains("provisional: something may still be counted"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_trial_balance_is_asked_for_at_a_moment_and_shown_by_currency() {
    let script = Script::start(vec![Reply::ok(BALANCE), Reply::ok(BALANCE)]).await;
    let asked = ["report", "trial-balance", "--at", "2026-11-21T00:00:00Z"];
    let output = run(&script, &asked).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let expected = [
        &["CURRENCY", "CUSTOMERS", "OUTSIDE", "SUM", "HELD"],
        &["JPY", "1500", "-1500", "0", "0"],
        &["USD", "95.00", "-95.00", "0.00", "5.00"],
    ];
    assert_eq!(rows(&text(&output.stdout)), expected);
    run(&script, &["report", "trial-balance"]).await;
    let lines = script.asked().into_iter().map(|asked| asked.line);
    assert_eq!(
        Vec::from_iter(lines),
        [
            "GET /reports/trial-balance?at=2026-11-21T00%3A00%3A00.000000Z HTTP/1.1",
            "GET /reports/trial-balance HTTP/1.1"
        ]
    );
}

#[tokio::test]
async fn a_summary_is_asked_for_by_months_and_shown_by_month_and_kind() {
    let script = Script::start(vec![Reply::ok(summary()), Reply::ok(summary())]).await;
    let asked = [
        "report", "summary", ALICE, "--from", "2026-10", "--to", "2026-11",
    ];
    let output = run(&script, &asked).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let expected = [
        &["MONTH", "KIND", "EVENTS", "IN", "OUT"],
        &["2026-10", "wallet.created", "1", "0.00", "0.00"],
        &["2026-11", "wallet.funded", "4", "12.50", "0.00"],
    ];
    assert_eq!(rows(&text(&output.stdout)), expected);
    let output = run(&script, &["--json", "report", "summary", ALICE]).await;
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown, serde_json::from_str::<Value>(&summary()).unwrap());
    let lines = script.asked().into_iter().map(|asked| asked.line);
    let path = format!("/wallets/{ALICE}/summary");
    assert_eq!(
        Vec::from_iter(lines),
        [
            format!("GET {path}?from=2026-10&to=2026-11 HTTP/1.1"),
            format!("GET {path} HTTP/1.1")
        ]
    );
    // One month without the other is no period.
    let output = run(&script, &["report", "summary", ALICE, "--from", "2026-10"]).await;
    assert_eq!(output.status.code(), Some(2));
}
