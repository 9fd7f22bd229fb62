//! The binary itself: how it starts, what it says when it cannot, and that a stop loses nothing that was answered.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use futures::future::join_all;
use serde_json::{Value, json};
use shared::testing::{TestDatabase, eventually, free_port, kafka_brokers, patience, unique_topic};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, ChildStderr, ChildStdout, Command},
    task::JoinHandle,
};
use wallet_service::app::SCHEMA;

pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// The binary with nothing in its environment but these settings, and Kafka at a port without a listener.
pub(crate) fn binary(settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wallet-service"));
    command
        .env_clear()
        .env("KAFKA_BROKERS", "127.0.0.1:1")
        .env(
            "RUST_LOG",
            "info,request=warn,rdkafka=warn,librdkafka=warn,sqlx=warn",
        )
        .envs(settings.iter().copied())
        .current_dir("/")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// All that comes through the pipe; nothing where there is none.
fn said(pipe: Option<impl AsyncRead + Send + Unpin + 'static>) -> JoinHandle<String> {
    tokio::spawn(async move {
        let mut text = String::new();
        if let Some(mut pipe) = pipe {
            pipe.read_to_string(&mut text).await.unwrap();
        }
        text
    })
}

pub(crate) struct Process {
    child: Child,
    /// What it says, read all the while: who writes into a pipe that is full goes no further.
    said: [JoinHandle<String>; 2],
    pub(crate) url: String,
    http: reqwest::Client,
}

impl Process {
    pub(crate) async fn start(database: &TestDatabase) -> Self {
        Self::start_with(database, &[]).await
    }

    pub(crate) async fn start_with(database: &TestDatabase, settings: &[(&str, &str)]) -> Self {
        let port = free_port().to_string();
        let url = database.url();
        let own = [
            ("WALLET_DATABASE_URL", url.expose()),
            ("WALLET_PORT", port.as_str()),
        ];
        let mut child = binary(&[&own, settings].concat()).spawn().unwrap();
        let process = Self {
            said: [said(child.stdout.take()), said(child.stderr.take())],
            child,
            url: format!("http://127.0.0.1:{port}"),
            http: shared::server::http_client::plain(),
        };
        process.until_ready().await;
        process
    }

    /// As [`Self::start_with`], with its log in a file, which may be long.
    pub(crate) async fn start_logged(
        database: &TestDatabase,
        settings: &[(&str, &str)],
        log: &std::path::Path,
    ) -> Self {
        let port = free_port().to_string();
        let own = [
            ("WALLET_DATABASE_URL", database.url().expose()),
            ("WALLET_PORT", port.as_str()),
        ];
        let mut command = binary(&[&own, settings].concat());
        let log = std::fs::File::create(log).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let process = Self {
            child: command.spawn().unwrap(),
            said: [said(None::<ChildStdout>), said(None::<ChildStderr>)],
            url: format!("http://127.0.0.1:{port}"),
            http: shared::server::http_client::plain(),
        };
        process.until_ready().await;
        process
    }

    async fn until_ready(&self) {
        let process = self;
        eventually("the service is ready", DEADLINE, async || {
            let ready = process
                .http
                .get(format!("{}/readyz", process.url))
                .send()
                .await
                .ok()?;
            ready.status().is_success().then_some(())
        })
        .await;
    }

    pub(crate) async fn post(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<(u16, Value), reqwest::Error> {
        let sent = self
            .http
            .post(format!("{}{path}", self.url))
            .json(body)
            .send()
            .await?;
        Ok((sent.status().as_u16(), sent.json().await?))
    }

    /// As [`Self::post`], under a key.
    pub(crate) async fn post_keyed(
        &self,
        path: &str,
        key: &str,
        body: &Value,
    ) -> Result<(u16, Value), reqwest::Error> {
        let request = self.http.post(format!("{}{path}", self.url));
        let sent = request.header("idempotency-key", key).json(body);
        let sent = sent.send().await?;
        Ok((sent.status().as_u16(), sent.json().await?))
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        let sent = self
            .http
            .get(format!("{}{path}", self.url))
            .send()
            .await
            .unwrap();
        (sent.status().as_u16(), sent.json().await.unwrap())
    }

    pub(crate) async fn post_with_key(&self, path: &str, key: &str, body: &Value) -> (u16, Value) {
        let request = self.http.post(format!("{}{path}", self.url));
        let request = request.header("idempotency-key", key).json(body);
        let sent = request.send().await.unwrap();
        (sent.status().as_u16(), sent.json().await.unwrap())
    }

    pub(crate) async fn text(&self, path: &str) -> (u16, String) {
        let request = self.http.get(format!("{}{path}", self.url));
        let sent = request.send().await.unwrap();
        (sent.status().as_u16(), sent.text().await.unwrap())
    }

    pub(crate) async fn create_wallet(&self) -> String {
        let (status, wallet) = self
            .post("/wallets", &json!({"user_id": "alice"}))
            .await
            .unwrap();
        assert_eq!(status, 201, "{wallet}");
        wallet["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn terminate(&self) {
        self.signal("TERM").await;
    }

    async fn signal(&self, signal: &str) {
        let id = self.child.id().unwrap().to_string();
        assert!(
            Command::new("kill")
                .args([&format!("-{signal}"), &id])
                .status()
                .await
                .unwrap()
                .success()
        );
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.url.strip_prefix("http://").unwrap().parse().unwrap()
    }

    /// What it has open: connections, mostly.
    #[cfg(target_os = "linux")]
    pub(crate) fn open_files(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.child.id().unwrap());
        std::fs::read_dir(folder).unwrap().count()
    }

    /// The memory that it has of the machine.
    #[cfg(target_os = "linux")]
    pub(crate) fn resident_bytes(&self) -> u64 {
        shared::testing::memory::resident_bytes(self.child.id().unwrap())
    }

    /// Gives its log.
    pub(crate) async fn ended_well(mut self) -> String {
        let ended = tokio::time::timeout(patience(DEADLINE), self.child.wait()).await;
        let ended = ended.unwrap().unwrap();
        let [log, errors] = self.said;
        let (log, errors) = (log.await.unwrap(), errors.await.unwrap());
        assert!(ended.success(), "{log}\n{errors}");
        log
    }
}

#[tokio::test]
async fn an_instance_without_the_relay_serves_and_says_when_no_other_relays() {
    let database = TestDatabase::create(SCHEMA).await;
    let process = Process::start_with(&database, &[("RELAY_ENABLED", "false")]).await;
    process.create_wallet().await;
    eventually("what waits is told", DEADLINE, async || {
        let (status, ready) = process.get("/readyz").await;
        assert_eq!(status, 200);
        assert!(ready["components"]["kafka"].is_null(), "{ready}");
        let reason = ready["components"]["outbox"]["reason"].as_str()?;
        (reason.contains("no relay anywhere") && reason.contains("the oldest event waits for"))
            .then_some(())
    })
    .await;
    process.terminate().await;
    process.ended_well().await;
}

#[tokio::test]
async fn another_instance_relays_when_the_one_that_did_hangs() {
    let database = TestDatabase::create(SCHEMA).await;
    let (brokers, topic) = (kafka_brokers(), unique_topic("hangs"));
    let kafka = [
        ("KAFKA_BROKERS", brokers.as_str()),
        ("KAFKA_TOPIC", topic.as_str()),
    ];
    let sent = async || {
        eventually("the outbox is empty", DEADLINE, async || {
            let rows: i64 = sqlx::query_scalar("select count(*) from outbox")
                .fetch_one(database.pool())
                .await
                .unwrap();
            (rows == 0).then_some(())
        })
        .await;
    };
    let first = Process::start_with(&database, &kafka).await;
    first.create_wallet().await;
    sent().await;
    let second = Process::start_with(&database, &kafka).await;
    first.signal("STOP").await;
    second.create_wallet().await;
    sent().await;
    // The one that hung wakes up, and there is one relay again.
    first.signal("CONT").await;
    second.create_wallet().await;
    sent().await;
    for process in [first, second] {
        process.terminate().await;
        process.ended_well().await;
    }
}

#[tokio::test]
async fn without_kafka_the_service_answers_and_says_that_it_is_degraded() {
    let database = TestDatabase::create(SCHEMA).await;
    let process = Process::start(&database).await;
    let wallet = process.create_wallet().await;
    let (status, _) = process
        .post(
            &format!("/wallets/{wallet}/fund"),
            &json!({"amount": "1.00"}),
        )
        .await
        .unwrap();
    assert_eq!(status, 201);
    let reason = eventually("the reason is told", DEADLINE, async || {
        let (status, report) = process.get("/readyz").await;
        assert_eq!((status, &report["status"]), (200, &json!("degraded")));
        assert_eq!(report["components"]["postgres"]["status"], json!("ok"));
        let reason = report["reasons"][0].as_str().unwrap_or_default().to_owned();
        reason.contains("Kafka is not reachable").then_some(reason)
    })
    .await;
    assert!(reason.starts_with("kafka: "), "{reason}");
    assert_eq!(process.get("/livez").await, (200, json!({"status": "ok"})));
    // Tried again meanwhile, and told once.
    process.terminate().await;
    let log = process.ended_well().await;
    assert_eq!(log.matches("the relay does not send").count(), 1, "{log}");
}

#[tokio::test]
async fn a_stop_under_load_loses_nothing_that_was_answered() {
    const CLIENTS: usize = 16;
    let database = TestDatabase::create(SCHEMA).await;
    let process = Process::start(&database).await;
    let wallet = process.create_wallet().await;
    let path = format!("/wallets/{wallet}/fund");
    let (body, answered) = (
        json!({"amount": "0.01"}),
        std::sync::atomic::AtomicUsize::new(0),
    );
    let client = async || {
        let mut acknowledged = Vec::new();
        // Until the service is gone: an answer that is not a success ends the client as well.
        while let Ok((201, moved)) = process.post(&path, &body).await {
            answered.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            acknowledged.push(moved["transaction"]["id"].as_str().unwrap().to_owned());
        }
        acknowledged
    };
    let stop = async {
        eventually("the load has begun", DEADLINE, async || {
            (answered.load(std::sync::atomic::Ordering::Relaxed) > 100).then_some(())
        })
        .await;
        process.terminate().await;
    };
    let (acknowledged, ()) = tokio::join!(join_all((0..CLIENTS).map(|_| client())), stop);
    process.ended_well().await;

    let acknowledged: Vec<uuid::Uuid> = acknowledged
        .into_iter()
        .flatten()
        .map(|id| id.parse().unwrap())
        .collect();
    assert!(acknowledged.len() > 100);
    let kept: i64 = sqlx::query_scalar("select count(*) from transactions where id = any($1)")
        .bind(&acknowledged)
        .fetch_one(database.pool())
        .await
        .unwrap();
    assert_eq!(kept, i64::try_from(acknowledged.len()).unwrap());
    let sums: (bool, bool) = sqlx::query_as(
        "select (select sum(balance) = 0 from wallets),
                (select balance = (select count(*) from transactions) from wallets where user_id = 'alice')",
    )
    .fetch_one(database.pool())
    .await
    .unwrap();
    assert_eq!(sums, (true, true));
}

#[tokio::test]
async fn a_setting_that_cannot_be_used_stops_the_start_with_its_name() {
    let url = "postgres://wallet:hunter2@127.0.0.1:1/wallet";
    for (name, value) in [
        ("WALLET_DATABASE_URL", ""),
        ("WALLET_PORT", "seventy"),
        ("DEFAULT_CURRENCY", "GOLD"),
        ("LOG_FORMAT", "xml"),
        ("KAFKA_SECURITY_PROTOCOL", "tls"),
    ] {
        let command = binary(&[("WALLET_DATABASE_URL", url), (name, value)]).output();
        let output = tokio::time::timeout(patience(DEADLINE), command)
            .await
            .unwrap()
            .unwrap();
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(!output.status.success());
        assert!(said.contains(name), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[tokio::test]
async fn a_database_url_that_cannot_be_used_is_not_repeated() {
    for url in [
        "wallet:hunter2@db/wallet",
        "postgres://wallet:hunter2@db:port/wallet",
    ] {
        let output = binary(&[("WALLET_DATABASE_URL", url)])
            .output()
            .await
            .unwrap();
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(!output.status.success());
        assert!(
            said.contains("WALLET_DATABASE_URL cannot be used"),
            "{said}"
        );
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[tokio::test]
async fn two_instances_fund_from_settlement_wallets_of_their_own() {
    let database = TestDatabase::create(SCHEMA).await;
    let instances = [
        Process::start(&database).await,
        Process::start(&database).await,
    ];
    let wallet = instances[0].create_wallet().await;
    for instance in &instances {
        let path = format!("/wallets/{wallet}/fund");
        let funded = instance.post(&path, &json!({"amount": "1.00"})).await;
        assert_eq!(funded.unwrap().0, 201);
    }
    let sql = "select count(*) from wallets where user_id = '@settlement'";
    let count: i64 = sqlx::query_scalar(sql)
        .fetch_one(database.pool())
        .await
        .unwrap();
    assert_eq!(count, 2);
}
