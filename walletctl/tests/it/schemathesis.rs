//! Both services hold what their OpenAPI documents promise, also to requests that no one thought of: schemathesis makes
//! requests of the documents, good and bad ones, with a token and without, and looks at the answers.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use shared::{
    server::http_client,
    testing::{patience, tokens},
};
use tokio::{process::Command, time::timeout};

use crate::e2e::system::{DEADLINE, Service, System};

/// So many requests of each operation in each phase, and no longer than this: enough to reach every operation with
/// every kind of wrong field. By hand, more find more.
const EXAMPLES_MAX: &str = "20";
const SECONDS_MAX: u64 = 120;
/// A test finds the same today and tomorrow.
const SEED: &str = "7";

/// A schema does not say it all: which currencies there are, what a name may hold, which fields go together, whose cursor it
/// is. So what it allows may be refused, with a code that is described.
const NOT_CHECKED: &str = "positive_data_acceptance";

const HOOKS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/it/schemathesis_hooks.py"
);

/// Where `scripts/install --test` puts it.
fn program() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    target.join("schemathesis/bin/schemathesis")
}

fn guarded<'system>(system: &'system System, name: &'static str) -> Service<'system> {
    let mut service = system.service(name);
    for (name, value) in tokens::SETTINGS {
        service.set(name, value);
    }
    // Readers may wait for longer than schemathesis does for an answer.
    service.set("REQUEST_TIMEOUT_MS", "8000");
    service
}

fn token() -> String {
    tokens::service("schemathesis", json!("*"))
}

/// In a folder of this test: what is in it.
fn file(name: &str, text: &str) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

async fn post(url: String, body: Value) -> Value {
    let request = http_client::plain().post(url).bearer_auth(token());
    let answer = request.json(&body).send().await.unwrap();
    answer.error_for_status().unwrap().json().await.unwrap()
}

async fn version(wallet: &Service<'_>, id: &str) -> i64 {
    let request = http_client::plain().get(format!("{}/wallets/{id}", wallet.url()));
    let answer = request.bearer_auth(token()).send().await.unwrap();
    let body: Value = answer.json().await.unwrap();
    body["version"].as_i64().unwrap()
}

async fn run(service: &Service<'_>, configuration: &str, wallet: &str) -> Output {
    assert!(
        program().exists(),
        "schemathesis is there: scripts/install --test"
    );
    let mut command = Command::new(program());
    command
        .args(["--config-file", configuration])
        .args(["run", &format!("{}/openapi.json", service.url())])
        .args(["--header", &format!("Authorization: Bearer {}", token())])
        .args(["--checks", "all", "--exclude-checks", NOT_CHECKED])
        // It would wait for the end of an answer that has none.
        .args(["--exclude-path-regex", "/stream$"])
        .args(["--max-examples", EXAMPLES_MAX])
        .args(["--max-time", &SECONDS_MAX.to_string()])
        // One worker: before 3.11.9, Python's `ast.parse` may fail where threads use it (python/cpython#106905).
        .args(["--seed", SEED, "--workers", "1"])
        .args(["--continue-on-failure", "--no-color"])
        .env("SCHEMATHESIS_HOOKS", HOOKS)
        .env("SCHEMATHESIS_WALLET", wallet)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        // It keeps what it found in the folder it runs in.
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let run = timeout(
        patience(DEADLINE) + Duration::from_secs(SECONDS_MAX),
        command.output(),
    )
    .await;
    run.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_that_the_documents_lead_to_is_answered_otherwise_than_they_say() {
    let system = System::start().await;
    let (mut wallet, mut history) = (
        guarded(&system, "wallet-service"),
        guarded(&system, "history-service"),
    );
    history.set("LEDGER_TOKEN_FILE", file("token-of-history", &token()));
    history.set("LEDGER_URL", wallet.url());
    wallet.start().await;
    history.start().await;
    // For the quarantine.
    for message in ["", "{}", "no event"] {
        system.send_to_topic(message.as_bytes()).await;
    }
    // There are no wallets by chance.
    let id = post(
        format!("{}/wallets", wallet.url()),
        json!({"user_id": "alice"}),
    )
    .await;
    let id = id["id"].as_str().unwrap();
    let fund = format!("{}/wallets/{id}/fund", wallet.url());
    post(fund, json!({"amount": "1000000.00"})).await;
    let configuration = file(
        "schemathesis.toml",
        &format!(
            r#"[[operations]]
               include-path-regex = "^/wallets/[{{]"
               parameters = {{ "path.id" = "{id}", "path.wallet_id" = "{id}" }}"#
        ),
    );
    let (of_wallet, of_history) = tokio::join!(
        run(&wallet, &configuration, id),
        run(&history, &configuration, id)
    );
    for (name, run) in [("wallet", of_wallet), ("history", of_history)] {
        let said = String::from_utf8_lossy(&run.stdout);
        let wrong = String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success(), "{name}: {said}\n{wrong}");
        let all = said
            .lines()
            .find_map(|line| line.trim().strip_prefix("Selected: "));
        let tested = said
            .lines()
            .find_map(|line| line.trim().strip_prefix("Tested: "));
        assert_eq!(
            all.and_then(|all| all.split('/').next()),
            tested,
            "{name}: {said}"
        );
    }
    assert!(version(&wallet, id).await > 2, "no command was carried out");
    assert!(wallet.terminate().await.success());
    assert!(history.terminate().await.success());
}
