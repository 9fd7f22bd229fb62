//! A world for one test (database, topic, group) and instances of the service in it.

use std::{net::SocketAddr, time::Duration};

use futures::future::join_all;
use history_service::{
    app::{App, SCHEMA},
    config::{Config, PLANNER},
    history::live::StreamSettings,
    ingest::{proof::ProofSettings, refill::RefillSettings},
};
use rdkafka::{
    Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    producer::{FutureProducer, FutureRecord},
};
use serde_json::Value;
use shared::{
    WalletId,
    event::WalletEvent,
    server::{
        auth::AuthSettings,
        http::HttpLimits,
        kafka::{KafkaSettings, ensure_topic},
        postgres::DatabaseSettings,
        rate_limit::RateLimitSettings,
    },
    testing::{TestDatabase, eventually, kafka_brokers, make_topic_again, unique_topic},
};
use sqlx::{AssertSqlSafe, Executor, PgPool};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// Long beside anything that should happen, so that a slow machine does not fail a test.
pub(crate) const SOON: Duration = Duration::from_secs(60);

pub(crate) struct World {
    pub(crate) database: TestDatabase,
    pub(crate) kafka: KafkaSettings,
    pub(crate) group: String,
    producer: FutureProducer,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with_partitions(3).await
    }

    pub(crate) async fn with_partitions(partitions: u16) -> Self {
        let database = TestDatabase::create(SCHEMA).await;
        let kafka = KafkaSettings::plain(kafka_brokers(), unique_topic("history"), partitions);
        ensure_topic(&kafka, SOON).await.unwrap();
        let producer = kafka.producer_config().create().unwrap();
        Self {
            database,
            group: unique_topic("group"),
            kafka,
            producer,
        }
    }

    pub(crate) fn pool(&self) -> &PgPool {
        self.database.pool()
    }

    /// What is new is proved all the time.
    pub(crate) fn proving(&self) -> Config {
        let config = self.config();
        let every = Duration::from_millis(50);
        let proof = ProofSettings {
            every,
            ..config.proof
        };
        Config { proof, ..config }
    }

    /// So is every event.
    pub(crate) fn proving_all(&self) -> Config {
        let config = self.proving();
        let proof = ProofSettings {
            whole_every: config.proof.every,
            ..config.proof
        };
        Config { proof, ..config }
    }

    pub(crate) fn config(&self) -> Config {
        Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            auth: AuthSettings::Off,
            database: DatabaseSettings {
                read_pool_size: 4,
                ..DatabaseSettings::new(self.database.url().clone(), PLANNER)
            },
            kafka: self.kafka.clone(),
            kafka_group: self.group.clone(),
            refill: RefillSettings {
                ledger_url: None,
                ledger_trusted: None,
                ledger_token: None,
                gap_patience: Duration::from_millis(200),
                compare_every: Duration::from_secs(60),
            },
            streams: StreamSettings::default(),
            proof: ProofSettings {
                events_per_second: 100_000,
                every: Duration::from_secs(60),
                whole_every: Duration::from_secs(24 * 60 * 60),
            },
            rate_limits: RateLimitSettings::default(),
            http: HttpLimits {
                request_timeout: Duration::from_secs(35),
                ..HttpLimits::default()
            },
        }
    }

    /// An instance of the service that has its partitions.
    pub(crate) async fn start(&self) -> Instance {
        let instance = Instance::start(self.config()).await;
        instance.until_consuming().await;
        instance
    }

    /// What the relay does: one message per event, keyed by its wallet, in this order.
    pub(crate) async fn publish<'a>(&self, events: impl IntoIterator<Item = &'a WalletEvent>) {
        let messages: Vec<(String, Vec<u8>)> = events
            .into_iter()
            .map(|event| (event.wallet_id.to_string(), event.to_json()))
            .collect();
        let sent = messages.iter().map(|(key, value)| {
            self.producer
                .send_result(FutureRecord::to(&self.kafka.topic).key(key).payload(value))
                .unwrap()
        });
        for delivery in join_all(Vec::from_iter(sent)).await {
            delivery.unwrap().unwrap();
        }
    }

    /// Deletes the topic with all that it holds, and makes it again.
    pub(crate) async fn make_topic_again(&self) {
        make_topic_again(&self.kafka, SOON).await;
    }

    /// What retention does: the messages of the first partition before this offset are gone.
    pub(crate) async fn truncate(&self, before: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.kafka.topic, 0, Offset::Offset(before))
            .unwrap();
        let admin = self.admin();
        admin
            .delete_records(&list, &AdminOptions::new())
            .await
            .unwrap();
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.kafka.client_config().create().unwrap()
    }

    /// Any bytes at all.
    pub(crate) async fn publish_bytes(&self, key: &[u8], value: Option<&[u8]>) {
        let mut record: FutureRecord<'_, [u8], [u8]> = FutureRecord::to(&self.kafka.topic).key(key);
        record.payload = value;
        self.producer
            .send_result(record)
            .unwrap()
            .await
            .unwrap()
            .unwrap();
    }

    /// Changes events past their triggers, as only the owner of the tables can.
    pub(crate) async fn tampered(&self, sql: &str) {
        let statements = format!(
            "alter table events disable trigger user; {sql}; alter table events enable trigger user"
        );
        self.pool()
            .execute(AssertSqlSafe(statements))
            .await
            .unwrap();
    }

    pub(crate) async fn count(&self, table: &'static str) -> i64 {
        let statement = match table {
            "events" => "select count(*) from events",
            "parked_events" => "select count(*) from parked_events",
            "quarantine" => "select count(*) from quarantine",
            "rebuilds" => "select count(*) from rebuilds",
            "drifts" => "select count(*) from drifts",
            "refills" => "select count(*) from refills",
            "set_aside_events" => "select count(*) from set_aside_events",
            "quarantine_resolutions" => "select count(*) from quarantine_resolutions",
            "waiting_events" => "select count(*) from waiting_events",
            other => panic!("{other} is not counted here"),
        };
        sqlx::query_scalar(statement)
            .fetch_one(self.pool())
            .await
            .unwrap()
    }

    pub(crate) async fn until_count(&self, table: &'static str, wanted: i64) {
        let what = format!("{wanted} rows in {table}");
        eventually(&what, SOON, || async {
            (self.count(table).await == wanted).then_some(())
        })
        .await;
    }

    /// Reasons of what is quarantined, by offset.
    pub(crate) async fn quarantined(&self) -> Vec<String> {
        sqlx::query_scalar("select reason from quarantine order by id")
            .fetch_all(self.pool())
            .await
            .unwrap()
    }

    /// The stored sequence numbers and hashes of a wallet.
    pub(crate) async fn stored(&self, wallet: WalletId) -> Vec<(i64, Vec<u8>)> {
        sqlx::query_as("select sequence, hash from events where wallet_id = $1 order by sequence")
            .bind(wallet.uuid())
            .fetch_all(self.pool())
            .await
            .unwrap()
    }

    /// Asserts that exactly these events of one wallet are stored, once each, and that its head is the last of them.
    pub(crate) async fn assert_stored(&self, journal: &[WalletEvent]) {
        let wallet = journal[0].wallet_id;
        let expected: Vec<(i64, Vec<u8>)> = journal
            .iter()
            .map(|event| (event.sequence.get(), event.hash.as_bytes().to_vec()))
            .collect();
        assert_eq!(self.stored(wallet).await, expected);
        let head: (i64, Vec<u8>, i64) = sqlx::query_as(
            "select last_sequence, last_hash, balance from wallet_heads where wallet_id = $1",
        )
        .bind(wallet.uuid())
        .fetch_one(self.pool())
        .await
        .unwrap();
        let last = journal.last().unwrap();
        assert_eq!(
            head,
            (
                last.sequence.get(),
                last.hash.as_bytes().to_vec(),
                last.balance_after.minor()
            )
        );
    }
}

/// A running service.
pub(crate) struct Instance {
    pub(crate) address: SocketAddr,
    shutdown: CancellationToken,
    running: JoinHandle<anyhow::Result<()>>,
}

impl Instance {
    pub(crate) async fn start(config: Config) -> Self {
        let app = App::start(config).await.unwrap();
        let address = app.addr();
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(app.run(shutdown.clone()));
        Self {
            address,
            shutdown,
            running,
        }
    }

    pub(crate) async fn until_consuming(&self) {
        eventually("the instance has joined its group", SOON, || async {
            let (_, health) = self.get("/readyz").await;
            (health["components"]["kafka"]["status"] == "ok").then_some(())
        })
        .await;
    }

    pub(crate) async fn stop(mut self) {
        self.shutdown.cancel();
        (&mut self.running).await.unwrap().unwrap();
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        get(self.address, path).await.unwrap()
    }

    /// The answer's body; anything but 200 fails the test.
    pub(crate) async fn ok(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Every item of a listing, page by page.
    pub(crate) async fn all(&self, path: &str) -> Vec<Value> {
        let joint = if path.contains('?') { '&' } else { '?' };
        let mut items = Vec::new();
        let mut next = path.to_owned();
        loop {
            let page = self.ok(&next).await;
            items.extend(page["items"].as_array().unwrap().iter().cloned());
            assert!(items.len() < 10_000, "{path} does not end");
            match page["next_cursor"].as_str() {
                Some(cursor) => next = format!("{path}{joint}cursor={cursor}"),
                None => return items,
            }
        }
    }

    pub(crate) async fn until_applied(&self, event: &WalletEvent) {
        let path = format!(
            "/wallets/{}/history?limit=1&min_sequence={}&wait_ms=30000",
            event.wallet_id, event.sequence
        );
        eventually("the event is applied", SOON, || async {
            (self.get(&path).await.0 == 200).then_some(())
        })
        .await;
    }
}

impl Drop for Instance {
    /// A test that fails would otherwise wait for ever for its instance's threads.
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// One request with a token, or without one; with a JSON body when it is no `GET`.
pub(crate) async fn asked(
    address: SocketAddr,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: &Value,
) -> (u16, Value) {
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n");
    if let Some(token) = token {
        request.push_str(&format!("authorization: Bearer {token}\r\n"));
    }
    if method != "GET" {
        let body = body.to_string();
        let length = body.len();
        request.push_str(&format!(
            "content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        ));
    } else {
        request.push_str("\r\n");
    }
    ask(address, request).await.unwrap()
}

/// One request on a connection of its own.
pub(crate) async fn get(address: SocketAddr, path: &str) -> std::io::Result<(u16, Value)> {
    ask(
        address,
        format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n"),
    )
    .await
}

/// The same with header lines, each with its end.
pub(crate) async fn get_with(
    address: SocketAddr,
    path: &str,
    headers: &str,
) -> std::io::Result<(u16, Value)> {
    ask(
        address,
        format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{headers}\r\n"),
    )
    .await
}

/// A `POST` of a JSON body, or of none at all.
pub(crate) async fn post(
    address: SocketAddr,
    path: &str,
    body: Option<&Value>,
) -> std::io::Result<(u16, Value)> {
    post_with(address, path, "", body).await
}

/// The same with header lines, each with its end.
pub(crate) async fn post_with(
    address: SocketAddr,
    path: &str,
    headers: &str,
    body: Option<&Value>,
) -> std::io::Result<(u16, Value)> {
    let body = body.map_or_else(String::new, |body| {
        let body = body.to_string();
        format!(
            "content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    });
    let end = if body.is_empty() { "\r\n" } else { "" };
    ask(
        address,
        format!("POST {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{headers}{body}{end}"),
    )
    .await
}

async fn ask(address: SocketAddr, request: String) -> std::io::Result<(u16, Value)> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    while stream.read_buf(&mut bytes).await? > 0 && !is_of_a_stream(&bytes) {}
    let answer = String::from_utf8(bytes).map_err(std::io::Error::other)?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or_default();
    let is_in_chunks = head
        .to_ascii_lowercase()
        .contains("\r\ntransfer-encoding: chunked");
    let body = if is_of_a_stream(answer.as_bytes()) {
        String::new()
    } else if is_in_chunks {
        joined(body.as_bytes()).ok_or(std::io::ErrorKind::UnexpectedEof)?
    } else {
        body.to_owned()
    };
    Ok((
        status,
        serde_json::from_str(&body).unwrap_or(Value::String(body)),
    ))
}

/// A stream has no end: its head says that it is one.
fn is_of_a_stream(answer: &[u8]) -> bool {
    let head = String::from_utf8_lossy(&answer[..answer.len().min(1_024)]);
    let head = head.split_once("\r\n\r\n");
    head.is_some_and(|(head, _)| head.contains("\r\ncontent-type: text/event-stream"))
}

/// The body that chunks make; none without the one that ends it.
fn joined(mut chunks: &[u8]) -> Option<String> {
    let mut body = Vec::new();
    loop {
        let end = chunks.windows(2).position(|pair| pair == b"\r\n")?;
        let length = std::str::from_utf8(&chunks[..end]).ok()?;
        let length = usize::from_str_radix(length, 16).ok()?;
        if length == 0 {
            return String::from_utf8(body).ok();
        }
        body.extend_from_slice(chunks.get(end + 2..end + 2 + length)?);
        chunks = chunks.get(end + 2 + length + 2..)?;
    }
}

pub(crate) fn numbers(items: &[Value]) -> Vec<i64> {
    items
        .iter()
        .map(|item| item["sequence"].as_i64().unwrap())
        .collect()
}
