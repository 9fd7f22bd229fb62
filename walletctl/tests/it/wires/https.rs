//! HTTPS on both services: a caller, history's questions to the ledger, and a certificate that is renewed while they run.

use std::fs;

use serde_json::json;
use shared::testing::{
    TestDatabase, certificates::Certificates, eventually, kafka_brokers, unique_topic,
};
use tokio::process::Command;

use super::{certificates, process::Process};
use crate::e2e::system::DEADLINE;

/// What walletctl says when it asks for wallets.
async fn walletctl(wallet: &Process, history: &Process, trusted: Option<&str>) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_walletctl"));
    command
        .args(["wallet", "--user", "alice"])
        .env_clear()
        .env("WALLET_URL", wallet.url.as_str())
        .env("HISTORY_URL", history.url.as_str())
        .kill_on_drop(true);
    if let Some(trusted) = trusted {
        command.args(["--ca-file", trusted]);
    }
    let done = command.output().await.unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    (done.status.success(), said)
}

fn put(certificates: &Certificates, name: &str) {
    for end in ["pem", "key"] {
        let from = certificates.path(&format!("{name}.{end}"));
        fs::copy(from, certificates.path(&format!("shown.{end}"))).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_services_speak_https_with_each_other_and_with_callers_and_take_a_new_certificate() {
    let databases = [
        TestDatabase::create(wallet_service::app::SCHEMA).await,
        TestDatabase::create(history_service::app::SCHEMA).await,
    ];
    let certificates = certificates();
    put(&certificates, "good");
    let (brokers, topic) = (kafka_brokers(), unique_topic("https"));
    let (shown, key) = (
        certificates.path("shown.pem"),
        certificates.path("shown.key"),
    );
    let (ca, other) = (
        certificates.path("ca.pem"),
        certificates.path("other-ca.pem"),
    );
    let common = [
        ("KAFKA_BROKERS", brokers.as_str()),
        ("KAFKA_TOPIC", &topic),
        ("KAFKA_GROUP", &topic),
        ("HTTP_TLS_CERT_FILE", &shown),
        ("HTTP_TLS_KEY_FILE", &key),
    ];
    let own = [("WALLET_DATABASE_URL", databases[0].url().expose())];
    let settings = [&common[..], &own].concat();
    let folder = certificates.folder();
    let wallet = Process::start("wallet-service", folder, &settings, Some(&ca)).await;
    let ask = |trusted| {
        let own = [
            ("HISTORY_DATABASE_URL", databases[1].url().expose()),
            ("LEDGER_URL", wallet.url.as_str()),
            ("LEDGER_CA_FILE", trusted),
        ];
        [&common[..], &own].concat()
    };
    let history = Process::start("history-service", folder, &ask(&other), Some(&ca)).await;
    wallet.post("wallets", &json!({"user_id": "alice"})).await;
    history.post("admin/rebuild", &json!({})).await;
    history.until_reason("refill", "LEDGER_CA_FILE names").await;
    history.end().await;
    let history = Process::start("history-service", folder, &ask(&ca), Some(&ca)).await;
    eventually("the wallets are compared", DEADLINE, async || {
        let health = history.get("readyz").await?;
        (health["components"]["refill"]["rebuilds"] == json!(0)).then_some(())
    })
    .await;

    let (good, said) = walletctl(&wallet, &history, Some(&ca)).await;
    assert!(good, "{said}");
    for trusted in [None, Some(other.as_str())] {
        let (good, said) = walletctl(&wallet, &history, trusted).await;
        assert!(
            !good && said.contains("--ca-file or WALLET_CA_FILE"),
            "{said}"
        );
    }

    a_new_certificate_is_taken(&wallet, &history, &certificates, &ca).await;
    wallet.signal("-TERM").await;
    history.end().await;
    fs::remove_dir_all(certificates.folder()).unwrap();
}

async fn a_new_certificate_is_taken(
    wallet: &Process,
    history: &Process,
    certificates: &Certificates,
    ca: &str,
) {
    let shown = certificates.path("shown.pem");
    fs::write(&shown, "nothing").unwrap();
    wallet.signal("-HUP").await;
    wallet
        .until_logged("the certificate of before stays in use")
        .await;
    assert!(walletctl(wallet, history, Some(ca)).await.0);
    certificates.make_another("next");
    put(certificates, "next");
    wallet.signal("-HUP").await;
    wallet.until_logged("was read again and is in use").await;
    let next = certificates.path("next-ca.pem");
    assert!(walletctl(wallet, history, Some(&next)).await.0);
    assert!(!walletctl(wallet, history, Some(ca)).await.0);
}
