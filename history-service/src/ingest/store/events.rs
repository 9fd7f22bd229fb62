//! The events, the wallets that have some, and the heads that they say.

use std::collections::HashMap;

use shared::{Balance, Sequence, Timestamp, WalletId, chain::Hash, event::WalletEvent};
use sqlx::{
    PgConnection, Row,
    postgres::PgRow,
    types::chrono::{DateTime, Utc},
};
use uuid::Uuid;

use super::rows::{column, hash, sequence, text, wallet_id};
use crate::ingest::apply::Head;

/// The heads of the wallets that have events: their last ones. They are not locked: who decided on one that has moved
/// clashes in [`insert_events`]. Nothing but `events` is asked, so that head and clash never tell different stories.
pub(in crate::ingest) async fn read_heads(
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
pub(in crate::ingest) async fn stored_hashes(
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

/// There is no `on conflict` here: a clash says that the wallet has moved since its head was read.
///
/// The arrays are unnested side by side in the select list: in a `from` each of them would be written to a tuple store
/// of its own and read again, which costs half a microsecond for an event.
pub(in crate::ingest) async fn insert_events(
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

/// Makes the rows of new wallets.
pub(in crate::ingest) async fn insert_wallets(
    connection: &mut PgConnection,
    heads: &[(&WalletId, &Head)],
) -> sqlx::Result<()> {
    sqlx::query(
        "insert into wallets (wallet_id, user_id, currency) \
         select unnest($1::uuid[]), unnest($2::text[]), unnest($3::text[]) \
         on conflict (wallet_id) do nothing",
    )
    .bind(column(heads, |(wallet, _)| wallet.uuid()))
    .bind(column(heads, |(_, head)| head.user_id.as_str()))
    .bind(column(heads, |(_, head)| head.currency.code()))
    .execute(connection)
    .await
    .map(drop)
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
