//! Every statement that reads history. Each is one autocommit statement, so that all of an answer is of one snapshot.
//!
//! Filters become bounds of an index before anything is scanned: a moment or a transaction becomes a range of sequences,
//! which is possible because `occurred_at` never decreases along a wallet; `first_sequence_since` finds a moment by binary
//! search. Only `kind` is filtered row by row. A bound that is not asked for is a value that excludes nothing, never an
//! `or`: under an `or` no plan can use the index. What was searched for is `materialized`, or it would be searched for
//! again wherever it is named.

use shared::{Sequence, Timestamp, TransactionId, UserId, WalletId, chain::Hash, page::Limit};
use sqlx::{
    PgPool, Row,
    postgres::PgRow,
    types::chrono::{DateTime, Utc},
};
use uuid::Uuid;

use super::model::{ActivityKey, Entry, Filter, Order};

macro_rules! columns {
    () => {
        "event_id, wallet_id, user_id, sequence, kind, amount, currency, balance_after, transaction_id, \
         counterparty_wallet_id, actor, occurred_at, recorded_at, data, hash"
    };
}

/// The page and the head in one statement: one row with nulls when the wallet has no such events, none when it is
/// unknown.
macro_rules! history_page {
    (order: $order:literal, after: $after:literal) => {
        concat!(
            "with legs as materialized ( \
                 select wallet_id, sequence from events where transaction_id = $4 \
             ), bounds as materialized ( \
                 select last_sequence, \
                     coalesce(first_sequence_since(head, $2), 1) as first_by_time, \
                     coalesce(first_sequence_since(head, $3), last_sequence + 1) as end_by_time, \
                     case when $4::uuid is null then 1 else coalesce(( \
                         select min(sequence) from legs where wallet_id = $1 \
                     ), last_sequence + 1) end as first_by_transaction, \
                     case when $4::uuid is null then last_sequence + 1 else coalesce(( \
                         select max(sequence) + 1 from legs where wallet_id = $1 \
                     ), 1) end as end_by_transaction \
                 from wallet_heads as head where wallet_id = $1 \
             ) \
             select bounds.last_sequence as applied_sequence, page.* \
             from bounds left join lateral ( \
                 select ", columns!(), " from events \
                 where wallet_id = $1 \
                   and sequence >= greatest(bounds.first_by_time, bounds.first_by_transaction) \
                   and sequence < least(bounds.end_by_time, bounds.end_by_transaction) \
                   and sequence ", $after, " \
                   and ($4::uuid is null or transaction_id = $4) \
                   and ($5::text[] is null or kind = any ($5)) \
                 order by sequence ", $order, " limit $7 \
             ) as page on true \
             order by page.sequence ", $order
        )
    };
}

/// A page of each of the user's wallets, merged. `reached` is where the cursor stands in a wallet: in its own wallet it
/// knows the number; of the others, those with lower ids come before it within its moment.
///
/// Of many wallets only those can contribute whose outermost events would fill a page by themselves. So the outermost of
/// each are compared first, and a user with a thousand wallets costs no thousand pages.
macro_rules! activity_page {
    (
        order: $order:literal, since: $since:literal, cursor: $cursor:literal,
        first: $first:literal, end: $end:literal, from_outermost: $from_outermost:literal
    ) => {
        concat!(
            "with bounds as materialized ( \
                 select head.wallet_id, ", $first, " as first_sequence, ", $end, " as end_sequence \
                 from wallet_heads as head cross join lateral ( \
                     select case when head.wallet_id = $6::uuid then ", $cursor, " \
                                 when head.wallet_id < $6 \
                                 then first_sequence_since(head, $5::timestamptz + interval '1 microsecond') \
                                 else first_sequence_since(head, $5) end as reached \
                 ) as cursor \
                 where head.user_id = $1 and head.last_occurred_at >= ", $since, " \
             ), wallets as materialized ( \
                 select bounds.*, outermost.sequence as outermost from bounds cross join lateral ( \
                     select sequence, occurred_at from events \
                     where wallet_id = bounds.wallet_id \
                       and sequence >= first_sequence and sequence < end_sequence \
                       and ($4::text[] is null or kind = any ($4)) \
                     order by sequence ", $order, " limit 1 \
                 ) as outermost \
                 order by occurred_at ", $order, ", wallet_id ", $order, " limit $8 \
             ) \
             select page.* from wallets cross join lateral ( \
                 select ", columns!(), " from events \
                 where wallet_id = wallets.wallet_id and ", $from_outermost, " \
                   and ($4 is null or kind = any ($4)) \
                 order by sequence ", $order, " limit $8 \
             ) as page \
             order by occurred_at ", $order, ", wallet_id ", $order, ", sequence ", $order, " limit $8"
        )
    };
}

/// The same of one transaction: a few legs, found by their own index and filtered row by row.
macro_rules! activity_of_transaction {
    (order: $order:literal, after: $after:literal) => {
        concat!(
            "select ",
            columns!(),
            " from events \
             where transaction_id = $9 and user_id = $1 \
               and occurred_at >= coalesce($2::timestamptz, '-infinity') \
               and occurred_at < coalesce($3::timestamptz, 'infinity') \
               and ($4::text[] is null or kind = any ($4)) \
               and ($5::timestamptz is null or (occurred_at, wallet_id, sequence) ",
            $after,
            " ($5, $6::uuid, $7::bigint)) \
             order by occurred_at ",
            $order,
            ", wallet_id ",
            $order,
            ", sequence ",
            $order,
            " limit $8"
        )
    };
}

/// The wallet's last sequence and a page of its events, or nothing when the wallet is unknown.
pub(super) async fn find_history_page(
    pool: &PgPool,
    wallet: WalletId,
    filter: &Filter,
    order: Order,
    after: Option<Sequence>,
    limit: Limit,
) -> sqlx::Result<Option<(Sequence, Vec<Entry>)>> {
    let statement = match order {
        Order::NewestFirst => {
            history_page!(order: "desc", after: "< coalesce($6, 9223372036854775807)")
        }
        Order::OldestFirst => history_page!(order: "asc", after: "> coalesce($6, 0)"),
    };
    let rows = sqlx::query(statement)
        .bind(wallet.uuid())
        .bind(filter.from.map(Timestamp::utc))
        .bind(filter.to.map(Timestamp::utc))
        .bind(filter.transaction_id.map(TransactionId::uuid))
        .bind(kinds(filter))
        .bind(after.map(Sequence::get))
        .bind(limit.with_lookahead())
        .fetch_all(pool)
        .await?;
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    let applied = sequence(first, "applied_sequence")?;
    let empty = first.try_get::<Option<Uuid>, _>("event_id")?.is_none();
    let entries = if empty {
        Vec::new()
    } else {
        rows.iter().map(entry).collect::<sqlx::Result<_>>()?
    };
    Ok(Some((applied, entries)))
}

pub(super) async fn list_activity(
    pool: &PgPool,
    user: &UserId,
    filter: &Filter,
    order: Order,
    after: Option<ActivityKey>,
    limit: Limit,
) -> sqlx::Result<Vec<Entry>> {
    let statement = match (filter.transaction_id, order) {
        (None, Order::NewestFirst) => activity_page!(
            order: "desc",
            since: "coalesce($2::timestamptz, '-infinity')",
            cursor: "$7::bigint",
            first: "coalesce(first_sequence_since(head, $2), 1)",
            end: "coalesce(reached, first_sequence_since(head, $3), last_sequence + 1)",
            from_outermost: "sequence >= first_sequence and sequence <= outermost"
        ),
        (None, Order::OldestFirst) => activity_page!(
            order: "asc",
            since: "coalesce($5, $2::timestamptz, '-infinity')",
            cursor: "$7::bigint + 1",
            first: "coalesce(reached, first_sequence_since(head, $2), 1)",
            end: "coalesce(first_sequence_since(head, $3), last_sequence + 1)",
            from_outermost: "sequence >= outermost and sequence < end_sequence"
        ),
        (Some(_), Order::NewestFirst) => activity_of_transaction!(order: "desc", after: "<"),
        (Some(_), Order::OldestFirst) => activity_of_transaction!(order: "asc", after: ">"),
    };
    let mut query = sqlx::query(statement)
        .bind(user.as_str())
        .bind(filter.from.map(Timestamp::utc))
        .bind(filter.to.map(Timestamp::utc))
        .bind(kinds(filter))
        .bind(after.as_ref().map(|key| key.occurred_at.utc()))
        .bind(after.as_ref().map(|key| key.wallet_id.uuid()))
        .bind(after.as_ref().map(|key| key.sequence.get()))
        .bind(limit.with_lookahead());
    if let Some(transaction) = filter.transaction_id {
        query = query.bind(transaction.uuid());
    }
    let rows = query.fetch_all(pool).await?;
    rows.iter().map(entry).collect()
}

/// The legs that are projected so far, in the order of their wallets.
pub(super) async fn list_legs(
    pool: &PgPool,
    transaction: TransactionId,
) -> sqlx::Result<Vec<Entry>> {
    let statement = concat!(
        "select ",
        columns!(),
        " from events where transaction_id = $1 order by wallet_id, sequence"
    );
    let rows = sqlx::query(statement)
        .bind(transaction.uuid())
        .fetch_all(pool)
        .await?;
    rows.iter().map(entry).collect()
}

/// How far a wallet is; [`Sequence::ZERO`] when nothing of it is here.
pub(super) async fn applied_sequence(pool: &PgPool, wallet: WalletId) -> sqlx::Result<Sequence> {
    let row = sqlx::query("select last_sequence from wallet_heads where wallet_id = $1")
        .bind(wallet.uuid())
        .fetch_optional(pool)
        .await?;
    row.as_ref()
        .map_or(Ok(Sequence::ZERO), |row| sequence(row, "last_sequence"))
}

fn kinds(filter: &Filter) -> Option<Vec<&'static str>> {
    let kinds: Vec<&str> = filter.kinds.iter().map(|kind| kind.as_str()).collect();
    Some(kinds).filter(|kinds| !kinds.is_empty())
}

fn entry(row: &PgRow) -> sqlx::Result<Entry> {
    let text = |column: &str| row.try_get::<String, _>(column);
    let moment = |column: &str| row.try_get::<DateTime<Utc>, _>(column).map(Timestamp::from);
    let wallet = |column: &str| {
        row.try_get::<Option<Uuid>, _>(column)
            .map(|id| id.map(WalletId::from_uuid))
    };
    Ok(Entry {
        event_id: shared::EventId::from_uuid(row.try_get("event_id")?),
        wallet_id: WalletId::from_uuid(row.try_get("wallet_id")?),
        user_id: text("user_id")?
            .parse()
            .map_err(|error| undecodable("user_id", error))?,
        sequence: sequence(row, "sequence")?,
        kind: text("kind")?,
        amount: row.try_get("amount")?,
        currency: text("currency")?
            .parse()
            .map_err(|error| undecodable("currency", error))?,
        balance_after: row.try_get("balance_after")?,
        transaction_id: row
            .try_get::<Option<Uuid>, _>("transaction_id")?
            .map(TransactionId::from_uuid),
        counterparty_wallet_id: wallet("counterparty_wallet_id")?,
        actor: text("actor")?,
        occurred_at: moment("occurred_at")?,
        recorded_at: moment("recorded_at")?,
        data: text("data")?,
        hash: Hash::try_from(row.try_get::<Vec<u8>, _>("hash")?)
            .map_err(|error| undecodable("hash", error))?,
    })
}

fn sequence(row: &PgRow, column: &str) -> sqlx::Result<Sequence> {
    Sequence::try_from(row.try_get::<i64, _>(column)?).map_err(|error| undecodable(column, error))
}

fn undecodable(column: &str, error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: Box::new(error),
    }
}
