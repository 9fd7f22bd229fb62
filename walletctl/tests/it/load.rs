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
        .env("LOAD_BASE_URL", base_url)
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
    let (wallet, history) = system.services().await;
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
        .env("LOAD_REPORT_JSON", &document)
        .env("LOAD_REPORT_HTML", &page);
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
    it_stands_alone(&page, [&wallet.url(), &history.url()]);
    std::fs::remove_dir_all(&folder).unwrap();
    // The proof that looks into both databases agrees.
    system.verify().await;
}

/// The page tells where the load went and what with, and loads nothing from anywhere.
fn it_stands_alone(page: &str, urls: [&str; 2]) {
    assert_eq!(page.matches("<svg").count(), 5);
    for origin in [urls[0], urls[1], "walletctl load --duration=3"] {
        assert!(page.contains(origin), "{origin}");
    }
    // The services' addresses are only told.
    let page = page.replace(urls[0], "").replace(urls[1], "");
    assert!(page.contains("prefers-color-scheme:dark"));
    for outside in ["http://", "https://", "src=", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
}

/// Makes a wallet with some money in it; its id.
async fn funded(base_url: &str, user: &str) -> String {
    let http = shared::server::http_client::plain();
    let post = async |place: &str, body: Value| -> Value {
        let asked = http.post(format!("{base_url}{place}")).json(&body);
        asked.send().await.unwrap().json().await.unwrap()
    };
    let made = post("/wallets", json!({"user_id": user})).await;
    let id = made["id"].as_str().unwrap().to_owned();
    post(&format!("/wallets/{id}/fund"), json!({"amount": "7.00"})).await;
    id
}

async fn report(command: &mut Command) -> Value {
    let output = command.arg("--json").output().await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn wallet_service_alone_is_loaded_without_keys_and_counted_after_the_warm_up() {
    let system = System::start().await;
    let mut wallet = system.service("wallet-service");
    wallet.start().await;
    let arguments = [
        "--without-history",
        "--history-weight=0",
        "--wallet-weight=20",
        "--keyed=false",
        "--warm-up=1",
        "--duration=2",
        "--rate=50",
        "--zipf=1.0",
        "--accounts=10",
    ];
    let report = report(&mut load(&wallet.url(), "http://127.0.0.1:9", &arguments)).await;
    let total = report["total"].as_u64().unwrap();
    assert!((1..=100).contains(&total), "{report}");
    assert_eq!(report["missed"].as_u64().unwrap() + total, 100, "{report}");
    let moments = report["timeline"].as_array().unwrap();
    let counted = moments.iter().map(|moment| moment["completed"].as_u64());
    assert_eq!(counted.sum::<Option<u64>>(), report["completed"].as_u64());
    assert!(report["freshness"].is_null());
    let operations = report["operations"].as_array().unwrap();
    assert!(operations.iter().any(|told| told["operation"] == "wallet"));
    let proof = &report["proof"];
    assert_eq!(proof["services"], json!(["wallet-service"]));
    assert_eq!(
        (&proof["holds"], &proof["exact"]),
        (&json!(true), &json!(true))
    );
    // What was sent in the warm-up counts for the proof all the same: two events of each wallet are from before.
    assert!(proof["events_found"].as_u64().unwrap() > 20, "{proof}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_in_batches_is_proved_like_any_other() {
    let system = System::start().await;
    let (wallet, history) = system.services().await;
    let arguments = [
        "--batch-size=25",
        "--duration=2",
        "--workers=4",
        "--accounts=10",
        "--initial-deposit=2000",
    ];
    let report = report(&mut load(&wallet.url(), &history.url(), &arguments)).await;
    assert_eq!(report["settings"]["batch_size"], 25);
    assert_eq!(report["failed"], 0, "{report}");
    // Withdrawals from wallets that hold little: some are refused, each for itself.
    assert!(report["refused"].as_u64().unwrap() > 0, "{report}");
    let proof = &report["proof"];
    assert_eq!(
        (&proof["holds"], &proof["exact"]),
        (&json!(true), &json!(true))
    );
    system.verify().await;
}

/// Some of each of these were carried out, and none has failed.
fn check_completed(report: &Value, operations: &[&str]) {
    let rows = report["operations"].as_array().unwrap();
    for operation in operations {
        let row = rows.iter().find(|row| row["operation"] == *operation);
        let row = row.unwrap_or_else(|| panic!("{operation}: {report}"));
        assert!(row["completed"].as_u64().unwrap() > 0, "{row}");
        assert_eq!(row["failed"], 0, "{row}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_with_holds_and_freezes_is_proved_like_any_other() {
    let system = System::start().await;
    let (wallet, history) = system.services().await;
    let arguments = [
        "--duration=2",
        "--rate=150",
        // So many that most are never frozen, however late an answer is.
        "--accounts=60",
        "--seed=3",
        "--deposit-weight=10",
        "--withdraw-weight=5",
        "--transfer-weight=5",
        "--balance-weight=0",
        "--history-weight=0",
        "--create-weight=0",
        "--hold-weight=30",
        "--capture-weight=15",
        "--release-weight=15",
        "--freeze-weight=2",
        "--unfreeze-weight=10",
    ];
    let report = report(&mut load(&wallet.url(), &history.url(), &arguments)).await;
    assert_eq!(report["passed"], true, "{report}");
    check_completed(
        &report,
        &["hold", "capture", "release", "freeze", "unfreeze"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_with_reversals_and_many_legs_is_proved_like_any_other() {
    let system = System::start().await;
    let (wallet, history) = system.services().await;
    let arguments = [
        "--duration=2",
        "--rate=150",
        // So many that most are never frozen, however late an answer is.
        "--accounts=60",
        "--seed=3",
        "--deposit-weight=20",
        "--withdraw-weight=0",
        "--transfer-weight=30",
        "--balance-weight=0",
        "--history-weight=0",
        "--create-weight=0",
        "--hold-weight=5",
        "--capture-weight=5",
        "--freeze-weight=1",
        "--unfreeze-weight=10",
        "--post-weight=20",
        "--reverse-weight=10",
        "--refund-weight=20",
    ];
    let report = report(&mut load(&wallet.url(), &history.url(), &arguments)).await;
    assert_eq!(report["passed"], true, "{report}");
    check_completed(&report, &["post", "reverse", "refund"]);
    system.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_with_holds_that_change_limits_and_wallets_that_are_closed_is_proved_like_any_other()
{
    let system = System::start().await;
    let (wallet, history) = system.services().await;
    let arguments = [
        "--duration=2",
        "--rate=150",
        "--accounts=10",
        "--seed=3",
        "--deposit-weight=20",
        "--withdraw-weight=5",
        "--transfer-weight=5",
        "--balance-weight=0",
        "--history-weight=0",
        "--create-weight=5",
        "--hold-weight=10",
        "--capture-weight=10",
        "--release-weight=5",
        "--increase-weight=15",
        "--extend-weight=15",
        "--limits-weight=10",
        "--close-weight=5",
    ];
    let report = report(&mut load(&wallet.url(), &history.url(), &arguments)).await;
    assert_eq!(report["passed"], true, "{report}");
    check_completed(&report, &["increase", "extend", "limits", "close"]);
    system.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn given_wallets_are_loaded_as_they_are_and_proved() {
    let system = System::start().await;
    let (wallet, history) = system.services().await;
    let ids = [
        funded(&wallet.url(), "alice").await,
        funded(&wallet.url(), "bob").await,
    ];
    let file = std::env::temp_dir().join(format!("wallets-{}", uuid::Uuid::now_v7()));
    std::fs::write(&file, ids.join("\n")).unwrap();
    let arguments = ["--duration=1", "--rate=40", "--create-weight=0"];
    let mut command = load(&wallet.url(), &history.url(), &arguments);
    let report = report(command.env("LOAD_WALLETS_FILE", &file)).await;
    std::fs::remove_file(&file).unwrap();
    assert_eq!(report["settings"]["accounts"], 2);
    let proof = &report["proof"];
    assert_eq!(proof["holds"], true, "{proof}");
    assert_eq!(proof["wallets"], 2);
    assert!(proof["events_expected"].as_u64().unwrap() > 4, "{proof}");
    assert_eq!(proof["money_found"], proof["money_expected"]);
    system.verify().await;
}

#[tokio::test]
async fn without_a_key_a_lost_answer_is_counted_and_never_asked_for_again() {
    const ID: &str = "01990000-0000-7000-8000-00000000000a";
    let balance = json!({"currency": "USD", "balance": "7.00", "version": 2}).to_string();
    let script = Script::start(vec![Reply::ok("{}"), Reply::ok(balance)]).await;
    let file = std::env::temp_dir().join(format!("wallets-{}", uuid::Uuid::now_v7()));
    std::fs::write(&file, ID).unwrap();
    let arguments = [
        "--json",
        "--keyed=false",
        "--without-history",
        "--duration=1",
        "--workers=2",
        "--withdraw-weight=0",
        "--transfer-weight=0",
        "--balance-weight=0",
        "--history-weight=0",
        "--create-weight=0",
    ];
    let mut command = load(&script.url, &script.url, &arguments);
    let output = command
        .env("LOAD_WALLETS_FILE", &file)
        .output()
        .await
        .unwrap();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let asked = script.asked();
    let posts = asked.iter().filter(|asked| asked.line.starts_with("POST"));
    let posts: Vec<_> = posts.collect();
    assert!(!posts.is_empty());
    assert!(
        posts
            .iter()
            .all(|post| post.header("idempotency-key").is_none())
    );
    let proof = &report["proof"];
    assert_eq!(proof["unresolved"].as_u64(), Some(posts.len() as u64));
    assert_eq!(
        (&proof["exact"], &proof["wallets_unknown"]),
        (&json!(false), &json!(1))
    );
    assert_eq!(report["failed"].as_u64(), Some(posts.len() as u64));
    assert_eq!(report["resent"], 0);
}

#[tokio::test]
async fn a_bad_value_in_the_environment_stops_the_run_and_names_the_flag() {
    let script = Script::start(Vec::new()).await;
    for (variable, value, flag) in [
        ("WORKERS", "none", "--workers"),
        ("HOT_SELECTION_RATE", "1.5", "--hot-selection-rate"),
        ("TRANSFER_WEIGHT", "-1", "--transfer-weight"),
        ("MIN_AMOUNT", "2000", "--min-amount"),
        ("WARM_UP", "-1", "--warm-up"),
        ("KEYED", "maybe", "--keyed"),
        ("ZIPF", "steep", "--zipf"),
        ("WALLETS_FILE", "/nowhere/wallets", "--wallets-file"),
        ("WITHOUT_HISTORY", "true", "--history-weight"),
    ] {
        let mut command = load(&script.url, &script.url, &[]);
        let variable = format!("LOAD_{variable}");
        let output = command.env(&variable, value).output().await.unwrap();
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
