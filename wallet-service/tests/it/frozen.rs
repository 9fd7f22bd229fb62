//! A process whose connections to Postgres freeze: nothing passes any more, and no end is told.

use std::{net::SocketAddr, time::Duration};

use serde_json::json;
use shared::{
    server::kafka::KafkaSettings,
    testing::{FreezingProxy, TestDatabase, eventually, kafka_brokers, unique_topic},
};
use wallet_service::app::SCHEMA;

use crate::{
    outbox::{assert_in_order, events, read_topic, until_sent},
    process::Process,
};

const DEADLINE: Duration = Duration::from_secs(60);

struct World {
    database: TestDatabase,
    kafka: KafkaSettings,
    proxy: FreezingProxy,
}

impl World {
    async fn new() -> Self {
        let database = TestDatabase::create(SCHEMA).await;
        let options = database.options();
        let upstream: SocketAddr = format!("{}:{}", options.get_host(), options.get_port())
            .parse()
            .unwrap();
        Self {
            proxy: FreezingProxy::start(upstream).await,
            kafka: KafkaSettings::plain(kafka_brokers(), unique_topic("frozen"), 3),
            database,
        }
    }

    /// A process that relays; by way of the proxy, or straight.
    async fn start(&self, is_through_proxy: bool) -> Process {
        let direct = self.database.url().expose();
        let port = format!(":{}/", self.database.options().get_port());
        let through = direct.replace(&port, &format!(":{}/", self.proxy.port()));
        let settings = [
            (
                "WALLET_DATABASE_URL",
                if is_through_proxy {
                    through.as_str()
                } else {
                    direct
                },
            ),
            ("KAFKA_BROKERS", self.kafka.brokers.as_str()),
            ("KAFKA_TOPIC", self.kafka.topic.as_str()),
            ("KAFKA_TOPIC_PARTITIONS", "3"),
        ];
        Process::start_with(&self.database, &settings).await
    }

    /// Everything is on the topic in order, and each of these funds was carried out once.
    async fn assert_sound(&self, funds: i64) {
        let sums: (bool, i64) = sqlx::query_as(
            "select (select sum(balance) = 0 from wallets),
                    (select balance from wallets where user_id = 'alice')",
        )
        .fetch_one(self.database.pool())
        .await
        .unwrap();
        assert_eq!(sums, (true, funds * 100));
        let events = events(&self.database).await;
        let sent = read_topic(&self.kafka, events).await;
        assert_eq!(assert_in_order(&sent), events);
    }
}

/// Sends it until it is carried out, as a caller does with a key.
async fn fund(process: &Process, wallet: &str, key: &str) {
    let (path, body) = (format!("/wallets/{wallet}/fund"), json!({"amount": "1.00"}));
    eventually("the command is carried out", DEADLINE, async || {
        let (status, answer) = process.post_keyed(&path, key, &body).await.unwrap();
        assert!(matches!(status, 201 | 503), "{answer}");
        (status == 201).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_and_the_relay_go_on_when_every_connection_there_is_freezes() {
    let world = World::new().await;
    let process = world.start(true).await;
    let wallet = process.create_wallet().await;
    until_sent(&world.database).await;
    for turn in ["a", "b"] {
        world.proxy.freeze();
        for number in 0..3 {
            fund(&process, &wallet, &format!("{turn}{number}")).await;
        }
        until_sent(&world.database).await;
    }
    world.assert_sound(6).await;
    process.terminate().await;
    process.ended_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_instance_goes_on_when_all_that_one_sends_is_swallowed() {
    let world = World::new().await;
    let cut_off = world.start(true).await;
    let wallet = cut_off.create_wallet().await;
    until_sent(&world.database).await;
    let healthy = world.start(false).await;
    world.proxy.freeze_all();
    let (path, body) = (format!("/wallets/{wallet}/fund"), json!({"amount": "1.00"}));
    let (status, problem) = cut_off.post_keyed(&path, "k", &body).await.unwrap();
    assert_eq!(
        (status, &problem["status"]),
        (503, &json!(503)),
        "{problem}"
    );
    // The same command by way of the other one: carried out once, whatever became of the first.
    fund(&healthy, &wallet, "k").await;
    fund(&healthy, &wallet, "next").await;
    until_sent(&world.database).await;
    let reason = eventually("the one that is cut off says so", DEADLINE, async || {
        let (status, report) = cut_off.get("/readyz").await;
        (status == 503 || report["status"] != "ok").then(|| report["reasons"].to_string())
    });
    assert!(!reason.await.is_empty());
    world.assert_sound(2).await;
    healthy.terminate().await;
    healthy.ended_well().await;
}
