//! Every statement that looks at the ingest from outside. Reads only.

use shared::page::Limit;
use sqlx::PgPool;

use super::model::{Partition, Quarantined};

pub(super) async fn list_partitions(pool: &PgPool) -> sqlx::Result<Vec<Partition>> {
    sqlx::query_as(
        "select topic, partition, next_offset, updated_at from consumer_offsets order by topic, partition",
    )
    .fetch_all(pool)
    .await
}

/// Parked events and quarantined messages, in this order. Both are few, or an operator has to act.
pub(super) async fn count_set_aside(pool: &PgPool) -> sqlx::Result<(i64, i64)> {
    sqlx::query_as("select (select count(*) from parked_events), (select count(*) from quarantine)")
        .fetch_one(pool)
        .await
}

pub(super) async fn list_quarantined(
    pool: &PgPool,
    before: Option<i64>,
    limit: Limit,
) -> sqlx::Result<Vec<Quarantined>> {
    sqlx::query_as(
        "select id, topic, partition, \"offset\", reason, detail, wallet_id, sequence, \
                substring(key for 100) as key, coalesce(octet_length(value), 0)::bigint as value_bytes, \
                coalesce(substring(value for 500), '') as value_preview, recorded_at \
         from quarantine \
         where id < coalesce($1, 9223372036854775807) \
         order by id desc \
         limit $2",
    )
    .bind(before)
    .bind(limit.with_lookahead())
    .fetch_all(pool)
    .await
}
