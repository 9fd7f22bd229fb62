//! The one connection that writes history, owned by the ingest thread.
//!
//! Nothing here is ever cancelled half-way and used again: a call that fails, or takes too long, costs the connection,
//! and the next one makes a new one. What such a call did or did not commit is found out by the offsets.

use std::{collections::BTreeMap, future::Future, sync::Arc};

use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tokio::runtime::Runtime;

use super::{
    applied::Applied,
    batch::{self, BatchError},
    heads::HeadCache,
    limits::{CALL_TIMEOUT, SERVER_LIMITS},
    message::Message,
    store::{self, Advance, ResumePoint},
};

/// How often a batch is decided anew because a wallet's number was taken meanwhile, before the database is asked where to
/// go on: by then it is no refill of that wallet, but another consumer of its partition.
const HEADS_ATTEMPTS: u32 = 5;

/// How often a message that the database refuses is tried alone before it is set aside: a clash with another writer of
/// the same wallet looks the same the first time.
const ALONE_ATTEMPTS: u32 = 3;

pub(super) struct Writer {
    /// Its own: the thread that waits for the connection is then the one that drives it.
    runtime: Runtime,
    options: PgConnectOptions,
    connection: Option<PgConnection>,
    heads: HeadCache,
    topic: Arc<str>,
}

impl Writer {
    /// `options` say what the planner is told.
    pub(super) fn new(options: PgConnectOptions, topic: Arc<str>) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let options = options.options(SERVER_LIMITS);
        Ok(Self {
            runtime,
            options,
            connection: None,
            heads: HeadCache::default(),
            topic,
        })
    }

    /// Waits on this thread for something that needs a runtime.
    pub(super) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Where the partitions go on. Their last consumer may have moved the heads.
    pub(super) fn claim(
        &mut self,
        partitions: &[i32],
    ) -> Result<BTreeMap<i32, ResumePoint>, BatchError> {
        let topic = Arc::clone(&self.topic);
        self.call(async |connection, heads| {
            *heads = HeadCache::default();
            Ok(store::claim_offsets(connection, &topic, partitions).await?)
        })
    }

    /// Commits a batch, and moves `points` with it. A message that the database refuses does not hold up its
    /// neighbours: the batch is repeated one by one, and the culprit set aside with its bytes.
    pub(super) fn apply(
        &mut self,
        messages: &[Arc<Message>],
        points: &mut BTreeMap<i32, ResumePoint>,
    ) -> Result<Vec<Applied>, BatchError> {
        match self.apply_together(messages, points) {
            Err(BatchError::Unstorable(error)) => {
                tracing::warn!(%error, messages = messages.len(), "a batch is refused by the database, trying one by one");
                messages
                    .iter()
                    .map(|message| self.apply_alone(message, points))
                    .collect()
            }
            done => done.map(|applied| vec![applied]),
        }
    }

    /// Asks for a comparison of all wallets with the ledger: messages are gone.
    pub(super) fn compare_all(&mut self) -> Result<(), BatchError> {
        self.call(async |connection, _| {
            let reason = "messages are gone from the topic";
            store::orders::request_rebuild(connection, reason, "history-service").await?;
            Ok(())
        })
    }

    /// Moves a partition to where it begins, with a comparison of all wallets asked for before.
    pub(super) fn restart(
        &mut self,
        partition: i32,
        expected: i64,
        first: i64,
    ) -> Result<(), BatchError> {
        self.compare_all()?;
        let topic = Arc::clone(&self.topic);
        self.call(async |connection, _| {
            if store::restart_offset(connection, &topic, partition, expected, first).await? {
                Ok(())
            } else {
                Err(BatchError::Overtaken)
            }
        })
    }

    /// Asks whether the database takes writes.
    pub(super) fn probe(&mut self) -> Result<(), BatchError> {
        self.call(async |connection, _| {
            if store::takes_writes(connection).await? {
                return Ok(());
            }
            let read_only = std::io::ErrorKind::ReadOnlyFilesystem;
            Err(BatchError::Unavailable(sqlx::Error::Io(read_only.into())))
        })
    }

    fn apply_together(
        &mut self,
        messages: &[Arc<Message>],
        points: &mut BTreeMap<i32, ResumePoint>,
    ) -> Result<Applied, BatchError> {
        self.commit(messages, points, async |connection, heads, topic, steps| {
            batch::apply(connection, heads, topic, messages, steps).await
        })
    }

    fn apply_alone(
        &mut self,
        message: &Arc<Message>,
        points: &mut BTreeMap<i32, ResumePoint>,
    ) -> Result<Applied, BatchError> {
        let alone = std::slice::from_ref(message);
        let mut attempt = 1;
        let refused = loop {
            let applied = self.commit(alone, points, async |connection, heads, topic, steps| {
                batch::apply_alone(connection, heads, topic, message, steps).await
            });
            match applied {
                Err(BatchError::Unstorable(error)) if attempt == ALONE_ATTEMPTS => break error,
                Err(BatchError::Unstorable(_)) => attempt += 1,
                done => return done,
            }
        };
        let detail = refused.to_string();
        self.commit(alone, points, async |connection, heads, topic, steps| {
            batch::set_aside(connection, heads, topic, message, detail.clone(), steps).await
        })
    }

    /// Commits what `work` makes of messages, and moves `points` behind them. It is done anew while wallets move.
    fn commit(
        &mut self,
        messages: &[Arc<Message>],
        points: &mut BTreeMap<i32, ResumePoint>,
        mut work: impl AsyncFnMut(
            &mut PgConnection,
            &mut HeadCache,
            &str,
            &[Advance],
        ) -> Result<Applied, BatchError>,
    ) -> Result<Applied, BatchError> {
        let topic = Arc::clone(&self.topic);
        let steps = steps(messages, points);
        let mut attempt = 1;
        let applied = loop {
            match self.call(async |connection, heads| work(connection, heads, &topic, &steps).await)
            {
                Err(BatchError::HeadsMoved) if attempt < HEADS_ATTEMPTS => attempt += 1,
                done => break done?,
            }
        };
        let moved = steps
            .iter()
            .map(|step| (step.partition, step.resume_point()));
        points.extend(moved);
        Ok(applied)
    }

    fn call<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut PgConnection, &mut HeadCache) -> Result<T, BatchError>,
    ) -> Result<T, BatchError> {
        let (options, slot, heads) = (&self.options, &mut self.connection, &mut self.heads);
        let call = async {
            let mut connection = match slot.take() {
                Some(connection) => connection,
                None => PgConnection::connect_with(options).await?,
            };
            let result = work(&mut connection, heads).await;
            if !matches!(result, Err(BatchError::Unavailable(_))) {
                *slot = Some(connection);
            }
            result
        };
        let timed_out =
            |_| BatchError::Unavailable(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()));
        // Inside the runtime: a timeout needs its timer when it is made.
        self.runtime
            .block_on(async { tokio::time::timeout(CALL_TIMEOUT, call).await })
            .map_err(timed_out)?
    }
}

/// How far a batch moves each partition. By arrival, not by the largest offset: a topic that was made again counts from
/// 0, and then the way forward is back.
fn steps(messages: &[Arc<Message>], points: &BTreeMap<i32, ResumePoint>) -> Vec<Advance> {
    let mut last = BTreeMap::new();
    for message in messages {
        last.insert(message.position.partition, message);
    }
    last.into_iter()
        .map(|(partition, last)| Advance {
            partition,
            expected: points.get(&partition).map_or(0, |point| point.next_offset),
            next: last.position.offset.saturating_add(1),
            previous: last.identity(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::samples::{Chain, message};

    fn at(next_offset: i64) -> ResumePoint {
        ResumePoint {
            next_offset,
            previous: None,
        }
    }

    #[test]
    fn a_batch_moves_its_partition_to_behind_its_last_message() {
        let journal = Chain::new("alice").journal(2);
        let messages = [
            Arc::new(message(&journal[0], 7)),
            Arc::new(message(&journal[1], 8)),
        ];
        let points = BTreeMap::from([(0, at(7)), (1, at(3))]);
        assert_eq!(
            steps(&messages, &points),
            [Advance {
                partition: 0,
                expected: 7,
                next: 9,
                previous: messages[1].identity(),
            }]
        );
    }

    #[test]
    fn a_topic_that_was_made_again_moves_its_partition_back() {
        let journal = Chain::new("alice").journal(1);
        let points = BTreeMap::from([(0, at(900))]);
        let first = Arc::new(message(&journal[0], 0));
        assert_eq!(
            steps(std::slice::from_ref(&first), &points),
            [Advance {
                partition: 0,
                expected: 900,
                next: 1,
                previous: first.identity(),
            }]
        );
    }
}
