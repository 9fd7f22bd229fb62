//! Events that came before their predecessors.

use std::sync::Arc;

use shared::{Sequence, WalletId, chain::Hash};
use sqlx::{PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

use super::rows::{column, hash, sequence, wallet_id};
use crate::ingest::{
    apply::Candidate,
    message::{Headers, Message, Position},
};

/// How many parked events one transaction takes up again: bounds its memory, whatever piled up behind a gap.
pub(in crate::ingest) const UNPARK_MAX: i64 = 1_000;

/// A parked message, and the hash of the event that already stands under its number, if there is one.
#[derive(Debug)]
pub(in crate::ingest) struct Parked {
    pub(in crate::ingest) message: Arc<Message>,
    pub(in crate::ingest) wallet_id: WalletId,
    pub(in crate::ingest) sequence: Sequence,
    pub(in crate::ingest) hash: Hash,
    pub(in crate::ingest) stored_hash: Option<Hash>,
}

/// What waits for these wallets to get on, lowest numbers first, at most [`UNPARK_MAX`].
pub(in crate::ingest) async fn parked_behind(
    connection: &mut PgConnection,
    wallets: &[(WalletId, Sequence)],
) -> sqlx::Result<Vec<Parked>> {
    let ids: Vec<Uuid> = wallets.iter().map(|(wallet, _)| wallet.uuid()).collect();
    let reached: Vec<i64> = wallets.iter().map(|(_, sequence)| sequence.get()).collect();
    let rows = sqlx::query(
        // A contiguous run of n waiting events ends below head + 1 + n, so nothing above the limit can be due now. Mostly
        // nothing waits at all: `exists` is asked once, and spares a look for every wallet.
        "select parked.wallet_id, parked.sequence, parked.hash, parked.topic, parked.partition, parked.\"offset\", \
                parked.key, parked.value, parked.headers, events.hash as stored_hash \
         from unnest($1::uuid[], $2::bigint[]) as asked (wallet_id, reached) \
         cross join lateral ( \
             select waiting.wallet_id, waiting.sequence, waiting.hash, waiting.topic, waiting.partition, \
                    waiting.\"offset\", waiting.key, waiting.value, waiting.headers \
             from parked_events as waiting \
             where waiting.wallet_id = asked.wallet_id and waiting.sequence <= asked.reached + $3 \
             order by waiting.sequence \
             limit $3 \
         ) as parked \
         left join lateral ( \
             select stored.hash \
             from events as stored \
             where stored.wallet_id = parked.wallet_id and stored.sequence = parked.sequence \
             limit 1 \
         ) as events on true \
         where exists (select 1 from parked_events) \
         order by parked.wallet_id, parked.sequence \
         limit $3",
    )
    .bind(ids)
    .bind(reached)
    .bind(UNPARK_MAX)
    .fetch_all(connection)
    .await?;
    rows.iter().map(parked).collect()
}

/// Wallets for which something is parked that is due already: what a race between two writers of a new wallet, or a full
/// [`parked_behind`], left behind.
pub(in crate::ingest) async fn wallets_with_due_parked(
    connection: &mut PgConnection,
) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar(
        "select distinct parked.wallet_id \
         from parked_events as parked \
         join wallet_heads as heads on heads.wallet_id = parked.wallet_id \
         where parked.sequence <= heads.last_sequence + 1 \
         limit 100",
    )
    .fetch_all(connection)
    .await
}

/// One that is parked already stays as it is: parked events are duplicates of each other by their hash.
pub(in crate::ingest) async fn park(
    connection: &mut PgConnection,
    candidates: &[Candidate],
) -> sqlx::Result<()> {
    let headers = column(candidates, |candidate| candidate.message.headers.to_json());
    sqlx::query(
        "insert into parked_events (wallet_id, sequence, hash, topic, partition, \"offset\", key, value, headers) \
         select wallet_id, sequence, hash, topic, partition, \"offset\", key, value, headers \
         from unnest($1::uuid[], $2::bigint[], $3::bytea[], $4::text[], $5::integer[], $6::bigint[], $7::bytea[], \
          $8::bytea[], $9::text[]) \
         as early (wallet_id, sequence, hash, topic, partition, \"offset\", key, value, headers) \
         on conflict (wallet_id, sequence, hash) do nothing",
    )
    .bind(column(candidates, |candidate| candidate.event.wallet_id.uuid()))
    .bind(column(candidates, |candidate| candidate.event.sequence.get()))
    .bind(column(candidates, |candidate| candidate.event.hash.as_bytes().as_slice()))
    .bind(column(candidates, |candidate| &*candidate.message.position.topic))
    .bind(column(candidates, |candidate| candidate.message.position.partition))
    .bind(column(candidates, |candidate| candidate.message.position.offset))
    .bind(column(candidates, |candidate| candidate.message.key.as_deref()))
    .bind(column(candidates, |candidate| candidate.message.value.as_deref()))
    .bind(headers)
    .execute(connection)
    .await
    .map(drop)
}

pub(in crate::ingest) async fn unpark(
    connection: &mut PgConnection,
    settled: &[(WalletId, Sequence, Hash)],
) -> sqlx::Result<()> {
    sqlx::query(
        "delete from parked_events as parked \
         using unnest($1::uuid[], $2::bigint[], $3::bytea[]) as settled (wallet_id, sequence, hash) \
         where parked.wallet_id = settled.wallet_id and parked.sequence = settled.sequence \
           and parked.hash = settled.hash",
    )
    .bind(column(settled, |(wallet, _, _)| wallet.uuid()))
    .bind(column(settled, |(_, sequence, _)| sequence.get()))
    .bind(column(settled, |(_, _, hash)| hash.as_bytes().as_slice()))
    .execute(connection)
    .await
    .map(drop)
}

fn parked(row: &PgRow) -> sqlx::Result<Parked> {
    let position = Position {
        topic: Arc::from(row.try_get::<&str, _>("topic")?),
        partition: row.try_get("partition")?,
        offset: row.try_get("offset")?,
    };
    let message = Message {
        position,
        key: row.try_get("key")?,
        value: Some(row.try_get("value")?),
        headers: Headers::Stored(row.try_get("headers")?),
    };
    let stored_hash: Option<&[u8]> = row.try_get("stored_hash")?;
    Ok(Parked {
        message: Arc::new(message),
        wallet_id: wallet_id(row)?,
        sequence: sequence(row, "sequence")?,
        hash: hash(row, "hash")?,
        stored_hash: stored_hash.map(|_| hash(row, "stored_hash")).transpose()?,
    })
}
