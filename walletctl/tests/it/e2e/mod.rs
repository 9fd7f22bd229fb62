//! The whole system as its users run it: processes that are killed, restarted and told to stop while money moves.

mod archived;
mod by_hand;
mod clusters;
mod example;
mod explain;
mod guarded;
mod heal;
mod holes;
mod log;
mod mixed;
mod patrol;
mod proof;
mod recount;
mod rolling;
mod stream;
mod streams;
pub(crate) mod system;
mod transactions;
mod unknown;
mod unlogged;

use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};
use shared::{server::http_client, testing::eventually};
use uuid::Uuid;

use self::{
    stream::Stream,
    system::{DEADLINE, Server, System},
};

#[tokio::test(flavor = "multi_thread")]
async fn killing_every_process_in_turn_while_money_moves_loses_and_doubles_nothing() {
    let system = System::with_own_postgres().await;
    system.stack("start", Server::Kafka).await;
    let (mut wallet, mut history) = system.services().await;
    let stream = Stream::start(vec![wallet.url()]).await;
    for _ in 0..2 {
        stream.progress(100).await;
        wallet.kill().await;
        wallet.start().await;
        stream.progress(100).await;
        history.kill().await;
        history.start().await;
        stream.progress(100).await;
        system.stack("kill", Server::Kafka).await;
        stream.progress(200).await;
        system.stack("start", Server::Kafka).await;
        stream.progress(100).await;
        system.stack("kill", Server::Postgres).await;
        system.stack("start", Server::Postgres).await;
    }
    stream.progress(100).await;
    assert!(stream.retried() > 0, "no fault was felt");
    stream.finish(&system.database_url("wallet")).await;
    system.verify().await;
    assert!(wallet.terminate().await.success());
    assert!(history.terminate().await.success());
    system.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_of_each_service_share_the_work_and_survive_each_other() {
    let system = System::start().await;
    let (mut wallet, mut other_wallet) = (
        system.service("wallet-service"),
        system.service("wallet-service"),
    );
    let (mut history, mut other_history) = (
        system.service("history-service"),
        system.service("history-service"),
    );
    wallet.start().await;
    other_wallet.start().await;
    history.start().await;
    let stream = Stream::start(vec![wallet.url(), other_wallet.url()]).await;
    stream.progress(200).await;
    // A rebalance by arrival, one by death, and one by return.
    other_history.start().await;
    stream.progress(200).await;
    history.kill().await;
    // Whichever instance holds the relay's lease, killing both in turn moves it.
    other_wallet.kill().await;
    stream.progress(200).await;
    other_wallet.start().await;
    history.start().await;
    stream.progress(200).await;
    wallet.kill().await;
    stream.progress(200).await;
    wallet.start().await;
    stream.finish(&system.database_url("wallet")).await;
    system.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_start_while_kafka_is_away_and_everything_arrives_when_it_comes() {
    let system = System::with_own_postgres().await;
    let (wallet, history) = system.services().await;
    let stream = Stream::start(vec![wallet.url()]).await;
    stream.progress(200).await;
    eventually("health says what waits, and why", DEADLINE, async || {
        let health = wallet.health().await;
        let waits = health["reasons"]
            .to_string()
            .contains("events wait in the outbox");
        (health["status"] == "degraded" && waits).then_some(())
    })
    .await;
    stream.finish(&system.database_url("wallet")).await;
    system.stack("start", Server::Kafka).await;
    system.verify().await;
    eventually("health is well again", DEADLINE, async || {
        (wallet.health().await["status"] == "ok" && history.health().await["status"] == "ok")
            .then_some(())
    })
    .await;
    system
        .until_logged(&history, "over: Kafka is not available")
        .await;
    let log = system.log(&history);
    let told = log
        .lines()
        .filter(|line| line.contains("Kafka is not available"));
    assert_eq!(told.count(), 2, "a beginning and an end: {log}");
    assert!(!log.contains("librdkafka"), "{log}");
}

/// Sends until the port is closed, and never again what it has sent: the references of what was answered, and the one that
/// was not. Until then everything is carried out: a process that is told to stop ends its ledger last.
async fn fund_until_unanswered(client: Client, url: String) -> (Vec<String>, Option<String>) {
    let (mut answered, mut unanswered) = (Vec::new(), None);
    while unanswered.is_none() {
        let reference = Uuid::now_v7().to_string();
        let body = json!({"amount": "0.01", "reference": reference});
        match client.post(&url).json(&body).send().await {
            Ok(answer) => {
                let (status, body) = (answer.status(), answer.text().await);
                assert_eq!(status, 201, "not carried out: {body:?}");
                answered.push(reference);
            }
            Err(_) => unanswered = Some(reference),
        }
    }
    (answered, unanswered)
}

/// A new wallet's id.
async fn opened(client: &Client, url: &str) -> String {
    let call = client.post(format!("{url}/wallets"));
    let created = call.json(&json!({"user_id": "alice"})).send().await;
    let wallet: Value = created.unwrap().json().await.unwrap();
    wallet["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_told_to_stop_answers_all_that_it_carries_out() {
    let system = System::start().await;
    // Longer than a ledger that was ended first would be waited for.
    let mut wallet = system
        .service("wallet-service")
        .with("SHUTDOWN_GRACE_MS", "6000");
    let mut history = system.service("history-service");
    wallet.start().await;
    history.start().await;
    let url = wallet.url();
    let client = http_client::builder(&[])
        .timeout(Duration::from_secs(30))
        .build()
        .unwrap();
    let id = opened(&client, &url).await;

    let callers: Vec<_> = (0..16)
        .map(|_| {
            let (client, url) = (client.clone(), format!("{url}/wallets/{id}/fund"));
            tokio::spawn(fund_until_unanswered(client, url))
        })
        .collect();
    let pool = sqlx::PgPool::connect(&system.database_url("wallet"))
        .await
        .unwrap();
    eventually("money moves", DEADLINE, async || {
        let moved: i64 = sqlx::query_scalar("select count(*) from transactions")
            .fetch_one(&pool)
            .await
            .unwrap();
        (moved > 200).then_some(())
    })
    .await;
    assert!(wallet.terminate().await.success());

    let (mut answered, mut unanswered) = (Vec::new(), Vec::new());
    for caller in callers {
        let (was_answered, was_not) = caller.await.unwrap();
        answered.extend(was_answered);
        unanswered.extend(was_not);
    }
    let known = |references: Vec<String>| {
        let pool = pool.clone();
        async move {
            let sql = "select count(*) from transaction_references where reference = any($1)";
            sqlx::query_scalar::<_, i64>(sql)
                .bind(references)
                .fetch_one(&pool)
                .await
                .unwrap()
        }
    };
    let answers = i64::try_from(answered.len()).unwrap();
    assert_eq!(
        known(answered).await,
        answers,
        "an answered command is missing"
    );
    assert_eq!(
        known(unanswered).await,
        0,
        "a command was carried out and not answered"
    );
    system.verify().await;
    assert!(history.terminate().await.success());
}
