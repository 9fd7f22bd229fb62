//! Rows of `events` in full, read as they are: whether they are events is for others to judge.

use std::collections::HashMap;

use futures::{Stream, TryStreamExt};
use shared::{
    Hash, Sequence, WalletId,
    event::{EventKind, KNOWN_VERSIONS, WalletEvent},
    page::Bounded,
};
use sqlx::{AssertSqlSafe, FromRow, PgConnection, Row, postgres::PgRow};

use crate::ingest::apply::stored::{Content, StoredRow};

/// The columns of an event in `events as e`. What its predecessor's hash is, no column says.
macro_rules! ROW {
    () => {
        "e.wallet_id, e.sequence, e.event_id, e.schema_version, e.user_id, e.kind, e.transaction_id, e.amount, e.currency, \
         e.balance_after, e.held_after, e.counterparty_wallet_id, e.occurred_at, e.actor, e.subject, e.correlation_id, e.data, \
         e.hash, null::bytea as prev_hash"
    };
}
pub(super) use ROW;

impl FromRow<'_, PgRow> for StoredRow {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let hash = Hash::try_from(row.try_get::<&[u8], _>("hash")?);
        Ok(Self {
            wallet_id: row.try_get("wallet_id")?,
            sequence: row.try_get("sequence")?,
            hash: hash.unwrap_or(Hash::ZERO),
            // A column that cannot be read is this row's fault alone.
            content: match hash {
                Ok(_) => content(row).unwrap_or(Content::Nothing),
                Err(_) => Content::Nothing,
            },
        })
    }
}

fn content(row: &PgRow) -> sqlx::Result<Content> {
    let version: i16 = row.try_get("schema_version")?;
    let is_known_kind = row.try_get::<&str, _>("kind")?.parse::<EventKind>().is_ok();
    let is_known_version =
        u16::try_from(version).is_ok_and(|version| KNOWN_VERSIONS.contains(&version));
    if !is_known_version || !is_known_kind {
        return Ok(Content::OfAnotherBuild);
    }
    let Ok(event) = WalletEvent::from_row(row) else {
        return Ok(Content::Nothing);
    };
    // What the row repeats of its data, and the data's own form: only that one was hashed.
    let counterparty: Option<WalletId> = row.try_get("counterparty_wallet_id")?;
    let data: &str = row.try_get("data")?;
    let is_whole = counterparty == event.body.counterparty_wallet_id() && data == event.data_json();
    Ok(if is_whole {
        Content::Event(Box::new(event))
    } else {
        Content::Nothing
    })
}

/// The rows under these numbers, of those that there are.
pub(in crate::ingest) async fn stored_rows(
    connection: &mut PgConnection,
    numbers: &[(WalletId, Sequence)],
) -> sqlx::Result<HashMap<(WalletId, Sequence), StoredRow>> {
    let (wallets, sequences): (Vec<WalletId>, Vec<Sequence>) = numbers.iter().copied().unzip();
    let rows: Vec<StoredRow> = sqlx::query_as(concat!(
        "select ",
        ROW!(),
        " from unnest($1, $2) as asked (wallet_id, sequence) \
         cross join lateral ( \
             select * from events as stored \
             where stored.wallet_id = asked.wallet_id and stored.sequence = asked.sequence \
             limit 1 \
         ) as e"
    ))
    .bind(wallets)
    .bind(sequences)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.number(), row)).collect())
}

/// The wallet's rows from one number on, in order, at most `limit`.
pub(in crate::ingest) async fn rows_of(
    connection: &mut PgConnection,
    wallet: WalletId,
    from: Sequence,
    limit: i64,
) -> sqlx::Result<Vec<StoredRow>> {
    sqlx::query_as(concat!(
        "select ",
        ROW!(),
        " from events as e where wallet_id = $1 and sequence >= $2 order by sequence limit $3"
    ))
    .bind(wallet)
    .bind(from)
    .bind(limit)
    .fetch_all(connection)
    .await
}

/// What rows that are read at a time hold of what callers wrote, in bytes, of which there are several times as many in memory.
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// Rows, in the order of wallets and numbers.
pub(in crate::ingest) struct Rows {
    pub(in crate::ingest) list: Vec<StoredRow>,
    /// Those after the last one were left out, if there are any: these hold enough.
    pub(in crate::ingest) is_cut: bool,
}

/// The rows of all wallets from one row on, or from the first, at most `limit`.
pub(in crate::ingest) async fn rows_from(
    connection: &mut PgConnection,
    from: Option<(WalletId, Sequence)>,
    limit: i64,
) -> sqlx::Result<Rows> {
    let sql = bounded(concat!(
        "select ",
        ROW!(),
        " from events as e where (wallet_id, sequence) >= (coalesce($1, '00000000-0000-0000-0000-000000000000'), coalesce($2, 0)) order by wallet_id, sequence limit $3"
    ));
    let reading = sqlx::query(AssertSqlSafe(sql))
        .bind(from.map(|(wallet, _)| wallet))
        .bind(from.map(|(_, sequence)| sequence))
        .bind(limit);
    read(reading.fetch(connection)).await
}

/// So many of these rows as are read at a time. There is always one.
pub(super) fn bounded(rows: &str) -> String {
    let order = "wallet_id, sequence";
    let Bounded { before, after } = Bounded::to(BYTES_MAX, "octet_length(data)", order);
    format!("{before} {rows} {after} order by {order}")
}

/// One by one: a row as it is sent is as much again as what is read of it.
pub(super) async fn read(
    mut rows: impl Stream<Item = sqlx::Result<PgRow>> + Unpin,
) -> sqlx::Result<Rows> {
    let (mut list, mut bytes) = (Vec::new(), 0_i64);
    while let Some(row) = rows.try_next().await? {
        bytes = row.try_get("page_bytes")?;
        list.push(StoredRow::from_row(&row)?);
    }
    let is_cut = usize::try_from(bytes).is_ok_and(|bytes| bytes > BYTES_MAX);
    Ok(Rows { list, is_cut })
}
