//! Where each partition goes on.

use std::collections::BTreeMap;

use sqlx::PgConnection;

/// One step of a partition's offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Advance {
    pub partition: i32,
    /// What the database has to hold now; anything else is the work of another consumer.
    pub expected: i64,
    pub next: i64,
}

/// Where each partition goes on. Partitions seen for the first time get a row, so that [`advance_offsets`] always has
/// something to compare with.
pub async fn claim_offsets(
    connection: &mut PgConnection,
    topic: &str,
    partitions: &[i32],
) -> sqlx::Result<BTreeMap<i32, i64>> {
    sqlx::query(
        "insert into consumer_offsets (topic, partition, next_offset) \
         select $1, partition, 0 from unnest($2::integer[]) as claimed (partition) \
         on conflict (topic, partition) do nothing",
    )
    .bind(topic)
    .bind(partitions)
    .execute(&mut *connection)
    .await?;
    sqlx::query_as("select partition, next_offset from consumer_offsets where topic = $1 and partition = any ($2)")
        .bind(topic)
        .bind(partitions)
        .fetch_all(connection)
        .await
        .map(BTreeMap::from_iter)
}

/// Moves the offsets, if all are where they are expected. Returns how many were. The rows' locks are held until the
/// transaction ends, so a second consumer of the same partition waits here and then finds them moved.
pub async fn advance_offsets(
    connection: &mut PgConnection,
    topic: &str,
    steps: &[Advance],
) -> sqlx::Result<u64> {
    let partitions: Vec<i32> = steps.iter().map(|step| step.partition).collect();
    let expected: Vec<i64> = steps.iter().map(|step| step.expected).collect();
    let next: Vec<i64> = steps.iter().map(|step| step.next).collect();
    sqlx::query(
        "update consumer_offsets as stored \
         set next_offset = step.next, updated_at = now() \
         from unnest($2::integer[], $3::bigint[], $4::bigint[]) as step (partition, expected, next) \
         where stored.topic = $1 and stored.partition = step.partition and stored.next_offset = step.expected",
    )
    .bind(topic)
    .bind(partitions)
    .bind(expected)
    .bind(next)
    .execute(connection)
    .await
    .map(|done| done.rows_affected())
}
