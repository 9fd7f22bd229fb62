//! Messages that cannot become rows, with their bytes.

use sqlx::PgConnection;

use super::rows::column;
use crate::ingest::message::Refused;

/// The same message again, read a second time after a crash or a replay, is one row.
pub(in crate::ingest) async fn quarantine(
    connection: &mut PgConnection,
    refused: &[Refused],
) -> sqlx::Result<()> {
    let headers = column(refused, |refused| refused.message.headers.to_json());
    let content_hashes: Vec<[u8; 32]> = column(refused, |refused| {
        *refused.message.content_hash().as_bytes()
    });
    sqlx::query(
        "insert into quarantine \
         (topic, partition, \"offset\", key, value, headers, reason, detail, wallet_id, sequence, content_hash) \
         select topic, partition, \"offset\", key, value, headers, reason, detail, wallet_id, sequence, content_hash \
         from unnest($1::text[], $2::integer[], $3::bigint[], $4::bytea[], $5::bytea[], $6::text[], $7::text[], \
          $8::text[], $9::uuid[], $10::bigint[], $11::bytea[]) \
         as poison (topic, partition, \"offset\", key, value, headers, reason, detail, wallet_id, sequence, \
          content_hash) \
         on conflict (topic, partition, \"offset\", content_hash) do nothing",
    )
    .bind(column(refused, |refused| &*refused.message.position.topic))
    .bind(column(refused, |refused| refused.message.position.partition))
    .bind(column(refused, |refused| refused.message.position.offset))
    .bind(column(refused, |refused| refused.message.key.as_deref()))
    .bind(column(refused, |refused| refused.message.value.as_deref()))
    .bind(headers)
    .bind(column(refused, |refused| refused.refusal.reason.as_str()))
    .bind(column(refused, |refused| refused.refusal.detail.as_str()))
    .bind(column(refused, |refused| refused.claim.map(|(wallet, _)| wallet.uuid())))
    .bind(column(refused, |refused| refused.claim.map(|(_, sequence)| sequence.get())))
    .bind(column(&content_hashes, <[u8; 32]>::as_slice))
    .execute(connection)
    .await
    .map(drop)
}
