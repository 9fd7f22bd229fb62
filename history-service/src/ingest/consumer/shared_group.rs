//! Whether the group is used by another history database, too: then each gets a part of the partitions only, and both
//! miss the events of the others.
//!
//! An offset is shown to Kafka after it is committed in Postgres, so what the group shows is never ahead of the database
//! that its members write. Where it is ahead, and stays so, a member writes another database. As offsets are compared, and
//! no names, a copy of a database is told from its original, and a standby that took over is still the same one.
//!
//! The same look tells how far this database is behind the topic ([`super::lag`]).
//!
//! It has a client of its own, which never joins the group: looking holds up nothing.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaResult,
};
use shared::server::{
    health::{Health, Probe},
    kafka::KafkaSettings,
    outage::Outage,
};
use sqlx::PgPool;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::{group::Group, lag::LagWatch};
use crate::{ingest::store, progress::Progress};

const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Longer than a partition may be without a consumer of ours to show where this database is: after a restart with another
/// database, the group may show for a while where the last one was.
const LOOKS_AHEAD: u32 = 4;
const KAFKA_TIMEOUT: Duration = Duration::from_secs(2);
/// Errors that the client keeps until they are read; nothing else comes.
const ERRORS_MAX: usize = 1_000;
const REASON: &str = "another history database uses the same KAFKA_GROUP: each gets a part of the events only. Give \
                      each database a group of its own; what was missed is read then";

/// The task that looks.
pub struct GroupWatch {
    kafka: KafkaSettings,
    group: String,
    pool: PgPool,
    probe: Probe,
    client: Option<Arc<BaseConsumer<Group>>>,
    /// How many looks in a row found the group ahead of the database.
    ahead: u32,
    outage: Outage,
    lag: LagWatch,
    /// Which message of each partition the database wanted next, when it was asked last.
    stored: BTreeMap<i32, i64>,
    progress: Arc<Progress>,
}

impl GroupWatch {
    /// Reports to `health` as `group`, which never makes the process unready.
    pub fn new(
        kafka: KafkaSettings,
        group: String,
        pool: PgPool,
        progress: Arc<Progress>,
        health: &Health,
    ) -> Self {
        let probe = health.component("group");
        probe.ok();
        Self {
            kafka,
            group,
            pool,
            probe,
            client: None,
            ahead: 0,
            outage: Outage::new("the consumer group is used by another history database, too"),
            lag: LagWatch::default(),
            stored: BTreeMap::new(),
            progress,
        }
    }

    /// Looks until `stop`. Where Kafka or Postgres does not answer, what was known stays.
    pub async fn run(mut self, stop: CancellationToken) {
        let looking = async {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                match self.partitions_ahead().await {
                    Ok(partitions) => self.judge(&partitions),
                    Err(error) => tracing::debug!(%error, "the group could not be looked at"),
                }
            }
        };
        let _: Option<()> = stop.run_until_cancelled(looking).await;
        // Its threads may be waiting for a broker.
        let client = self.client.take();
        drop(spawn_blocking(move || drop(client)).await);
    }

    /// The partitions that the group has read further than this database.
    async fn partitions_ahead(&mut self) -> anyhow::Result<Vec<i32>> {
        let client = match &self.client {
            Some(client) => Arc::clone(client),
            None => {
                let config = self.kafka.consumer_config(&self.group);
                let client = Arc::new(config.create_with_context(Group::default())?);
                Arc::clone(self.client.insert(client))
            }
        };
        let topic = self.kafka.topic.clone();
        // Before the database: what is shown later may be of a batch that was committed later.
        let Offsets { shown, ends } = spawn_blocking(move || offsets(&client, &topic)).await??;
        let stored = store::next_offsets(&self.pool, &self.kafka.topic).await;
        if let Ok(stored) = &stored {
            self.stored.clone_from(stored);
        }
        // Also while the database is away: what comes meanwhile is missing there.
        let lag = self.lag.look(&ends, &self.stored, Instant::now());
        self.progress.metrics().lag(lag);
        self.progress.topic_ends_at(ends);
        let stored = stored?;
        let ahead = shown
            .into_iter()
            .filter(|(partition, shown)| *shown > stored.get(partition).copied().unwrap_or(0));
        Ok(ahead.map(|(partition, _)| partition).collect())
    }

    fn judge(&mut self, partitions: &[i32]) {
        if partitions.is_empty() {
            self.ahead = 0;
            self.outage.worked();
            self.probe.ok();
            return;
        }
        self.ahead = self.ahead.saturating_add(1);
        if self.ahead >= LOOKS_AHEAD {
            self.outage
                .failed_with(&format!("partitions {partitions:?} are read by it"));
            self.probe.degraded(REASON);
        }
    }
}

/// Of each partition.
#[derive(Default)]
struct Offsets {
    /// Where the group is, by what its members have shown.
    shown: BTreeMap<i32, i64>,
    /// Where the topic ends.
    ends: BTreeMap<i32, i64>,
}

/// Asks Kafka. Blocks.
fn offsets(client: &BaseConsumer<Group>, topic: &str) -> KafkaResult<Offsets> {
    for _ in 0..ERRORS_MAX {
        if client.poll(Duration::ZERO).is_none() {
            break;
        }
    }
    let metadata = client.fetch_metadata(Some(topic), KAFKA_TIMEOUT)?;
    let mut list = TopicPartitionList::new();
    for seen in metadata.topics().iter().filter(|seen| seen.name() == topic) {
        for partition in seen.partitions() {
            list.add_partition(topic, partition.id());
        }
    }
    if list.count() == 0 {
        return Ok(Offsets::default());
    }
    let shown = client.committed_offsets(list, KAFKA_TIMEOUT)?;
    let mut offsets = Offsets::default();
    for element in shown.elements() {
        let partition = element.partition();
        if let Offset::Offset(offset) = element.offset() {
            offsets.shown.insert(partition, offset);
        }
        let (_, end) = client.fetch_watermarks(topic, partition, KAFKA_TIMEOUT)?;
        offsets.ends.insert(partition, end);
    }
    Ok(offsets)
}
