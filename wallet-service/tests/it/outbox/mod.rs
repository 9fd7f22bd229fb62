//! The relay on real servers: in order, complete, and patient while Kafka is away.

mod bound;
mod broker;
mod broker_proxy;
mod deletion;
mod large;
mod lease;
mod once;
mod republish;
mod stop;
mod topic;
mod unreadable;

use std::{collections::HashMap, sync::Arc, time::Duration};

use rdkafka::{
    Message,
    consumer::{BaseConsumer, Consumer},
    message::{BorrowedMessage, Headers},
};
use serde_json::Value;
use shared::{
    Sequence, WalletId,
    event::WalletEvent,
    server::{
        health::Health,
        kafka::KafkaSettings,
        tasks::{Supervisor, Task},
    },
    testing::{TestDatabase, eventually, free_port, kafka_brokers, patience, unique_topic},
};
use sqlx::postgres::PgConnectOptions;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use wallet_service::{
    config::PLANNER,
    outbox::{
        MessageLimit, Outbox, OutboxMetrics,
        republish::{Republication, Republish, Target},
    },
};

use crate::ledger::{DEADLINE, Instance, SCHEMA, count, fund, transfer};

struct RunningRelay {
    health: Health,
    shutdown: CancellationToken,
    tasks: Vec<Task>,
    limit: MessageLimit,
    republish: Republish,
    _supervisor: Supervisor,
}

impl RunningRelay {
    fn start(database: &TestDatabase, kafka: &KafkaSettings) -> Self {
        Self::start_on(database.options(), kafka)
    }

    fn start_on(database: PgConnectOptions, kafka: &KafkaSettings) -> Self {
        Self::start_with(database, kafka, true)
    }

    fn start_with(database: PgConnectOptions, kafka: &KafkaSettings, relay_enabled: bool) -> Self {
        let (health, shutdown) = (Health::new(), CancellationToken::new());
        let (supervisor, limit) = (Supervisor::default(), MessageLimit::unknown());
        let database = PLANNER.pin_writer(database);
        let republish = Republish::new(database.clone(), kafka.topic.clone());
        let outbox = Outbox {
            database,
            kafka: kafka.clone(),
            relay_enabled,
            filled: Arc::new(Notify::new()),
            limit: limit.clone(),
            republish: republish.clone(),
            metrics: OutboxMetrics::default(),
        };
        let tasks = outbox.start(&supervisor, &health, &shutdown);
        Self {
            health,
            shutdown,
            tasks,
            limit,
            republish,
            _supervisor: supervisor,
        }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        for task in self.tasks {
            tokio::time::timeout(patience(DEADLINE), task.end())
                .await
                .unwrap()
                .unwrap();
        }
    }

    /// Ends it without a word, as a crash would.
    async fn kill(self) {
        for task in self.tasks {
            task.end_within(Duration::ZERO).await.unwrap();
        }
    }

    async fn component(&self, name: &str) -> Value {
        let report = serde_json::to_value(self.health.report().await).unwrap();
        report["components"][name].clone()
    }

    /// The reason that a component gives, when it contains this.
    async fn says(&self, component: &str, said: &str) -> Option<String> {
        let component = self.component(component).await;
        let reason = component["reason"].as_str()?;
        reason.contains(said).then(|| reason.to_owned())
    }

    /// Waits until a component gives a reason that contains this.
    async fn until_said(&self, component: &str, said: &str) -> String {
        eventually(said, DEADLINE, async || self.says(component, said).await).await
    }

    async fn until_well(&self) {
        eventually("health is well", DEADLINE, async || {
            let report = serde_json::to_value(self.health.report().await).unwrap();
            (report["status"] == "ok").then_some(())
        })
        .await;
    }
}

async fn rows(database: &TestDatabase) -> i64 {
    count(database, "select count(*) from outbox").await
}

pub(crate) async fn events(database: &TestDatabase) -> usize {
    usize::try_from(count(database, "select count(*) from wallet_events").await).unwrap()
}

/// Every event stands in the topic, and stands there once.
async fn assert_sent_once(database: &TestDatabase, kafka: &KafkaSettings) {
    let events = events(database).await;
    let sent = read_topic(kafka, events).await;
    assert_eq!((sent.len(), assert_in_order(&sent)), (events, events));
}

pub(crate) async fn until_sent(database: &TestDatabase) {
    eventually("the outbox is empty", DEADLINE, async || {
        (count(database, "select count(*) from outbox").await == 0).then_some(())
    })
    .await;
}

/// Everything in the topic, from its beginning.
pub(crate) async fn read_topic(kafka: &KafkaSettings, at_least: usize) -> Vec<Sent> {
    let config = kafka.consumer_config("reader");
    let topic = kafka.topic.clone();
    let partitions = i32::from(kafka.partitions);
    let reading = tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = config.create().unwrap();
        let mut assignment = rdkafka::TopicPartitionList::new();
        for partition in 0..partitions {
            assignment
                .add_partition_offset(&topic, partition, rdkafka::Offset::Beginning)
                .unwrap();
        }
        consumer.assign(&assignment).unwrap();
        let mut sent = Vec::new();
        // Once enough were read, a quiet second means that there are no more.
        let deadline = patience(DEADLINE);
        while let Some(message) = consumer.poll(if sent.len() < at_least {
            deadline
        } else {
            Duration::from_secs(1)
        }) {
            if let Ok(message) = message {
                sent.push(Sent::of(&message));
            }
        }
        sent
    });
    reading.await.unwrap()
}

#[derive(Debug)]
pub(crate) struct Sent {
    key: String,
    headers: HashMap<String, String>,
    event: WalletEvent,
    json: Vec<u8>,
}

impl Sent {
    fn of(message: &BorrowedMessage<'_>) -> Self {
        let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
        let headers = message.headers().unwrap().iter();
        Self {
            key: text(message.key()),
            headers: headers
                .map(|header| (header.key.to_owned(), text(header.value)))
                .collect(),
            event: WalletEvent::from_json(message.payload().unwrap()).unwrap(),
            json: message.payload().unwrap().to_vec(),
        }
    }
}

/// Each wallet's events stand in the topic in order, complete; a repetition is allowed, a gap or a swap is not.
pub(crate) fn assert_in_order(sent: &[Sent]) -> usize {
    let mut heads: HashMap<WalletId, Sequence> = HashMap::new();
    for Sent { event, .. } in sent {
        let head = heads.entry(event.wallet_id).or_insert(Sequence::ZERO);
        assert!(
            event.sequence <= head.next(),
            "{} came after {head}",
            event.sequence
        );
        *head = (*head).max(event.sequence);
    }
    heads
        .values()
        .map(|head| usize::try_from(head.get()).unwrap())
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_reach_kafka_in_order_with_their_headers_and_leave_the_outbox() {
    let database = TestDatabase::create(SCHEMA).await;
    let kafka = KafkaSettings::plain(kafka_brokers(), unique_topic("relay"), 3);
    let instance = Instance::start(database.options(), 0);
    let alice = instance.funded_wallet("alice", "100.00").await;
    let bob = instance.create_wallet("bob").await;
    let relay = RunningRelay::start(&database, &kafka);
    for _ in 0..50 {
        instance.accept(transfer(alice, bob, "1.00")).await;
    }
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut traced = fund(bob, "1.00");
    traced.traceparent = Some(traceparent.to_owned());
    let receipt = instance.accept(traced).await;
    until_sent(&database).await;
    relay.stop().await;

    let events =
        usize::try_from(count(&database, "select count(*) from wallet_events").await).unwrap();
    let sent = read_topic(&kafka, events).await;
    assert_eq!((sent.len(), assert_in_order(&sent)), (events, events));
    assert!(
        sent.iter()
            .all(|sent| sent.key == sent.event.wallet_id.to_string()
                && sent.json == sent.event.to_json())
    );
    let last = sent
        .iter()
        .find(|sent| sent.event.wallet_id == bob && sent.event.sequence == receipt.wallet.version);
    let Sent { headers, event, .. } = last.unwrap();
    let expected = [
        ("content-type", "application/json".to_owned()),
        ("ce_specversion", "1.0".to_owned()),
        ("ce_id", event.event_id.to_string()),
        ("ce_source", "/wallet-service".to_owned()),
        ("ce_type", "wallet.funded".to_owned()),
        ("ce_subject", bob.to_string()),
        ("ce_time", event.occurred_at.to_string()),
        ("ce_partitionkey", bob.to_string()),
        ("ce_sequence", format!("{:020}", event.sequence.get())),
        ("traceparent", traceparent.to_owned()),
    ];
    for (name, value) in expected {
        assert_eq!(headers.get(name), Some(&value), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_kafka_is_away_the_outbox_grows_and_health_says_why() {
    let database = TestDatabase::create(SCHEMA).await;
    let nobody = format!("127.0.0.1:{}", free_port());
    let away = KafkaSettings::plain(nobody, unique_topic("away"), 3);
    let relay = RunningRelay::start(&database, &away);
    let instance = Instance::start(database.options(), 0);
    let alice = instance.funded_wallet("alice", "100.00").await;
    relay.until_said("kafka", "events wait in the outbox").await;
    eventually("health says how much", DEADLINE, async || {
        let outbox = relay.component("outbox").await;
        (outbox["outbox_events"].as_i64()? >= 4).then_some(())
    })
    .await;
    relay.stop().await;

    let back = KafkaSettings {
        brokers: kafka_brokers(),
        ..away
    };
    let relay = RunningRelay::start(&database, &back);
    instance.accept(fund(alice, "1.00")).await;
    until_sent(&database).await;
    relay.until_well().await;
    relay.stop().await;
    let events =
        usize::try_from(count(&database, "select count(*) from wallet_events").await).unwrap();
    assert_eq!(assert_in_order(&read_topic(&back, events).await), events);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_relay_waits_until_the_first_is_gone() {
    let database = TestDatabase::create(SCHEMA).await;
    let kafka = KafkaSettings::plain(kafka_brokers(), unique_topic("two"), 3);
    let instance = Instance::start(database.options(), 0);
    let alice = instance.funded_wallet("alice", "1.00").await;
    let (first, second) = (
        RunningRelay::start(&database, &kafka),
        RunningRelay::start(&database, &kafka),
    );
    until_sent(&database).await;
    // Whichever leads: the other takes over, or goes on.
    first.kill().await;
    for _ in 0..20 {
        instance.accept(fund(alice, "1.00")).await;
    }
    until_sent(&database).await;
    second.stop().await;
    let events =
        usize::try_from(count(&database, "select count(*) from wallet_events").await).unwrap();
    assert_eq!(assert_in_order(&read_topic(&kafka, events).await), events);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_becomes_visible_late_is_sent_too() {
    let database = TestDatabase::create(SCHEMA).await;
    let kafka = KafkaSettings::plain(kafka_brokers(), unique_topic("late"), 1);
    let instance = Instance::start(database.options(), 0);
    // Two real rows, put back so that the first becomes visible after the second was sent.
    instance.create_wallet("early").await;
    instance.create_wallet("late").await;
    let mut slow = database.pool().acquire().await.unwrap();
    sqlx::raw_sql(
        "begin; create temporary table kept as select * from outbox order by id limit 1; commit",
    )
    .execute(&mut *slow)
    .await
    .unwrap();
    sqlx::query("delete from outbox where id in (select id from kept)")
        .execute(&mut *slow)
        .await
        .unwrap();
    let insert =
        "begin; insert into outbox (id, entries, event_count, created_at) overriding system value
                  select id, entries, event_count, created_at from kept";
    sqlx::raw_sql(insert).execute(&mut *slow).await.unwrap();
    let relay = RunningRelay::start(&database, &kafka);
    until_sent(&database).await;
    sqlx::raw_sql("commit").execute(&mut *slow).await.unwrap();
    until_sent(&database).await;
    relay.stop().await;
    assert_eq!(read_topic(&kafka, 2).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_while_ids_may_be_drawn_out_of_order() {
    let database = TestDatabase::create(SCHEMA).await;
    let kafka = KafkaSettings::plain(kafka_brokers(), unique_topic("sequence"), 1);
    let alter = async |to: &'static str| {
        sqlx::query(to).execute(database.pool()).await.unwrap();
    };
    alter("alter sequence outbox_id_seq cache 32").await;
    let instance = Instance::start(database.options(), 0);
    instance.create_wallet("alice").await;
    let relay = RunningRelay::start(&database, &kafka);
    let reason = relay
        .until_said("kafka", "a session draws 32 at once")
        .await;
    let mends = "alter sequence outbox_id_seq increment 1 cache 1 no cycle";
    assert!(reason.contains(mends), "{reason}");
    assert_eq!(count(&database, "select count(*) from outbox").await, 1);

    alter("alter sequence outbox_id_seq increment 1 cache 1 no cycle").await;
    until_sent(&database).await;
    // The same when it happens while the relay works.
    alter("alter sequence outbox_id_seq cycle").await;
    relay.until_said("kafka", "begin again at the end").await;
    relay.stop().await;
}
