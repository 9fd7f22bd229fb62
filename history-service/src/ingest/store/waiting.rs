//! Events of a kind or a version that a build did not know, until one comes that does.

use std::sync::Arc;

use shared::event::{EventKind, KNOWN_VERSIONS};
use sqlx::PgConnection;

use super::{
    insert::ArrayInsert,
    quarantine::{MESSAGE_COLUMNS, MessageRow},
};
use crate::ingest::message::{Message, Reason, Unknown};

/// The same message again is one row.
pub(in crate::ingest) async fn wait(
    connection: &mut PgConnection,
    unknown: &[Unknown],
) -> sqlx::Result<()> {
    let messages = unknown.iter().map(|unknown| &unknown.message);
    let claims = unknown.iter().map(|unknown| &unknown.claim);
    let hashes = messages.clone().map(|message| message.content_hash());
    let version = |version: Option<u16>| i32::from(version.unwrap_or_default());
    let versions = claims.clone().map(|claim| version(claim.schema_version));
    let kinds = claims.clone().map(|claim| claim.kind.as_deref());
    let wallets = claims.clone().map(|claim| claim.wallet_id);
    let sequences = claims.map(|claim| claim.sequence);

    ArrayInsert::into("waiting_events")
        .messages(messages)
        .column("schema_version", versions.collect())
        .column("kind", kinds.collect())
        .column("wallet_id", wallets.collect())
        .column("sequence", sequences.collect())
        .column("content_hash", hashes.collect())
        .execute_unless_there(connection, "content_hash")
        .await
}

/// Those that this build knows, the oldest first, locked.
pub(in crate::ingest) async fn known_waiting(
    connection: &mut PgConnection,
    limit: i64,
) -> sqlx::Result<Vec<(i64, Arc<Message>)>> {
    let known = Vec::from_iter(EventKind::ALL.iter().map(|kind| kind.as_str()));
    let rows: Vec<MessageRow> = sqlx::query_as(concat!(
        "select id, ",
        MESSAGE_COLUMNS!(),
        " from waiting_events where schema_version = any ($1) and kind = any ($2) order by id limit $3 for update"
    ))
    .bind(known_versions())
    .bind(known)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(MessageRow::into_message).collect())
}

pub(super) fn known_versions() -> Vec<i32> {
    KNOWN_VERSIONS.map(i32::from).collect()
}

/// One of them, locked.
pub(in crate::ingest) async fn lock_waiting(
    connection: &mut PgConnection,
    id: i64,
) -> sqlx::Result<Option<Arc<Message>>> {
    let row: Option<MessageRow> = sqlx::query_as(concat!(
        "select id, ",
        MESSAGE_COLUMNS!(),
        " from waiting_events where id = $1 for update"
    ))
    .bind(id)
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| row.into_message().1))
}

pub(in crate::ingest) async fn remove_waiting(
    connection: &mut PgConnection,
    ids: &[i64],
) -> sqlx::Result<()> {
    sqlx::query("delete from waiting_events where id = any ($1)")
        .bind(ids)
        .execute(connection)
        .await
        .map(drop)
}

/// Moves one into the quarantine, under its id, so that a resolution can name it.
pub(in crate::ingest) async fn discard_waiting(
    connection: &mut PgConnection,
    id: i64,
) -> sqlx::Result<()> {
    sqlx::query(
        "with gone as (delete from waiting_events where id = $1 returning *) \
         insert into quarantine (id, topic, partition, \"offset\", key, value, headers, reason, detail, wallet_id, \
                                 sequence, content_hash) \
         overriding system value \
         select id, topic, partition, \"offset\", key, value, headers, \
                case when schema_version = any ($2) then $3 else $4 end, \
                'schema version ' || schema_version || coalesce(', kind ' || kind, ''), wallet_id, sequence, content_hash \
         from gone",
    )
    .bind(id)
    .bind(known_versions())
    .bind(Reason::UnknownKind)
    .bind(Reason::UnknownVersion)
    .execute(connection)
    .await
    .map(drop)
}
