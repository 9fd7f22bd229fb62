//! Where each partition goes on.

use std::collections::BTreeMap;

use shared::{Hash, Timestamp};
use sqlx::{PgConnection, PgPool};

/// Where a partition goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ResumePoint {
    pub next_offset: i64,
    /// The identity of the message before that one; none when nothing is known of it.
    pub previous: Option<Hash>,
}

/// One step of a partition's offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Advance {
    pub partition: i32,
    /// What the database has to hold now; anything else is the work of another consumer.
    pub expected: i64,
    pub next: i64,
    /// The identity of the message before `next`.
    pub previous: Hash,
}

impl Advance {
    /// Where the partition goes on after this step.
    pub const fn resume_point(&self) -> ResumePoint {
        ResumePoint {
            next_offset: self.next,
            previous: Some(self.previous),
        }
    }
}

/// Where each partition goes on. Partitions seen for the first time get a row, so that [`advance_offsets`] always has
/// something to compare with.
pub async fn claim_offsets(
    connection: &mut PgConnection,
    topic: &str,
    partitions: &[i32],
) -> sqlx::Result<BTreeMap<i32, ResumePoint>> {
    sqlx::query(
        "insert into consumer_offsets (topic, partition, next_offset) \
         select $1, partition, 0 from unnest($2::integer[]) as claimed (partition) \
         on conflict (topic, partition) do nothing",
    )
    .bind(topic)
    .bind(partitions)
    .execute(&mut *connection)
    .await?;
    let rows: Vec<(i32, i64, Option<Hash>)> = sqlx::query_as(
        "select partition, next_offset, previous_hash from consumer_offsets \
         where topic = $1 and partition = any ($2)",
    )
    .bind(topic)
    .bind(partitions)
    .fetch_all(connection)
    .await?;
    let point = |(partition, next_offset, previous)| {
        let point = ResumePoint {
            next_offset,
            previous,
        };
        (partition, point)
    };
    Ok(rows.into_iter().map(point).collect())
}

/// The next offset of every partition that was ever claimed.
pub(in crate::ingest) async fn next_offsets(
    pool: &PgPool,
    topic: &str,
) -> sqlx::Result<BTreeMap<i32, i64>> {
    let rows: Vec<(i32, i64)> =
        sqlx::query_as("select partition, next_offset from consumer_offsets where topic = $1")
            .bind(topic)
            .fetch_all(pool)
            .await?;
    Ok(rows.into_iter().collect())
}

/// A partition whose offset was moved.
#[derive(Clone, Copy, PartialEq, Eq, Debug, sqlx::FromRow)]
pub struct Moved {
    pub partition: i32,
    /// How often events were set aside so far ([`super::set_events_aside`]).
    pub set_asides: i64,
    /// When the transaction began, which is what rows that it inserts say as well.
    pub at: Timestamp,
}

/// Moves the offsets, if all are where they are expected. Returns those that were. The rows' locks are held until the transaction ends, so a second consumer
/// of the same partition waits here and then finds them moved, and nothing is set aside meanwhile.
pub async fn advance_offsets(
    connection: &mut PgConnection,
    topic: &str,
    steps: &[Advance],
) -> sqlx::Result<Vec<Moved>> {
    let partitions: Vec<i32> = steps.iter().map(|step| step.partition).collect();
    let expected: Vec<i64> = steps.iter().map(|step| step.expected).collect();
    let next: Vec<i64> = steps.iter().map(|step| step.next).collect();
    let previous: Vec<Hash> = steps.iter().map(|step| step.previous).collect();
    sqlx::query_as(
        "update consumer_offsets as stored \
         set next_offset = step.next, previous_hash = step.previous, updated_at = now() \
         from unnest($2::integer[], $3::bigint[], $4::bigint[], $5::bytea[]) \
              as step (partition, expected, next, previous) \
         where stored.topic = $1 and stored.partition = step.partition and stored.next_offset = step.expected \
         returning stored.partition, stored.set_asides, stored.updated_at as at",
    )
    .bind(topic)
    .bind(partitions)
    .bind(expected)
    .bind(next)
    .bind(previous)
    .fetch_all(connection)
    .await
}

/// Moves an offset to where its partition begins, if it is where it is expected. Says whether it was.
pub(in crate::ingest) async fn restart_offset(
    connection: &mut PgConnection,
    topic: &str,
    partition: i32,
    expected: i64,
    first: i64,
) -> sqlx::Result<bool> {
    sqlx::query(
        "update consumer_offsets set next_offset = $4, previous_hash = null, updated_at = now() \
         where topic = $1 and partition = $2 and next_offset = $3",
    )
    .bind(topic)
    .bind(partition)
    .bind(expected)
    .bind(first)
    .execute(connection)
    .await
    .map(|done| done.rows_affected() == 1)
}

/// Whether the database takes writes now.
pub async fn takes_writes(connection: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "select not (pg_is_in_recovery() or current_setting('transaction_read_only')::boolean)",
    )
    .fetch_one(connection)
    .await
}
