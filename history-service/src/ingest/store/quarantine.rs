//! Messages that cannot become rows, with their bytes, and what became of them.

use std::sync::Arc;

use shared::{Timestamp, WalletId};
use sqlx::PgConnection;

use super::insert::ArrayInsert;
use crate::{
    ingest::message::{Headers, Message, Position, Refused},
    metrics::SetAside,
};

/// The columns of a [`MessageRow`] but its id, in every table that keeps messages.
macro_rules! MESSAGE_COLUMNS {
    () => {
        "topic, partition, \"offset\", key, value, headers"
    };
}
pub(super) use MESSAGE_COLUMNS;

/// A message that was kept.
#[derive(sqlx::FromRow)]
pub(super) struct MessageRow {
    id: i64,
    topic: String,
    partition: i32,
    offset: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: String,
}

impl MessageRow {
    pub(super) fn into_message(self) -> (i64, Arc<Message>) {
        let message = Message {
            position: Position {
                topic: Arc::from(self.topic),
                partition: self.partition,
                offset: self.offset,
                sent_at: None,
            },
            key: self.key,
            value: self.value,
            headers: Headers::Stored(self.headers),
        };
        (self.id, Arc::new(message))
    }
}

/// How a quarantined message was settled. The names stand in SQL and in JSON.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, strum::Display, strum::EnumString, strum::IntoStaticStr,
)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub enum Settled {
    /// Decided once more.
    Replayed,
    /// Nothing is missing without it.
    Discarded,
    /// Of a branch of its wallet that the ledger does not have.
    Superseded,
}

impl Settled {
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }
}

shared::sql_text!(Settled);

/// What became of a quarantined message.
#[derive(Clone, PartialEq, Eq, Debug, sqlx::FromRow)]
pub(in crate::ingest) struct Resolution {
    pub(in crate::ingest) resolution: Settled,
    pub(in crate::ingest) reason: String,
    pub(in crate::ingest) actor: String,
    pub(in crate::ingest) resolved_at: Timestamp,
}

/// The same message again, read or sent a second time, is one row, and one that was settled stays so.
pub(in crate::ingest) async fn quarantine(
    connection: &mut PgConnection,
    refused: &[Refused],
) -> sqlx::Result<()> {
    let refusals = refused.iter().map(|refused| &refused.refusal);
    let claims = refused.iter().map(|refused| refused.claim);
    let messages = refused.iter().map(|refused| &refused.message);
    let hashes = messages.clone().map(|message| message.content_hash());
    let reasons = refusals.clone().map(|refusal| refusal.reason);
    let details = refusals.map(|refusal| refusal.detail.as_str());
    let wallets = claims.clone().map(|claim| claim.map(|(wallet, _)| wallet));
    let sequences = claims.map(|claim| claim.map(|(_, sequence)| sequence));

    ArrayInsert::into("quarantine")
        .messages(messages)
        .column("reason", reasons.collect())
        .column("detail", details.collect())
        .column("wallet_id", wallets.collect())
        .column("sequence", sequences.collect())
        .column("content_hash", hashes.collect())
        .execute_unless_there(connection, "content_hash")
        .await
}

/// The class of the advisory locks of messages.
const QUARANTINE_LOCK: i32 = 0x6869_7176;

/// Not the rows themselves: to lock them takes the right to change them, and nothing here is ever changed. Locked in one
/// order, so that no two orders wait for each other.
async fn lock_messages(connection: &mut PgConnection, ids: &[i64]) -> sqlx::Result<()> {
    sqlx::query(
        "select pg_advisory_xact_lock($1, object) \
         from (select distinct (id % 2147483647)::integer as object from unnest($2) as asked (id) order by 1) as objects",
    )
    .bind(QUARANTINE_LOCK)
    .bind(ids)
    .execute(connection)
    .await
    .map(drop)
}

/// The message, locked: two operators take turns.
pub(in crate::ingest) async fn lock_quarantined(
    connection: &mut PgConnection,
    id: i64,
) -> sqlx::Result<Option<Arc<Message>>> {
    lock_messages(connection, &[id]).await?;
    let row: Option<MessageRow> = sqlx::query_as(concat!(
        "select id, ",
        MESSAGE_COLUMNS!(),
        " from quarantine where id = $1"
    ))
    .bind(id)
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| row.into_message().1))
}

pub(in crate::ingest) async fn resolution_of(
    connection: &mut PgConnection,
    id: i64,
) -> sqlx::Result<Option<Resolution>> {
    sqlx::query_as(
        "select resolution, reason, actor, resolved_at from quarantine_resolutions where quarantine_id = $1",
    )
    .bind(id)
    .fetch_optional(connection)
    .await
}

/// Discards those that are in the quarantine and were not settled, and gives them. Two operators take turns.
pub(in crate::ingest) async fn discard_open(
    connection: &mut PgConnection,
    ids: &[i64],
    reason: &str,
    actor: &str,
) -> sqlx::Result<Vec<i64>> {
    lock_messages(connection, ids).await?;
    sqlx::query_scalar(
        "insert into quarantine_resolutions (quarantine_id, resolution, reason, actor) \
         select id, $2, $3, $4 from quarantine where id = any ($1) order by id \
         on conflict (quarantine_id) do nothing returning quarantine_id",
    )
    .bind(ids)
    .bind(Settled::Discarded)
    .bind(reason)
    .bind(actor)
    .fetch_all(connection)
    .await
}

/// A message that is resolved already is an error.
pub(in crate::ingest) async fn resolve(
    connection: &mut PgConnection,
    id: i64,
    resolution: Settled,
    reason: &str,
    actor: &str,
) -> sqlx::Result<()> {
    sqlx::query(
        "insert into quarantine_resolutions (quarantine_id, resolution, reason, actor) values ($1, $2, $3, $4)",
    )
    .bind(id)
    .bind(resolution)
    .bind(reason)
    .bind(actor)
    .execute(connection)
    .await
    .map(drop)
}

/// How many open messages of one wallet are looked at once it is whole.
const MISFITS_MAX: i64 = 200;

/// Open messages of a wallet that did not fit what stood in history.
pub(in crate::ingest) async fn open_misfits(
    connection: &mut PgConnection,
    wallet: WalletId,
) -> sqlx::Result<Vec<(i64, Arc<Message>)>> {
    let rows: Vec<MessageRow> = sqlx::query_as(concat!(
        "select id, ",
        MESSAGE_COLUMNS!(),
        " from quarantine where wallet_id = $1 and reason in ('conflicting_event', 'chain_broken') \
            and not exists (select from quarantine_resolutions where quarantine_id = quarantine.id) \
          order by id limit $2"
    ))
    .bind(wallet)
    .bind(MISFITS_MAX)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(MessageRow::into_message).collect())
}

/// Settles messages whose events stand in history, unless a person did meanwhile.
pub(in crate::ingest) async fn settle_standing(
    connection: &mut PgConnection,
    ids: &[i64],
) -> sqlx::Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into quarantine_resolutions (quarantine_id, resolution, reason, actor) \
         select id, $2, 'the same event stands in history', 'history-service' from unnest($1) as standing (id) \
         on conflict (quarantine_id) do nothing",
    )
    .bind(ids)
    .bind(Settled::Replayed)
    .execute(connection)
    .await
    .map(drop)
}

/// What lies beside history, and what one of the waiting events is.
#[derive(sqlx::FromRow)]
pub(in crate::ingest) struct Counted {
    #[sqlx(flatten)]
    pub(in crate::ingest) kept: SetAside,
    pub(in crate::ingest) kind: Option<String>,
}

/// Counts each up to `limit`.
pub(in crate::ingest) async fn count_open(
    connection: &mut PgConnection,
    limit: i64,
) -> sqlx::Result<Counted> {
    sqlx::query_as(
        "select (select count(*) from ( \
                    select from quarantine \
                    where not exists (select from quarantine_resolutions where quarantine_id = quarantine.id) \
                    limit $1 \
                ) as open) as open, \
                (select count(*) from (select from waiting_events limit $1) as waiting) as waiting, \
                (select count(*) from (select from parked_events limit $1) as parked) as parked, \
                (select count(*) from (select from set_aside_events limit $1) as aside) as set_aside, \
                (select coalesce(kind, 'an event') || ' of schema version ' || schema_version \
                 from waiting_events order by id limit 1) as kind",
    )
    .bind(limit)
    .fetch_one(connection)
    .await
}
