//! What the binary does with its arguments: only `serve` and `migrate` touch anything.

use history_service::{app::MIGRATOR, config::SETTINGS};
use shared::testing::command_line::Binary;

const BINARY: Binary = Binary {
    path: env!("CARGO_BIN_EXE_history-service"),
    database_url: "HISTORY_DATABASE_URL",
    port: "HISTORY_PORT",
};

#[tokio::test]
async fn help_version_and_wrong_usage_touch_nothing() {
    BINARY
        .assert_help_version_and_wrong_usage_touch_nothing(SETTINGS)
        .await;
}

#[tokio::test]
async fn migrate_brings_the_database_to_the_schema_of_the_build_and_ends() {
    BINARY.assert_migrates_and_ends(&MIGRATOR).await;
}

#[tokio::test]
async fn a_configuration_that_cannot_be_used_is_told_before_a_start() {
    BINARY.assert_tells_what_cannot_be_used().await;
}

#[tokio::test]
async fn an_installation_is_open_only_where_that_is_meant() {
    BINARY.assert_is_open_only_where_that_is_meant().await;
}

#[tokio::test]
async fn the_names_of_others_count_and_wrong_ones_are_told() {
    BINARY.assert_knows_other_names().await;
}
