//! `walletctl load` against real services: it ends well, proves, and tells; and it stops where it must.

use std::process::{Output, Stdio};

use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    e2e::system::System,
    script::{Reply, Script},
};

fn load(base_url: &str, history_url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_walletctl"));
    command
        .env_clear()
        .env("BASE_URL", base_url)
        .env("HISTORY_URL", history_url)
        .arg("load")
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

fn said(output: &Output) -> String {
    let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8(both).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_on_real_services_ends_with_a_proof_that_holds() {
    let system = System::start().await;
    let (mut wallet, mut history) = (
        system.service("wallet-service"),
        system.service("history-service"),
    );
    wallet.start().await;
    history.start().await;
    let folder = std::env::temp_dir().join(format!("load-{}", uuid::Uuid::now_v7()));
    std::fs::create_dir(&folder).unwrap();
    let (document, page) = (folder.join("report.json"), folder.join("report.html"));
    let arguments = [
        "--duration=3",
        "--workers=6",
        "--accounts=12",
        "--initial-deposit=1000",
        "--seed=7",
        "--rate=60",
    ];
    let mut command = load(&wallet.url(), &history.url(), &arguments);
    command
        .env("REPORT_JSON", &document)
        .env("REPORT_HTML", &page);
    let output = command.output().await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(
        said(&output).contains("nothing lost, nothing doubled"),
        "{}",
        said(&output)
    );

    let report: Value = serde_json::from_slice(&std::fs::read(&document).unwrap()).unwrap();
    assert_eq!(report["passed"], true, "{report}");
    assert_eq!(report["seed"], 7);
    assert_eq!(report["settings"]["rate"], 60);
    assert_eq!(report["failed"], 0);
    let proof = &report["proof"];
    assert_eq!(proof["holds"], true);
    assert_eq!(proof["faults"], json!([]));
    assert_eq!(proof["money_found"], proof["money_expected"]);
    assert!(proof["events_found"].as_i64().unwrap() > 24, "{proof}");
    let operations = report["operations"].as_array().unwrap();
    let count = |field: &str| -> u64 {
        let counts = operations.iter().map(|told| told[field].as_u64().unwrap());
        counts.sum()
    };
    assert_eq!(report["completed"], count("completed"));
    assert_eq!(
        report["total"].as_u64(),
        Some(count("completed") + count("refused"))
    );
    for field in ["p50_us", "p95_us", "p99_us", "p99_9_us", "max_us"] {
        assert!(operations[0]["latency"][field].is_u64(), "{field}");
    }
    assert!(report["freshness"]["samples"].as_u64().unwrap() > 0);
    assert!(report["throughput_per_second"].is_u64() && report["missed"].is_u64());
    assert!(
        report["timeline"]
            .as_array()
            .unwrap()
            .iter()
            .any(|moment| moment["outbox_events"].is_u64())
    );

    let page = std::fs::read_to_string(&page).unwrap();
    assert_eq!(page.matches("<svg").count(), 5);
    assert!(page.contains("prefers-color-scheme:dark"));
    for outside in ["http://", "https://", "src=", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
    // The proof that looks into both databases agrees.
    system.verify().await;
}

#[tokio::test]
async fn a_bad_value_in_the_environment_stops_the_run_and_names_the_flag() {
    let script = Script::start(Vec::new()).await;
    for (variable, value, flag) in [
        ("WORKERS", "none", "--workers"),
        ("HOT_SELECTION_RATE", "1.5", "--hot-selection-rate"),
        ("TRANSFER_WEIGHT", "-1", "--transfer-weight"),
        ("MIN_AMOUNT", "2000", "--min-amount"),
    ] {
        let mut command = load(&script.url, &script.url, &[]);
        let output = command.env(variable, value).output().await.unwrap();
        assert_eq!(output.status.code(), Some(2), "{variable}");
        assert!(said(&output).contains(flag), "{}", said(&output));
    }
    assert!(script.asked().is_empty());
}

#[tokio::test]
async fn services_that_do_not_become_ready_are_named_and_sent_nothing_else() {
    let down = Reply::problem(503, "unavailable", "later");
    let script = Script::start(vec![down; 2]).await;
    let arguments = ["--health-retries=2", "--health-retry-delay-ms=1"];
    let output = load(&script.url, &script.url, &arguments)
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("wallet-service is not ready"),
        "{}",
        said(&output)
    );
    let asked: Vec<String> = script.asked().into_iter().map(|asked| asked.line).collect();
    assert_eq!(asked, ["GET /readyz HTTP/1.1"; 2]);
}
