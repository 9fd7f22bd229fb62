//! What callers send and hold stands in no log: no token, amount, metadata or text of theirs, at any level; and no line of
//! a log can be made by one of them.

use std::{fs, path::Path};

use serde_json::{Value, json};
use shared::{
    server::http_client,
    testing::{eventually, tokens},
};
use tokio::process::Command;

use super::system::{DEADLINE, Service, System};

const MARKS: [&str; 9] = [
    "marked-metadata",
    "marked-description",
    "marked-reference",
    "marked-key",
    "marked-parameter",
    "marked-guess",
    "987654.32",
    "98765432",
    tokens::SECRET,
];

/// Requests of every kind, and what they say.
fn requests(from: &str, to: &str) -> Vec<(String, String)> {
    let payment = json!({
        "amount": "987654.32",
        "description": "marked-description",
        "reference": "marked-reference",
        "metadata": {"marked-metadata": "marked-metadata"},
    });
    let with = |name: &str, value: Value| {
        let mut payment = payment.clone();
        payment[name] = value;
        payment.to_string()
    };
    let forged = "marked-reference\r\n2026-01-01T00:00:00.000000Z  INFO forged\u{1b}[31m\u{0}";
    let second = json!("marked-reference-2");
    let mut transfer = payment.clone();
    transfer["to_wallet_id"] = json!(to);
    transfer["reference"] = second;
    let batch = json!({"commands": [{
        "kind": "withdraw", "wallet_id": from, "amount": "987654.32", "idempotency_key": "marked-key-in-a-batch",
    }]});
    vec![
        (format!("/wallets/{from}/fund"), payment.to_string()),
        // Another payment under the reference of the first.
        (
            format!("/wallets/{from}/fund"),
            with("amount", json!("1.00")),
        ),
        (format!("/wallets/{from}/transfer"), transfer.to_string()),
        (
            format!("/wallets/{from}/withdraw"),
            with("reference", json!("marked-reference-3")),
        ),
        ("/transactions/batch".to_owned(), batch.to_string()),
        (
            format!("/wallets/{from}/fund"),
            with("reference", json!(forged)),
        ),
        (
            format!("/wallets/{from}/fund"),
            with("description", json!(forged)),
        ),
        (
            format!("/wallets/{from}/fund"),
            with("metadata", json!({(forged): "marked-metadata"})),
        ),
        (
            format!("/wallets/{from}/fund"),
            "{\"amount\": \"987654.32".to_owned(),
        ),
        (
            format!("/wallets/{from}/fund?marked-parameter=987654.32"),
            payment.to_string(),
        ),
        (
            "/wallets/marked-parameter/fund".to_owned(),
            payment.to_string(),
        ),
        (
            "/marked-parameter%0aINFO%20forged".to_owned(),
            payment.to_string(),
        ),
    ]
}

/// Money that comes, goes and is refused, with a mark on everything that may be sent.
async fn story(wallet: &Service<'_>, history: &Service<'_>, token: &str) -> Vec<u16> {
    let http = http_client::plain();
    let post = async |path: &str, body: String| {
        let request = http.post(format!("{}{path}", wallet.url())).body(body);
        let request = request.header("content-type", "application/json");
        let key = format!("marked-key-{}", uuid::Uuid::now_v7());
        // A batch has keys of its own inside.
        let request = match path {
            "/transactions/batch" => request,
            _ => request.header("idempotency-key", key),
        };
        let answer = request.bearer_auth(token).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json::<Value>().await.unwrap())
    };
    let create = json!({"user_id": "alice", "currency": "USD"}).to_string();
    let id = |(status, body): (u16, Value)| {
        assert_eq!(status, 201, "{body}");
        body["id"].as_str().unwrap().to_owned()
    };
    let (from, to) = (
        id(post("/wallets", create.clone()).await),
        id(post("/wallets", create).await),
    );
    let mut statuses = Vec::new();
    for (path, body) in requests(&from, &to) {
        statuses.push(post(&path, body).await.0);
    }
    let ask = async |service: &Service<'_>, path: &str, token: &str| {
        let request = http.get(format!("{}{path}", service.url()));
        let request = request.header("cookie", "marked-guess").bearer_auth(token);
        request.send().await.unwrap().status().as_u16()
    };
    let listing = format!("/wallets/{to}/history?min_sequence=2&wait_ms=30000");
    statuses.push(ask(history, &listing, token).await);
    let filter = format!("/wallets/{to}/history?marked-parameter=987654.32");
    for (service, path) in [
        (history, filter.as_str()),
        (history, "/wallets/marked-parameter/history"),
        (history, "/users/marked-parameter%0aINFO%20forged/activity"),
        (wallet, "/wallets?marked-parameter=987654.32"),
    ] {
        ask(service, path, token).await;
        statuses.push(ask(service, path, "marked-guess").await);
    }
    statuses
}

/// A message that is no event and says a mark, and a person who has it decided once more.
async fn refused(system: &System, history: &Service<'_>, token: &str) {
    let value = json!("marked-metadata 987654.32 ".repeat(2_000)).to_string();
    system.send_to_topic(value.as_bytes()).await;
    let http = http_client::plain();
    let path = format!("{}/admin/quarantine/1", history.url());
    let kept = eventually("it is in the quarantine", DEADLINE, async || {
        let answer = http.get(&path).bearer_auth(token).send().await.ok()?;
        let kept: Value = answer.json().await.ok()?;
        (kept["id"] == 1).then_some(kept)
    })
    .await;
    let detail = kept["detail"].as_str().unwrap();
    assert!(detail.contains("marked-metadata"), "{detail}");
    assert!(detail.chars().count() < 210, "{detail}");
    let replay = http.post(format!("{path}/replay")).json(&json!({}));
    let answer = replay.bearer_auth(token).send().await.unwrap();
    let decided: Value = answer.json().await.unwrap();
    assert_eq!(decided["outcome"], "refused", "{decided}");
}

async fn told(level: Option<&str>) {
    let system = System::start().await;
    let token = tokens::service("shop", json!("*"));
    let file = std::env::temp_dir().join(format!("wallet-token-{}", uuid::Uuid::now_v7()));
    fs::write(&file, &token).unwrap();
    let [mut wallet, mut history] = ["wallet-service", "history-service"].map(|name| {
        let service = system.service(name);
        let service = service.with("RUST_LOG", level.unwrap_or_default());
        tokens::SETTINGS
            .iter()
            .fold(service, |service, (name, value)| service.with(name, *value))
    });
    history.set("LEDGER_URL", wallet.url());
    history.set("LEDGER_TOKEN_FILE", file.to_str().unwrap());
    wallet.start().await;
    history.start().await;
    let statuses = story(&wallet, &history, &token).await;
    assert_eq!(
        statuses,
        [
            201, 409, 201, 422, 200, 400, 400, 400, 400, 400, 400, 404, 200, 401, 401, 401, 401
        ]
    );
    refused(&system, &history, &token).await;
    let said = walletctl(&wallet, &history, &file).await;
    for service in [&mut wallet, &mut history] {
        assert!(service.terminate().await.success());
    }
    fs::remove_file(&file).unwrap();
    let quarantined = system.log(&history);
    let quarantined = quarantined.matches("messages were quarantined").count();
    assert_eq!(quarantined, 1, "what was there already is no news");
    for (whose, log) in [
        ("wallet-service", system.log(&wallet)),
        ("history-service", system.log(&history)),
        ("walletctl", said),
    ] {
        let signature = token.rsplit('.').next().unwrap();
        for mark in MARKS.iter().copied().chain([signature]) {
            let found = log.lines().find(|line| line.contains(mark));
            assert_eq!(found, None, "{mark} is in the log of {whose}");
        }
        for line in log.lines() {
            assert!(!line.chars().any(char::is_control), "{whose}: {line:?}");
            assert!(
                !line.starts_with("INFO forged") && !line.contains(" INFO forged"),
                "{whose}: {line:?}"
            );
        }
        assert!(
            whose == "walletctl" || log.lines().count() > 8,
            "{whose}: {log}"
        );
    }
}

/// What walletctl says beside its results.
async fn walletctl(wallet: &Service<'_>, history: &Service<'_>, token: &Path) -> String {
    let mut said = String::new();
    for arguments in [
        &["history", "01990000-0000-7000-8000-000000000001"][..],
        &["fund", "01990000-0000-7000-8000-000000000001", "987654.32"],
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_walletctl"));
        command
            .args(["--token-file", token.to_str().unwrap()])
            .args(arguments);
        command
            .env("WALLET_URL", wallet.url())
            .env("HISTORY_URL", history.url());
        command.env("RUST_LOG", "debug");
        let output = command.output().await.unwrap();
        said.push_str(std::str::from_utf8(&output.stderr).unwrap());
    }
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_callers_send_or_hold_is_in_a_log_of_the_usual_level() {
    told(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_callers_send_or_hold_is_in_a_log_of_all_there_is() {
    told(Some("debug")).await;
}
