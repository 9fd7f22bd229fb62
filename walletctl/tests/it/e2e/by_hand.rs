//! Rows of the ledger that were changed by hand: history says what contradicts what, and takes nothing away for it.

use shared::testing::eventually;
use sqlx::PgPool;

use super::{
    heal::{funded, opened, run, services, until_applied, until_well},
    system::{DEADLINE, Service, System},
};

async fn until_told(history: &Service<'_>, id: &str) {
    eventually("the contradiction is told", DEADLINE, async || {
        let health = history.health().await;
        let said = health["components"]["refill"]["reason"]
            .as_str()?
            .to_owned();
        (said.contains("the ledger's row contradicts its journal") && said.contains(id))
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_was_set_back_is_no_fork_and_no_word_sets_true_events_aside() {
    let system = System::start().await;
    let (wallet, history) = services(&system).await;
    let id = opened(&wallet, "alice").await;
    until_applied(&history, &id, 3).await;
    let version = async |version: i64| {
        let sql = format!("update wallets set version = {version} where id = '{id}'");
        run(&system.database_url("wallet"), &[&sql]).await;
    };
    version(2).await;
    let rebuild = ["rebuild", "--wallet", &id];
    system.walletctl(&wallet, &history, &rebuild).await;
    until_told(&history, &id).await;
    let repair = [
        "repair",
        "--ledger-wins",
        "--reason",
        "a mistake",
        "--wallet",
        &id,
    ];
    let (code, said) = system.walletctl_ends(&wallet, &history, &repair).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("its journal has event 3"), "{said}");
    let pool = PgPool::connect(&system.database_url("history"))
        .await
        .unwrap();
    let aside: i64 = sqlx::query_scalar("select count(*) from set_aside_events")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(aside, 0);
    version(3).await;
    system.walletctl(&wallet, &history, &rebuild).await;
    until_well(&history).await;
    system.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_on_a_balance_that_was_raised_is_told_as_what_it_is() {
    let system = System::start().await;
    let (wallet, history) = services(&system).await;
    let id = opened(&wallet, "alice").await;
    until_applied(&history, &id, 3).await;
    let raise = format!("update wallets set balance = balance + 100 where id = '{id}'");
    run(&system.database_url("wallet"), &[&raise]).await;
    funded(&wallet, &id).await;
    until_told(&history, &id).await;
    system
        .until_logged(&history, "messages were quarantined")
        .await;
    let log = system.log(&history);
    assert!(!log.contains("from the balance"), "{log}");
}
