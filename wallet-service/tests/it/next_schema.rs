//! Migrations expand first and contract a release later: this build starts and works on the schema of the next one.

use std::time::Duration;

use serde_json::{Value, json};
use shared::{
    server::settings::Settings,
    testing::{TestDatabase, eventually, expand_to_next_schema, kafka_brokers, unique_topic},
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wallet_service::{
    app::{App, SCHEMA},
    config::Config,
};

const DEADLINE: Duration = Duration::from_secs(60);

struct Instance {
    url: String,
    http: reqwest::Client,
    stop: CancellationToken,
    running: JoinHandle<anyhow::Result<()>>,
}

impl Instance {
    async fn start(database: &TestDatabase, topic: &str) -> Self {
        let brokers = kafka_brokers();
        let settings = Settings::from_pairs([
            ("WALLET_DATABASE_URL", database.url().expose()),
            ("WALLET_PORT", "0"),
            ("KAFKA_BROKERS", brokers.as_str()),
            ("KAFKA_TOPIC", topic),
        ]);
        let app = App::start(Config::from_settings(&settings).unwrap())
            .await
            .unwrap();
        let (url, stop) = (format!("http://{}", app.addr()), CancellationToken::new());
        Self {
            url,
            http: shared::server::http_client::plain(),
            running: tokio::spawn(app.run(stop.clone())),
            stop,
        }
    }

    async fn post(&self, path: &str, key: &str, body: Value) -> Value {
        let call = self.http.post(format!("{}{path}", self.url)).json(&body);
        let answer = call.header("idempotency-key", key).send().await.unwrap();
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.unwrap();
        assert_eq!(status, 201, "{path}: {body}");
        body
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self
            .http
            .get(format!("{}{path}", self.url))
            .send()
            .await
            .unwrap();
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.unwrap();
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap().unwrap();
    }
}

/// Creates, funds, pays and reads, with both instances; `round` keeps keys and references apart.
async fn work(one: &Instance, other: &Instance, round: &str) {
    let key = |name: &str| format!("{round}-{name}");
    let (users, reference) = ([key("alice"), key("bob")], key("order"));
    let alice = one
        .post("/wallets", &key("a"), json!({"user_id": users[0]}))
        .await["id"]
        .clone();
    let bob = other
        .post("/wallets", &key("b"), json!({"user_id": users[1]}))
        .await["id"]
        .clone();
    let (alice, bob) = (alice.as_str().unwrap(), bob.as_str().unwrap());
    let fund = json!({"amount": "100.00", "reference": reference, "metadata": {"shop": "7"}});
    let path = format!("/wallets/{alice}/fund");
    let funded = one.post(&path, &key("fund"), fund.clone()).await;
    let again = other.post(&path, &key("fund"), fund).await;
    assert_eq!(again, funded, "the stored answer");
    // In turns, so that each instance meets a wallet that the other has changed, and decides again on locked rows.
    for (number, instance) in [one, other, one, other].into_iter().enumerate() {
        let transfer = json!({"to_wallet_id": bob, "amount": "10.00"});
        let path = format!("/wallets/{alice}/transfer");
        instance
            .post(&path, &key(&number.to_string()), transfer)
            .await;
    }
    let withdraw = json!({"amount": "5.00"});
    other
        .post(
            &format!("/wallets/{bob}/withdraw"),
            &key("withdraw"),
            withdraw,
        )
        .await;

    assert_eq!(
        one.get(&format!("/wallets/{alice}/balance")).await["balance"],
        "60.00"
    );
    assert_eq!(
        one.get(&format!("/wallets/{bob}")).await["balance"],
        "35.00"
    );
    let events = one.get(&format!("/wallets/{alice}/events")).await;
    assert_eq!(events["items"].as_array().unwrap().len(), 6);
    let id = funded["transaction"]["id"].as_str().unwrap();
    assert_eq!(
        one.get(&format!("/transactions/{id}")).await,
        funded["transaction"]
    );
    one.get(&format!("/users/{}/wallets", users[1])).await;
    one.get("/wallets").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn this_build_runs_on_and_starts_on_the_schema_of_the_next_release() {
    let database = TestDatabase::create(SCHEMA).await;
    let topic = unique_topic("next-schema");
    let one = Instance::start(&database, &topic).await;
    let other = Instance::start(&database, &topic).await;
    work(&one, &other, "before").await;
    expand_to_next_schema(database.pool()).await;
    work(&one, &other, "running").await;
    other.stop().await;
    let other = Instance::start(&database, &topic).await;
    work(&one, &other, "started").await;

    eventually("the outbox has been sent", DEADLINE, async || {
        let left: i64 = sqlx::query_scalar("select count(*) from outbox")
            .fetch_one(database.pool())
            .await
            .unwrap();
        (left == 0).then_some(())
    })
    .await;
    tokio::join!(one.stop(), other.stop());
}
