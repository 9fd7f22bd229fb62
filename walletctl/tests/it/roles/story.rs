//! Everything that the services do, each as its role: money, deliveries, what is set aside and brought back, an operator's
//! orders, and the proof at the end by one who may only read.

use serde_json::{Value, json};
use shared::{server::http_client, testing::eventually};
use sqlx::{Executor, PgConnection};

use super::database::{Of, OwnedDatabase, Role};
use crate::e2e::system::{DEADLINE, Service, System};

async fn post(url: String, body: &Value) -> Value {
    let sent = http_client::plain().post(&url).json(body).send().await;
    let sent = sent.unwrap();
    let status = sent.status();
    let body: Value = sent.json().await.unwrap();
    assert!(status.is_success(), "{url}: {body}");
    body
}

/// A wallet with a history of three events.
async fn wallet_with_a_story(wallet: &Service<'_>, user: &str, other: Option<&str>) -> String {
    let url = wallet.url();
    let made = post(format!("{url}/wallets"), &json!({"user_id": user})).await;
    let id = made["id"].as_str().unwrap().to_owned();
    let path = format!("{url}/wallets/{id}");
    let reference = json!({"amount": "100.00", "reference": format!("{user}-1")});
    post(format!("{path}/fund"), &reference).await;
    post(format!("{path}/withdraw"), &json!({"amount": "1.00"})).await;
    if let Some(other) = other {
        let transfer = json!({"amount": "30.00", "to_wallet_id": other});
        post(format!("{path}/transfer"), &transfer).await;
    }
    id
}

/// Ids that rows have are given once more.
const BEHIND: [&str; 2] = [
    "select setval('quarantine_id_seq', 1)",
    "select setval('rebuilds_id_seq', 1, false)",
];

async fn done_by_hand(owner: &mut PgConnection, statements: &[&'static str]) {
    for statement in statements {
        owner.execute(*statement).await.unwrap();
    }
}

async fn until_quarantined(history: &Service<'_>, messages: i64) {
    eventually("they are in the quarantine", DEADLINE, async || {
        let health = history.health().await;
        (health["components"]["quarantine"]["open"] == messages).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_story_is_told_by_services_that_may_only_append_and_proved_by_an_auditor() {
    let [ledger, copy] = [
        OwnedDatabase::migrated(Of::Wallet).await,
        OwnedDatabase::migrated(Of::History).await,
    ];
    let system = System::on(ledger.url(Role::Service), copy.url(Role::Service));
    let (mut wallet, mut history) = (
        system.service("wallet-service"),
        system.service("history-service"),
    );
    wallet.start().await;
    history.set("LEDGER_URL", wallet.url());
    history.start().await;

    let bob = wallet_with_a_story(&wallet, "bob", None).await;
    wallet_with_a_story(&wallet, "alice", Some(&bob)).await;
    system
        .walletctl(&wallet, &history, &["republish", "--all", "--wait"])
        .await;

    // Messages that are no events, which a person does without together, and a row that was changed by hand, which comes
    // back.
    for value in ["no event", "none either"] {
        system.send_to_topic(value.as_bytes()).await;
    }
    let discard = ["quarantine", "discard", "--all", "--reason", "noise"];
    until_quarantined(&history, 2).await;
    system.walletctl(&wallet, &history, &discard).await;
    system
        .until_logged(&history, "quarantined messages were discarded")
        .await;
    let mut owner = copy.connect(Role::Owner).await;
    let change = [
        "alter table events disable trigger all",
        "update events set balance_after = 7 where sequence = 2",
        "alter table events enable trigger all",
    ];
    done_by_hand(&mut owner, &change).await;
    system
        .walletctl(&wallet, &history, &["rebuild", "--wait"])
        .await;
    // Sequences that are behind their rows: the service moves them on with the rights that it has.
    done_by_hand(&mut owner, &BEHIND).await;
    system.send_to_topic(b"nor this one").await;
    until_quarantined(&history, 1).await;
    system.walletctl(&wallet, &history, &discard).await;
    system
        .walletctl(&wallet, &history, &["rebuild", "--wait"])
        .await;
    let aside: i64 = sqlx::query_scalar("select count(*) from set_aside_events")
        .fetch_one(&mut owner)
        .await
        .unwrap();
    assert!(aside >= 2, "{aside}");

    let auditor = [ledger.url(Role::Auditor), copy.url(Role::Auditor)];
    system.verify_as(&auditor[0], &auditor[1]).await;
    for service in [&wallet, &history] {
        let log = system.log(service);
        assert!(!log.contains("permission denied"), "{log}");
        let health = service.health().await;
        assert_eq!(health["status"], "ok", "{health}");
    }
    assert!(wallet.terminate().await.success());
    assert!(history.terminate().await.success());
    for database in [ledger, copy] {
        database.drop_now().await;
    }
}
