//! Every statement that writes history. Nothing else in this service changes a row.
//!
//! Statements are checked when they run, not when they compile, so that a build needs no database; the integration
//! tests run each of them. Whatever the size of a batch, its statements are a constant number: values travel as arrays.
//!
//! What is looked up by array is looked up in a `lateral` subquery with a limit. That leaves the planner one plan, the
//! primary key once per value; as a plain join, a plan made while the tables were empty may scan them whole for ever.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use shared::{Balance, Sequence, Timestamp, WalletId, chain::Hash, event::WalletEvent};
use sqlx::{
    PgConnection, Row,
    postgres::PgRow,
    types::chrono::{DateTime, Utc},
};
use uuid::Uuid;

use super::{
    apply::{Candidate, Head},
    message::{Headers, Message, Position, Refused},
};

/// How many parked events one transaction takes up again: bounds its memory, whatever piled up behind a gap.
pub(super) const UNPARK_MAX: i64 = 1_000;

/// One step of a partition's offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Advance {
    pub partition: i32,
    /// What the database has to hold now, or somebody else has been at work.
    pub expected: i64,
    pub next: i64,
}

/// A parked message, and the hash of the event that already stands under its number, if there is one.
#[derive(Debug)]
pub(super) struct Parked {
    pub(super) message: Arc<Message>,
    pub(super) wallet_id: WalletId,
    pub(super) sequence: Sequence,
    pub(super) hash: Hash,
    pub(super) stored_hash: Option<Hash>,
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
         on conflict on constraint consumer_offsets_pkey do nothing",
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

/// The heads of the wallets that have events: their last ones. They are not locked: who decided on one that has moved
/// clashes in [`insert_events`]. Nothing but `events` is asked, so that head and clash never tell different stories.
pub(super) async fn read_heads(
    connection: &mut PgConnection,
    wallets: &[Uuid],
) -> sqlx::Result<HashMap<WalletId, Head>> {
    let rows = sqlx::query(
        "select head.wallet_id, head.user_id, head.currency, head.sequence as last_sequence, \
                head.hash as last_hash, head.balance_after as balance, head.occurred_at as last_occurred_at \
         from unnest($1::uuid[]) as asked (wallet_id) \
         cross join lateral ( \
             select last.wallet_id, last.user_id, last.currency, last.sequence, last.hash, last.balance_after, \
                    last.occurred_at \
             from events as last \
             where last.wallet_id = asked.wallet_id \
             order by last.sequence desc \
             limit 1 \
         ) as head",
    )
    .bind(wallets)
    .fetch_all(connection)
    .await?;
    rows.iter().map(head).collect()
}

/// The hashes of the events that stand under these numbers.
pub(super) async fn stored_hashes(
    connection: &mut PgConnection,
    numbers: &[(WalletId, Sequence)],
) -> sqlx::Result<Vec<((WalletId, Sequence), Hash)>> {
    let wallets: Vec<Uuid> = numbers.iter().map(|(wallet, _)| wallet.uuid()).collect();
    let sequences: Vec<i64> = numbers.iter().map(|(_, sequence)| sequence.get()).collect();
    let rows = sqlx::query(
        "select events.wallet_id, events.sequence, events.hash \
         from unnest($1::uuid[], $2::bigint[]) as asked (wallet_id, sequence) \
         cross join lateral ( \
             select stored.wallet_id, stored.sequence, stored.hash \
             from events as stored \
             where stored.wallet_id = asked.wallet_id and stored.sequence = asked.sequence \
             limit 1 \
         ) as events",
    )
    .bind(wallets)
    .bind(sequences)
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            Ok((
                (wallet_id(row)?, sequence(row, "sequence")?),
                hash(row, "hash")?,
            ))
        })
        .collect()
}

/// What waits for these wallets to get on, lowest numbers first, at most [`UNPARK_MAX`].
pub(super) async fn parked_behind(
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
pub(super) async fn wallets_with_due_parked(
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

/// There is no `on conflict` here: a clash says that the wallet has moved since its head was read ([`is_overtaken`]).
///
/// The arrays are unnested side by side in the select list: in a `from` each of them would be written to a tuple store
/// of its own and read again, which costs half a microsecond for an event.
pub(super) async fn insert_events(
    connection: &mut PgConnection,
    events: &[WalletEvent],
) -> sqlx::Result<()> {
    let currencies: Vec<&str> = column(events, |event| event.currency.code());
    let kinds: Vec<&str> = column(events, |event| event.body.kind().as_str());
    let hashes: Vec<&[u8]> = column(events, |event| event.hash.as_bytes().as_slice());
    sqlx::query(
        "insert into events \
         (wallet_id, sequence, event_id, schema_version, user_id, kind, transaction_id, amount, currency, \
          balance_after, counterparty_wallet_id, occurred_at, actor, correlation_id, data, hash) \
         select unnest($1::uuid[]), unnest($2::bigint[]), unnest($3::uuid[]), unnest($4::smallint[]), \
          unnest($5::text[]), unnest($6::text[]), unnest($7::uuid[]), unnest($8::bigint[]), unnest($9::text[]), \
          unnest($10::bigint[]), unnest($11::uuid[]), unnest($12::timestamptz[]), unnest($13::text[]), \
          unnest($14::text[]), unnest($15::text[]), unnest($16::bytea[])",
    )
    .bind(column(events, |event| event.wallet_id.uuid()))
    .bind(column(events, |event| event.sequence.get()))
    .bind(column(events, |event| event.event_id.uuid()))
    .bind(column(events, |event| i16::try_from(event.schema_version).unwrap_or(i16::MAX)))
    .bind(column(events, |event| event.user_id.as_str()))
    .bind(kinds)
    .bind(column(events, |event| event.transaction_id.map(|id| id.uuid())))
    .bind(column(events, |event| event.amount.map(|amount| amount.minor())))
    .bind(currencies)
    .bind(column(events, |event| event.balance_after.minor()))
    .bind(column(events, |event| event.body.movement().map(|movement| movement.counterparty_wallet_id.uuid())))
    .bind(column(events, |event| event.occurred_at.utc()))
    .bind(column(events, |event| event.actor.as_str()))
    .bind(column(events, |event| event.correlation_id.as_deref()))
    .bind(column(events, |event| event.body.data_json()))
    .bind(hashes)
    .execute(connection)
    .await
    .map(drop)
}

/// Whether somebody else has given the number of one of the events away.
pub(super) fn is_overtaken(error: &sqlx::Error) -> bool {
    let constraint = error
        .as_database_error()
        .and_then(|refused| refused.constraint());
    constraint == Some("events_pkey")
}

/// Makes the rows of new wallets.
pub(super) async fn insert_wallets(
    connection: &mut PgConnection,
    heads: &[(&WalletId, &Head)],
) -> sqlx::Result<()> {
    sqlx::query(
        "insert into wallets (wallet_id, user_id, currency) \
         select unnest($1::uuid[]), unnest($2::text[]), unnest($3::text[]) \
         on conflict on constraint wallets_pkey do nothing",
    )
    .bind(column(heads, |(wallet, _)| wallet.uuid()))
    .bind(column(heads, |(_, head)| head.user_id.as_str()))
    .bind(column(heads, |(_, head)| head.currency.code()))
    .execute(connection)
    .await
    .map(drop)
}

/// One that is parked already stays as it is: parked events are duplicates of each other by their hash.
pub(super) async fn park(
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
         on conflict on constraint parked_events_pkey do nothing",
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

pub(super) async fn unpark(
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

/// The same message again, read a second time after a crash or a replay, is one row.
pub(super) async fn quarantine(
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
         on conflict on constraint quarantine_message_key do nothing",
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

fn column<'a, T, C>(rows: &'a [T], value: impl Fn(&'a T) -> C) -> Vec<C> {
    rows.iter().map(value).collect()
}

fn head(row: &PgRow) -> sqlx::Result<(WalletId, Head)> {
    let last_occurred_at: DateTime<Utc> = row.try_get("last_occurred_at")?;
    let head = Head {
        user_id: text(row, "user_id")?,
        currency: text(row, "currency")?,
        last_sequence: sequence(row, "last_sequence")?,
        last_hash: hash(row, "last_hash")?,
        balance: Balance::new(row.try_get("balance")?),
        last_occurred_at: Timestamp::from(last_occurred_at),
    };
    Ok((wallet_id(row)?, head))
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

fn wallet_id(row: &PgRow) -> sqlx::Result<WalletId> {
    row.try_get("wallet_id").map(WalletId::from_uuid)
}

fn sequence(row: &PgRow, column: &str) -> sqlx::Result<Sequence> {
    Sequence::try_from(row.try_get::<i64, _>(column)?).map_err(|error| undecodable(column, error))
}

fn hash(row: &PgRow, column: &str) -> sqlx::Result<Hash> {
    Hash::try_from(row.try_get::<Vec<u8>, _>(column)?).map_err(|error| undecodable(column, error))
}

fn text<T>(row: &PgRow, column: &str) -> sqlx::Result<T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    row.try_get::<&str, _>(column)?
        .parse()
        .map_err(|error| undecodable(column, error))
}

fn undecodable(column: &str, error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: Box::new(error),
    }
}
