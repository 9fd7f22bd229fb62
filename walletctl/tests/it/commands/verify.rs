//! `verify` as a command: how it ends, and what it does not say.

use std::{process::Output, time::Duration};

use serde_json::Value;
use tokio::process::Command;

use super::text;
use crate::verify::{databases::Databases, scenario::ordinary};

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

#[tokio::test]
async fn the_wrong_database_is_told_by_its_setting() {
    let (scenario, _) = ordinary();
    let databases = Databases::of(&scenario).await;
    let settings = databases.settings(Duration::ZERO);
    let history = settings.history_database_url.unwrap();
    for (flag, url, said) in [
        (
            "--wallet-database-url",
            history.expose(),
            "names the database of history-service",
        ),
        (
            "--history-database-url",
            settings.wallet_database_url.expose(),
            "names the database of wallet-service",
        ),
    ] {
        let output = verify(&databases, &[flag, url]).await;
        assert_eq!(output.status.code(), Some(1));
        let told = text(&output.stderr);
        assert!(told.contains(flag) && told.contains(said), "{told}");
    }
}
