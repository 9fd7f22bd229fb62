//! What the service tells of itself in numbers: all that is listed and nothing else, what happened, and also in an outage.

use std::time::Duration;

use serde_json::json;
use shared::testing::{
    FreezingProxy, TestDatabase, eventually, exposition::Exposition, kafka_brokers, unique_topic,
};
use wallet_service::app::{SCHEMA, definitions};

use crate::process::{DEADLINE, Process};

async fn told(process: &Process) -> Exposition {
    let (status, text) = process.text("/metrics").await;
    assert_eq!(status, 200, "{text}");
    Exposition::parse(&text)
}

#[tokio::test]
async fn what_is_printed_is_what_is_listed_and_says_what_happened() {
    let database = TestDatabase::create(SCHEMA).await;
    let (brokers, topic) = (kafka_brokers(), unique_topic("metrics"));
    let process = Process::start_with(
        &database,
        &[("KAFKA_BROKERS", &brokers), ("KAFKA_TOPIC", &topic)],
    )
    .await;
    let wallet = process.create_wallet().await;
    let post = async |path: &str, amount: &str, expected: u16| {
        let path = format!("/wallets/{wallet}/{path}");
        let (status, body) = process
            .post(&path, &json!({"amount": amount}))
            .await
            .unwrap();
        assert_eq!(status, expected, "{body}");
    };
    post("fund", "100.00", 201).await;
    post("withdraw", "30.00", 201).await;
    post("withdraw", "500.00", 422).await;
    post("fund", "nothing", 400).await;

    let all = eventually("its events are sent", DEADLINE, async || {
        let all = told(&process).await;
        // Those of the settlement wallet are events too.
        let sent = all.sum("relay_sent_events_total", &[]);
        let is_looked_at = all.sum("outbox_events", &[]) == Some(0.0);
        (sent >= Some(6.0) && is_looked_at).then_some(all)
    })
    .await;
    all.assert_is_what(&definitions());
    all.assert_promtool_is_content();

    assert_says_what_happened(&all);
    for sample in all.samples() {
        let names_it = sample
            .labels
            .values()
            .any(|value| value.contains(&wallet) || value == "alice");
        assert!(!names_it, "{sample:?}");
    }
}

fn assert_says_what_happened(all: &Exposition) {
    let commands = |kind, outcome, code| {
        let labels = [("kind", kind), ("outcome", outcome), ("code", code)];
        all.sum("ledger_commands_total", &labels)
    };
    assert_eq!(commands("create_wallet", "accepted", ""), Some(1.0));
    assert_eq!(commands("fund", "accepted", ""), Some(1.0));
    assert_eq!(commands("withdraw", "accepted", ""), Some(1.0));
    assert_eq!(
        commands("withdraw", "refused", "insufficient_funds"),
        Some(1.0)
    );
    let requests = |route, status, code| {
        let labels = [("route", route), ("status", status), ("code", code)];
        all.sum("http_requests_total", &labels)
    };
    assert_eq!(requests("/wallets/{id}/fund", "201", ""), Some(1.0));
    assert_eq!(
        requests("/wallets/{id}/fund", "400", "amount_malformed"),
        Some(1.0)
    );
    assert_eq!(
        requests("/wallets/{id}/withdraw", "422", "insufficient_funds"),
        Some(1.0)
    );
    assert_eq!(all.sum("relay_lease_held", &[]), Some(1.0));
    let is_well = [("component", "postgres"), ("status", "ok")];
    assert_eq!(all.sum("health_component_status", &is_well), Some(1.0));
    assert!(all.sum("ledger_batch_commands_count", &[]) >= Some(3.0));
    let waited = all.sum("ledger_phase_duration_seconds_count", &[("phase", "wait")]);
    assert!(waited >= Some(4.0), "{waited:?}");
    assert!(all.sum("clock_skew_seconds", &[]).is_some());
    assert!(all.sum("ledger_queue_commands", &[]) == Some(0.0));
}

#[tokio::test]
async fn a_command_again_under_its_key_is_counted_as_replayed() {
    let database = TestDatabase::create(SCHEMA).await;
    let process = Process::start_with(&database, &[("RELAY_ENABLED", "false")]).await;
    let body = json!({"user_id": "bob"});
    for _ in 0..3 {
        let (status, _) = process.post_with_key("/wallets", "once", &body).await;
        assert_eq!(status, 201);
    }
    let all = told(&process).await;
    let commands = |outcome| {
        let labels = [("kind", "create_wallet"), ("outcome", outcome)];
        all.sum("ledger_commands_total", &labels)
    };
    assert_eq!(commands("accepted"), Some(1.0));
    assert_eq!(commands("replayed"), Some(2.0));
}

#[tokio::test]
async fn the_numbers_come_at_once_while_the_database_does_not_answer() {
    let database = TestDatabase::create(SCHEMA).await;
    let options = database.options();
    let upstream = format!("{}:{}", options.get_host(), options.get_port());
    let proxy = FreezingProxy::start(upstream.parse().unwrap()).await;
    let proxied = format!("127.0.0.1:{}", proxy.port());
    let url = database.url().expose().replace(&upstream, &proxied);
    let settings = [
        ("RELAY_ENABLED", "false"),
        ("WALLET_DATABASE_URL", url.as_str()),
    ];
    let process = Process::start_with(&database, &settings).await;
    process.create_wallet().await;
    proxy.freeze_all();
    eventually("the outage is told", DEADLINE, async || {
        // Much shorter than any time-out of a call to Postgres.
        let asked = tokio::time::timeout(Duration::from_secs(1), told(&process));
        let all = asked.await.unwrap();
        all.assert_is_what(&definitions());
        let is_down = [("component", "postgres"), ("status", "down")];
        let is_down = all.sum("health_component_status", &is_down) == Some(1.0);
        // What a look found is kept, with its age.
        let age = all.sum("outbox_look_age_seconds", &[]);
        (is_down && age > Some(2.0)).then_some(())
    })
    .await;
}
