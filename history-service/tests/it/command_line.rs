//! What the binary does with its arguments: only `serve` and `migrate` touch anything.

use std::process::Output;

use history_service::{app::MIGRATOR, config::SETTINGS};
use shared::testing::{TestDatabase, empty_database};
use tokio::process::Command;

async fn run(arguments: &[&str], url: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_history-service"))
        .args(arguments)
        .env_clear()
        .env("HISTORY_DATABASE_URL", url)
        .env("HISTORY_PORT", "0")
        .env("KAFKA_BROKERS", "127.0.0.1:1")
        .current_dir("/")
        .kill_on_drop(true)
        .output()
        .await
        .unwrap()
}

async fn tables(database: &TestDatabase) -> i64 {
    sqlx::query_scalar("select count(*) from pg_tables where schemaname = 'public'")
        .fetch_one(database.pool())
        .await
        .unwrap()
}

#[tokio::test]
async fn help_version_and_wrong_usage_touch_nothing() {
    let database = empty_database().await;
    let url = database.url().expose();
    for (arguments, code) in [
        (&["--help"][..], 0),
        (&["--version"], 0),
        (&["migrate", "--help"], 0),
        (&["check-config"], 0),
        (&["start"], 2),
        (&["--port", "1"], 2),
        (&["serve", "now"], 2),
    ] {
        let output = run(arguments, url).await;
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {output:?}"
        );
        assert_eq!(tables(&database).await, 0, "{arguments:?}");
    }
    let help = String::from_utf8(run(&["--help"], url).await.stdout).unwrap();
    for setting in SETTINGS {
        assert!(help.contains(setting), "{setting}");
    }
}

#[tokio::test]
async fn migrate_brings_the_database_to_the_schema_of_the_build_and_ends() {
    let database = empty_database().await;
    for _ in 0..2 {
        let output = run(&["migrate"], database.url().expose()).await;
        assert!(output.status.success(), "{output:?}");
    }
    let applied: i64 = sqlx::query_scalar("select count(*) from _sqlx_migrations where success")
        .fetch_one(database.pool())
        .await
        .unwrap();
    assert_eq!(applied, i64::try_from(MIGRATOR.iter().count()).unwrap());
}

#[tokio::test]
async fn a_configuration_that_cannot_be_used_is_told_before_a_start() {
    let output = run(&["check-config"], "postgres://w:hunter2@db:port/w").await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("Postgres URL") && !said.contains("hunter2"),
        "{said}"
    );
    let nobody_there = run(&["check-config"], "postgres://w@127.0.0.1:1/w").await;
    assert!(nobody_there.status.success(), "{nobody_there:?}");
}
