//! Every statement that looks at the projection from outside. Reads only.

use shared::{Sequence, Timestamp, WalletId, page::Limit};
use sqlx::{
    PgPool, Row,
    postgres::PgRow,
    types::chrono::{DateTime, Utc},
};
use uuid::Uuid;

use super::{Partition, Quarantined};

pub(super) async fn list_partitions(pool: &PgPool) -> sqlx::Result<Vec<Partition>> {
    let rows = sqlx::query(
        "select topic, partition, next_offset, updated_at from consumer_offsets order by topic, partition",
    )
    .fetch_all(pool)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Partition {
                topic: row.try_get("topic")?,
                partition: row.try_get("partition")?,
                next_offset: row.try_get("next_offset")?,
                updated_at: moment(row, "updated_at")?,
            })
        })
        .collect()
}

/// Parked events and quarantined messages, in this order. Both are few, or somebody has to act.
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
    let rows = sqlx::query(
        "select id, topic, partition, \"offset\", reason, detail, wallet_id, sequence, \
                substring(key for 100) as key, coalesce(octet_length(value), 0)::bigint as value_bytes, \
                substring(value for 500) as value_preview, recorded_at \
         from quarantine \
         where id < coalesce($1, 9223372036854775807) \
         order by id desc \
         limit $2",
    )
    .bind(before)
    .bind(limit.with_lookahead())
    .fetch_all(pool)
    .await?;
    rows.iter().map(quarantined).collect()
}

fn quarantined(row: &PgRow) -> sqlx::Result<Quarantined> {
    Ok(Quarantined {
        id: row.try_get("id")?,
        topic: row.try_get("topic")?,
        partition: row.try_get("partition")?,
        offset: row.try_get("offset")?,
        reason: row.try_get("reason")?,
        detail: row.try_get("detail")?,
        wallet_id: row
            .try_get::<Option<Uuid>, _>("wallet_id")?
            .map(WalletId::from_uuid),
        sequence: row
            .try_get::<Option<i64>, _>("sequence")?
            .and_then(|number| Sequence::try_from(number).ok()),
        key: readable(row, "key")?,
        value_bytes: row.try_get("value_bytes")?,
        value_preview: readable(row, "value_preview")?.unwrap_or_default(),
        recorded_at: moment(row, "recorded_at")?,
    })
}

fn readable(row: &PgRow, column: &str) -> sqlx::Result<Option<String>> {
    let bytes: Option<&[u8]> = row.try_get(column)?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
}

fn moment(row: &PgRow, column: &str) -> sqlx::Result<Timestamp> {
    row.try_get::<DateTime<Utc>, _>(column).map(Timestamp::from)
}
