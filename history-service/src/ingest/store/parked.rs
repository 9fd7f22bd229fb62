//! Events that came before their predecessors.

use std::sync::Arc;

use shared::{Hash, Sequence, Timestamp, WalletId};
use sqlx::PgConnection;

use super::insert::ArrayInsert;
use crate::ingest::{
    apply::Candidate,
    message::{Headers, Message, Position},
};

/// How many parked events one transaction applies: bounds its memory, however many wait behind a gap.
pub(in crate::ingest) const UNPARK_MAX: i64 = 1_000;

/// A parked message, and the hash of the event that already stands under its number, if there is one.
#[derive(Debug)]
pub(in crate::ingest) struct Parked {
    pub(in crate::ingest) message: Arc<Message>,
    pub(in crate::ingest) wallet_id: WalletId,
    pub(in crate::ingest) sequence: Sequence,
    pub(in crate::ingest) hash: Hash,
    pub(in crate::ingest) stored_hash: Option<Hash>,
    /// Nothing stands there, and the wallet is past it.
    pub(in crate::ingest) is_hole: bool,
}

#[derive(sqlx::FromRow)]
struct ParkedRow {
    wallet_id: WalletId,
    sequence: Sequence,
    hash: Hash,
    topic: String,
    partition: i32,
    offset: i64,
    key: Option<Vec<u8>>,
    value: Vec<u8>,
    headers: String,
    stored_hash: Option<Hash>,
    is_hole: bool,
}

impl From<ParkedRow> for Parked {
    fn from(row: ParkedRow) -> Self {
        let message = Message {
            position: Position {
                topic: Arc::from(row.topic),
                partition: row.partition,
                offset: row.offset,
                sent_at: None,
            },
            key: row.key,
            value: Some(row.value),
            headers: Headers::Stored(row.headers),
        };
        Self {
            message: Arc::new(message),
            wallet_id: row.wallet_id,
            sequence: row.sequence,
            hash: row.hash,
            stored_hash: row.stored_hash,
            is_hole: row.is_hole,
        }
    }
}

/// What waits for these wallets to get on, lowest numbers first, at most `limit`.
pub(in crate::ingest) async fn parked_behind(
    connection: &mut PgConnection,
    wallets: &[(WalletId, Sequence)],
    limit: i64,
) -> sqlx::Result<Vec<Parked>> {
    let (ids, reached): (Vec<WalletId>, Vec<Sequence>) = wallets.iter().copied().unzip();
    let rows: Vec<ParkedRow> = sqlx::query_as(
        // A contiguous run of n waiting events ends below head + 1 + n, so nothing above the limit can be due now. Mostly
        // nothing waits at all: `exists` is asked once, and spares a look for every wallet.
        "select parked.*, events.hash as stored_hash, \
                events.hash is null and exists ( \
                    select from events as later \
                    where later.wallet_id = parked.wallet_id and later.sequence > parked.sequence \
                ) as is_hole \
         from unnest($1, $2) as asked (wallet_id, reached) \
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
    .bind(limit)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Parked::from).collect())
}

/// What was parked of a wallet above a number and before a moment, lowest numbers first, at most [`UNPARK_MAX`].
pub(in crate::ingest) async fn parked_above(
    connection: &mut PgConnection,
    wallet: WalletId,
    above: Sequence,
    before: Timestamp,
) -> sqlx::Result<Vec<Parked>> {
    let rows: Vec<ParkedRow> = sqlx::query_as(
        "select wallet_id, sequence, hash, topic, partition, \"offset\", key, value, headers, null::bytea as stored_hash, false as is_hole \
         from parked_events \
         where wallet_id = $1 and sequence > $2 and parked_at < $3 \
         order by sequence \
         limit $4",
    )
    .bind(wallet)
    .bind(above)
    .bind(before)
    .bind(UNPARK_MAX)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Parked::from).collect())
}

/// The first event that is parked for a wallet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, sqlx::FromRow)]
pub struct LowestParked {
    pub wallet_id: WalletId,
    /// Whether its predecessor is there: the number after the wallet's last event, or one that is taken.
    pub is_due: bool,
}

/// The first parked event of each wallet after this one, of all without one, in the order of their ids, at most
/// `limit`. Each costs one step through the key, however many are parked behind it.
pub async fn lowest_parked(
    connection: &mut PgConnection,
    after: Option<WalletId>,
    limit: i64,
) -> sqlx::Result<Vec<LowestParked>> {
    sqlx::query_as(
        "with recursive lowest as ( \
             (select wallet_id, sequence from parked_events \
              where wallet_id > coalesce($1, '00000000-0000-0000-0000-000000000000') \
              order by wallet_id, sequence limit 1) \
             union all \
             select further.wallet_id, further.sequence \
             from lowest \
             cross join lateral ( \
                 select wallet_id, sequence from parked_events \
                 where parked_events.wallet_id > lowest.wallet_id \
                 order by wallet_id, sequence limit 1 \
             ) as further \
         ), looked_at as (select wallet_id, sequence from lowest limit $2) \
         select looked_at.wallet_id, looked_at.sequence <= coalesce(head.sequence, 0) + 1 as is_due \
         from looked_at \
         left join lateral ( \
             select events.sequence from events \
             where events.wallet_id = looked_at.wallet_id \
             order by events.sequence desc limit 1 \
         ) as head on true",
    )
    .bind(after)
    .bind(limit)
    .fetch_all(connection)
    .await
}

/// One that is parked already stays as it is: parked events are duplicates of each other by their hash.
pub(in crate::ingest) async fn park(
    connection: &mut PgConnection,
    candidates: &[Candidate],
) -> sqlx::Result<()> {
    let events = candidates.iter().map(|candidate| &candidate.event);
    let messages = candidates.iter().map(|candidate| &candidate.message);
    ArrayInsert::into("parked_events")
        .column(
            "wallet_id",
            events.clone().map(|event| event.wallet_id).collect(),
        )
        .column(
            "sequence",
            events.clone().map(|event| event.sequence).collect(),
        )
        .column("hash", events.map(|event| event.hash).collect())
        .messages(messages)
        .execute_unless_there(connection, "wallet_id, sequence, hash")
        .await
}

pub(in crate::ingest) async fn unpark(
    connection: &mut PgConnection,
    settled: &[(WalletId, Sequence, Hash)],
) -> sqlx::Result<()> {
    let column = settled.iter();
    sqlx::query(
        "delete from parked_events as parked \
         using unnest($1, $2, $3) as settled (wallet_id, sequence, hash) \
         where parked.wallet_id = settled.wallet_id and parked.sequence = settled.sequence \
           and parked.hash = settled.hash",
    )
    .bind(Vec::from_iter(column.clone().map(|(wallet, _, _)| *wallet)))
    .bind(Vec::from_iter(
        column.clone().map(|(_, sequence, _)| *sequence),
    ))
    .bind(Vec::from_iter(column.map(|(_, _, hash)| *hash)))
    .execute(connection)
    .await
    .map(drop)
}
