//! The ingest thread: polls Kafka, applies in batches, and never stops polling while it waits for Postgres.
//!
//! It promises that the offsets in Postgres are the only ones that count: they are read when partitions are assigned and
//! moved in the transaction that writes the rows. A batch is kept until it is committed, so an outage of Postgres skips
//! nothing; an outage of Kafka is waited out. The thread ends only when it is told to.
//!
//! - [`session`]: the loop of one membership. [`membership`]: its client of Kafka. [`group`]: Kafka's callbacks.
//! - [`positions`]: whether the topic still is the one that was read.
//! - [`lag`]: how far the database is behind the topic.
//! - [`shared_group`]: whether another database's consumers are in the group.

mod group;
mod lag;
mod membership;
mod positions;
mod session;
mod shared_group;
mod trace;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use shared::server::{
    backoff::Backoff,
    kafka::{KafkaSettings, look_at_topic},
    outage::{Outage, chain},
};
use sqlx::postgres::PgConnectOptions;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::writer::Writer;
use crate::progress::Progress;
use membership::Membership;
use session::{End, Session};
pub use shared_group::GroupWatch;

/// Between two attempts to join the group: a brief hitch costs little, and a Kafka that is starting is left alone.
const RESTART_MIN: Duration = Duration::from_millis(250);
const RESTART_MAX: Duration = Duration::from_secs(15);
/// A membership that lasted this long was a good one: what ends it begins anew.
const LASTED: Duration = Duration::from_secs(60);
const TOPIC_TIMEOUT: Duration = Duration::from_secs(5);

/// The whole ingest, ready to run.
pub struct Ingest {
    kafka: KafkaSettings,
    group: String,
    database: PgConnectOptions,
    progress: Arc<Progress>,
    shutdown: CancellationToken,
    outage: Arc<Outage>,
    joining: Outage,
}

impl Ingest {
    pub fn new(
        kafka: KafkaSettings,
        group: String,
        database: PgConnectOptions,
        progress: Arc<Progress>,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            kafka,
            group,
            database,
            progress,
            shutdown,
            outage: Arc::new(Outage::new(
                "Kafka is not available, and is tried until it is",
            )),
            joining: Outage::new("the consumer group cannot be joined, and is tried until it can"),
        }
    }

    /// Blocks its thread until the shutdown; the batch in hand is committed before it returns. Any other end is a
    /// failure of the process.
    ///
    /// # Errors
    /// When the thread cannot have a runtime of its own.
    pub fn run(self) -> std::io::Result<()> {
        let mut writer = Writer::new(self.database.clone(), Arc::from(self.kafka.topic.as_str()))?;
        let mut pauses = Backoff::new(RESTART_MIN, RESTART_MAX);
        while !self.shutdown.is_cancelled() {
            let began = Instant::now();
            match self.session(&mut writer) {
                End::Stopped => break,
                End::Restart(reason) => {
                    self.progress.kafka_degraded(reason);
                    if began.elapsed() >= LASTED {
                        pauses = Backoff::new(RESTART_MIN, RESTART_MAX);
                    }
                    let pause = pauses.next_pause();
                    let cancelled = self.shutdown.cancelled();
                    // Either way out of the pause is fine.
                    drop(writer.block_on(async { timeout(pause, cancelled).await }));
                }
            }
        }
        Ok(())
    }

    /// One membership in the group, from joining to leaving.
    fn session(&self, writer: &mut Writer) -> End {
        // Never made here: wallet-service knows whether it once existed.
        let looking = self
            .shutdown
            .run_until_cancelled(look_at_topic(&self.kafka, TOPIC_TIMEOUT));
        match writer.block_on(looking) {
            None => return End::Stopped,
            // An outage is over when partitions are read again, not when one of the ways there is open.
            Some(Ok(Some(_))) => {}
            Some(Ok(None)) => {
                return End::Restart("the topic does not exist: wallet-service makes it");
            }
            Some(Err(error)) => {
                let refusal = error.refusal();
                match refusal {
                    // What a person has to mend is a line, whatever was wrong before.
                    Some(_) => self.outage.failed(&error),
                    None => self.outage.failed_somehow(&chain(&error)),
                }
                return End::Restart(refusal.unwrap_or("Kafka is not available"));
            }
        }
        let (progress, outage) = (Arc::clone(&self.progress), Arc::clone(&self.outage));
        match Membership::join(&self.kafka, &self.group, progress, outage) {
            Ok(membership) => {
                self.joining.worked();
                Session::new(membership, writer, &self.progress, &self.shutdown).run()
            }
            Err(error) => {
                self.joining.failed(&error);
                End::Restart("the consumer group cannot be joined")
            }
        }
    }
}
