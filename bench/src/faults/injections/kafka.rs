//! Kafka that is gone, its topic that is gone, and messages in it that are no events.

use std::time::{Duration, Instant};

use anyhow::anyhow;
use rdkafka::{
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    producer::{FutureProducer, FutureRecord},
};
use serde_json::Value;
use shared::server::kafka::KafkaSettings;

use super::processes::history_follows;
use crate::faults::{
    Run, first_after,
    report::{RELAY_RESUMES, Row, WRITES_RESUME},
    series::silence_of_all,
    system::Server,
    wait::until,
};

const TOPIC: &str = "wallet-events";
const PARTITIONS: u16 = 12;
const TOLD_WITHIN: Duration = Duration::from_secs(60);
/// An operator who waits for it lets it run.
const REPUBLISH: [&str; 4] = [
    "republish",
    "--all",
    "--create-topic",
    "--events-per-second=20000",
];
const GONE: &str = "existed and is gone";
const WRITES: &str = "writes, longest pause";

fn settings(run: &Run) -> KafkaSettings {
    KafkaSettings::plain(run.system.stack.brokers(), TOPIC, PARTITIONS)
}

pub(super) async fn broker(run: &mut Run, name: &str) -> anyhow::Result<Row> {
    let mut row = Row::new(name, "`kill -9` of Kafka, started again after 10 s");
    let began = Instant::now();
    run.system.server("kill", Server::Kafka).await?;
    run.hold(10, 5).await;
    run.system.server("start", Server::Kafka).await?;
    let back = Instant::now();
    let writes = silence_of_all(&run.load.shared.writes, began, back);
    row.measure(WRITES, writes, WRITES_RESUME);
    let again = first_after(&run.relayed.further, back).await;
    row.measure_from("events are sent again after", back, again, RELAY_RESUMES);
    run.heal(&mut row, back).await;
    Ok(row)
}

pub(super) async fn topic(run: &mut Run, name: &str) -> anyhow::Result<Row> {
    let mut row = Row::new(name, "the topic deleted with all that it holds");
    let admin: AdminClient<DefaultClientContext> = settings(run).client_config().create()?;
    let began = Instant::now();
    let deleted = admin.delete_topics(&[TOPIC], &AdminOptions::new()).await?;
    for deleted in deleted {
        deleted.map_err(|(_, code)| anyhow!("the topic cannot be deleted: {code}"))?;
    }
    let told = until("the relay says that it is gone", TOLD_WITHIN, async || {
        let [one, other] = &run.system.wallets;
        match one.says(GONE).await {
            Ok(()) => Ok(()),
            Err(_) => other.says(GONE).await,
        }
    });
    let told = told.await.map(|()| Instant::now());
    row.measure_from("the relay says so after", began, told, None);
    run.hold(5, 2).await;
    let ordered = Instant::now();
    row.operator = Some(format!("walletctl {}", REPUBLISH.join(" ")));
    run.system.walletctl(&REPUBLISH).await?;
    let writes = silence_of_all(&run.load.shared.writes, began, Instant::now());
    row.measure(WRITES, writes, WRITES_RESUME);
    run.heal(&mut row, ordered).await;
    Ok(row)
}

pub(super) async fn junk(run: &mut Run, name: &str) -> anyhow::Result<Row> {
    let what = "a tombstone and a message that is no event, under the keys of two wallets";
    let mut row = Row::new(name, what);
    let producer: FutureProducer = settings(run).producer_config().create()?;
    let keys = [0, 1].map(|at| run.load.shared.wallets[at].to_string());
    let began = Instant::now();
    for (key, payload) in keys.iter().zip([None, Some("{no event")]) {
        let record: FutureRecord<'_, str, str> = FutureRecord {
            topic: TOPIC,
            partition: None,
            payload,
            key: Some(key.as_str()),
            timestamp: None,
            headers: None,
        };
        let sent = producer.send(record, TOLD_WITHIN).await;
        sent.map_err(|(error, _)| error)?;
    }
    let found = until("both are in the quarantine", TOLD_WITHIN, async || {
        let open = open(run).await.map_err(|error| format!("{error:#}"))?;
        if open.len() < keys.len() {
            return Err(format!("{} are", open.len()));
        }
        Ok(open)
    })
    .await?;
    history_follows(run, &mut row, began).await;
    let decided = Instant::now();
    row.operator = Some("walletctl quarantine discard, for each".to_owned());
    for id in found {
        let id = id.to_string();
        let reason = "--reason=sent by the fault run";
        let discard = ["quarantine", "discard", &id, reason];
        run.system.walletctl(&discard).await?;
    }
    run.heal(&mut row, decided).await;
    Ok(row)
}

/// The numbers of messages on which nothing was decided.
async fn open(run: &Run) -> anyhow::Result<Vec<i64>> {
    let said = run
        .system
        .walletctl(&["quarantine", "list", "--json"])
        .await?;
    let said: Value = serde_json::from_str(&said)?;
    let items = said["items"].as_array().into_iter().flatten();
    Ok(items.filter_map(|item| item["id"].as_i64()).collect())
}
