//! What history misses comes back, and a ledger that was restored is shown and resolved: as processes.

use serde_json::{Value, json};
use shared::{server::http_client, testing::eventually};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool};

use super::system::{DEADLINE, Service, System};

/// Both services, history with the ledger's address; it compares all wallets only when it is told to.
pub(super) async fn services(system: &System) -> (Service<'_>, Service<'_>) {
    let mut wallet = system.service("wallet-service");
    let mut history = system.service("history-service");
    history.set("LEDGER_URL", wallet.url());
    history.set("GAP_PATIENCE_MS", "500");
    // Only what is asked for.
    history.set("COMPARE_EVERY_MS", "3600000");
    wallet.start().await;
    history.start().await;
    (wallet, history)
}

async fn post(service: &Service<'_>, path: &str, body: Value) -> Value {
    let url = format!("{}{path}", service.url());
    let call = || http_client::plain().post(&url).json(&body).send();
    let answer = eventually("the service takes it", DEADLINE, async || {
        let answer = call().await.ok()?;
        answer.status().is_success().then_some(answer)
    });
    answer.await.json().await.unwrap()
}

pub(super) async fn opened(wallet: &Service<'_>, user: &str) -> String {
    let created = post(wallet, "/wallets", json!({"user_id": user})).await;
    let id = created["id"].as_str().unwrap().to_owned();
    for _ in 0..2 {
        funded(wallet, &id).await;
    }
    id
}

pub(super) async fn funded(wallet: &Service<'_>, id: &str) {
    let path = format!("/wallets/{id}/fund");
    post(wallet, &path, json!({"amount": "10.00"})).await;
}

pub(super) async fn transferred(wallet: &Service<'_>, from: &str, to: &str) {
    let path = format!("/wallets/{from}/transfer");
    let body = json!({"to_wallet_id": to, "amount": "1.00"});
    post(wallet, &path, body).await;
}

/// How far history is with a wallet; 0 when nothing of it is there.
async fn applied(history: &Service<'_>, id: &str) -> i64 {
    let url = format!("{}/wallets/{id}/history?limit=1", history.url());
    let answer: Value = http_client::plain()
        .get(url)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    answer["applied_sequence"].as_i64().unwrap_or_default()
}

pub(super) async fn until_applied(history: &Service<'_>, id: &str, sequence: i64) {
    eventually(&format!("{id} is at {sequence}"), DEADLINE, async || {
        (applied(history, id).await == sequence).then_some(())
    })
    .await;
}

pub(super) async fn until_sent(system: &System) {
    let pool = PgPool::connect(&system.database_url("wallet"))
        .await
        .unwrap();
    eventually("everything is sent", DEADLINE, async || {
        let waiting: i64 = sqlx::query_scalar("select count(*) from outbox")
            .fetch_one(&pool)
            .await
            .unwrap();
        (waiting == 0).then_some(())
    })
    .await;
    pool.close().await;
}

/// History has nothing more to bring to the ledger's state, and its sums are counted after that.
pub(super) async fn until_no_order_is_left(system: &System) {
    let pool = PgPool::connect(&system.database_url("history"))
        .await
        .unwrap();
    eventually("no order is left", DEADLINE, async || {
        let left = "select (select count(*) from refills) + (select count(*) from rebuilds where recounted_at is null)";
        let left: i64 = sqlx::query_scalar(left).fetch_one(&pool).await.unwrap();
        (left == 0).then_some(())
    })
    .await;
}

pub(super) async fn until_well(history: &Service<'_>) {
    eventually("history is well", DEADLINE, async || {
        (history.health().await["status"] == "ok").then_some(())
    })
    .await;
}

pub(super) async fn until_named(history: &Service<'_>, wallets: &[&String]) {
    eventually("the wallets are named", DEADLINE, async || {
        let health = history.health().await;
        let said = health["components"]["refill"]["reason"].to_string();
        let named = wallets.iter().all(|id| said.contains(*id));
        (health["status"] == "degraded" && named).then_some(())
    })
    .await;
}

pub(super) async fn run(url: &str, statements: &[&str]) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    for statement in statements {
        connection.execute(AssertSqlSafe(*statement)).await.unwrap();
    }
    connection.close().await.unwrap();
}

/// Does something whose events stay in the outbox, and then to the outbox what the statement says.
pub(super) async fn unsent(
    system: &System,
    wallet: &mut Service<'_>,
    work: impl AsyncFnOnce(&Service<'_>),
    statement: &str,
) {
    until_sent(system).await;
    wallet.kill().await;
    wallet.set("KAFKA_BROKERS", "127.0.0.1:1");
    wallet.start().await;
    work(wallet).await;
    run(&system.database_url("wallet"), &[statement]).await;
    wallet.kill().await;
    wallet.set("KAFKA_BROKERS", system.brokers.clone());
    wallet.start().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_kafka_never_got_is_asked_of_the_ledger_when_those_after_it_have_waited() {
    let system = System::start().await;
    let (mut wallet, history) = services(&system).await;
    let id = opened(&wallet, "alice").await;
    until_applied(&history, &id, 3).await;
    let three = async |wallet: &Service<'_>| {
        for _ in 0..3 {
            funded(wallet, &id).await;
        }
    };
    let first = "delete from outbox where id = (select min(id) from outbox)";
    unsent(&system, &mut wallet, three, first).await;
    until_applied(&history, &id, 6).await;
    until_well(&history).await;
    system.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_went_with_their_topic_come_back_from_the_ledger() {
    let system = System::start().await;
    let (wallet, mut history) = services(&system).await;
    let known = opened(&wallet, "alice").await;
    until_applied(&history, &known, 3).await;
    assert!(history.terminate().await.success());

    // Twelve events that history does not see: of three wallets that go on, and of one that does not.
    let mut missed = Vec::new();
    for user in ["bob", "carol", "dave", "erin"] {
        missed.push(opened(&wallet, user).await);
    }
    until_sent(&system).await;
    system.make_topic_again().await;
    for id in &missed[..3] {
        funded(&wallet, id).await;
    }
    until_sent(&system).await;

    history.start().await;
    for id in &missed[..3] {
        until_applied(&history, id, 4).await;
    }
    // Nothing follows on this one, so only a comparison of all wallets finds it.
    system.walletctl(&wallet, &history, &["rebuild"]).await;
    until_applied(&history, &missed[3], 3).await;
    until_well(&history).await;
    system.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_that_was_emptied_is_rebuilt_from_the_ledger_without_old_messages() {
    let system = System::start().await;
    let (wallet, mut history) = services(&system).await;
    let mut wallets = Vec::new();
    for user in ["alice", "bob", "carol"] {
        wallets.push(opened(&wallet, user).await);
    }
    for _ in 0..3 {
        transferred(&wallet, &wallets[0], &wallets[1]).await;
    }
    until_applied(&history, &wallets[0], 6).await;
    assert!(history.terminate().await.success());
    run(
        &system.database_url("history"),
        &[
            "drop schema public cascade",
            "create schema public authorization history_owner",
        ],
    )
    .await;
    system.migrate("history").await;
    system.make_topic_again().await;

    history.start().await;
    transferred(&wallet, &wallets[0], &wallets[1]).await;
    system.walletctl(&wallet, &history, &["rebuild"]).await;
    for (id, sequence) in wallets.iter().zip([7, 7, 3]) {
        until_applied(&history, id, sequence).await;
    }
    system.verify().await;

    // The end of one wallet is gone from the table, which the topic does not bring again.
    run(
        &system.database_url("history"),
        &[
            "alter table events disable trigger user",
            &format!(
                "delete from events where wallet_id = '{}' and sequence > 2",
                wallets[1]
            ),
            "alter table events enable trigger user",
        ],
    )
    .await;
    system
        .walletctl(&wallet, &history, &["rebuild", "--wallet", &wallets[1]])
        .await;
    until_applied(&history, &wallets[1], 7).await;
    // An id that no service knows is nothing to be degraded for.
    let nobodys = "01990000-0000-7000-8000-00000000000f";
    let rebuild = ["rebuild", "--wallet", nobodys];
    system.walletctl(&wallet, &history, &rebuild).await;
    until_no_order_is_left(&system).await;
    until_well(&history).await;
    system.verify().await;
}

pub(super) async fn save_ledger(system: &System) {
    let (ledger, postgres) = system.wallet_database_from_outside();
    let save = format!("create database {ledger}_saved template {ledger}");
    run(&postgres, &[&save]).await;
}

pub(super) async fn restore_ledger(system: &System) {
    let (ledger, postgres) = system.wallet_database_from_outside();
    let (lose, restore) = (
        format!("drop database {ledger} with (force)"),
        format!("alter database {ledger}_saved rename to {ledger}"),
    );
    run(&postgres, &[&lose, &restore]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_was_restored_is_shown_and_wins_by_an_operators_word() {
    let system = System::start().await;
    let (mut wallet, history) = services(&system).await;
    let (alice, bob) = (opened(&wallet, "alice").await, opened(&wallet, "bob").await);
    let quiet = opened(&wallet, "carol").await;
    until_applied(&history, &quiet, 3).await;
    until_sent(&system).await;
    assert!(wallet.terminate().await.success());
    save_ledger(&system).await;
    wallet.start().await;
    // Acknowledged and published, and then lost with the ledger. One wallet has no event after it.
    transferred(&wallet, &alice, &bob).await;
    transferred(&wallet, &quiet, &bob).await;
    until_applied(&history, &bob, 5).await;
    until_applied(&history, &quiet, 4).await;
    assert!(wallet.terminate().await.success());
    restore_ledger(&system).await;
    wallet.start().await;
    for _ in 0..4 {
        transferred(&wallet, &alice, &bob).await;
    }
    until_named(&history, &[&alice, &bob, &quiet]).await;

    let said = system
        .walletctl(
            &wallet,
            &history,
            &[
                "repair",
                "--ledger-wins",
                "--reason",
                "restored from a backup",
                "--actor",
                "olga",
            ],
        )
        .await;
    assert!(
        [&alice, &bob, &quiet].iter().all(|id| said.contains(*id)),
        "{said}"
    );
    for (id, sequence) in [(&alice, 7), (&bob, 7), (&quiet, 3)] {
        until_applied(&history, id, sequence).await;
    }
    let pool = PgPool::connect(&system.database_url("history"))
        .await
        .unwrap();
    let kept: Vec<(i64, String, String)> = sqlx::query_as(
        "select count(*), set_aside_by, set_aside_reason from set_aside_events group by 2, 3",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(
        kept,
        [(4, "olga".to_owned(), "restored from a backup".to_owned())]
    );
    let mended = "select sum(totals_mended)::bigint from rebuilds";
    let mended: Option<i64> = sqlx::query_scalar(mended).fetch_one(&pool).await.unwrap();
    assert_eq!(
        mended,
        Some(0),
        "what went was taken out of the sums with it"
    );
    until_well(&history).await;
    transferred(&wallet, &quiet, &alice).await;
    until_applied(&history, &quiet, 4).await;
    system.verify().await;
}
