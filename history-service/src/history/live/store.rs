//! What streams read: each statement for many of them at once.

use std::{collections::HashMap, sync::Arc};

use shared::{Sequence, Timestamp, UserId, WalletId};
use sqlx::{FromRow, PgPool, Row};

use super::rendered::Rendered;
use crate::history::{
    model::Entry,
    statement::{COLUMNS, COUNTERPARTY_USER, Statement},
};

/// What comes after a sequence of a wallet.
pub(super) type Wanted = (WalletId, Sequence);

/// What was found of it.
pub(super) type Found = HashMap<Wanted, Vec<Arc<Rendered>>>;

/// The next events of wallets, at most `limit` of each, in their order.
pub(super) async fn next_events(
    pool: &PgPool,
    wanted: &[Wanted],
    limit: i64,
) -> sqlx::Result<Found> {
    let (wallets, sequences): (Vec<_>, Vec<_>) = wanted.iter().copied().unzip();
    let mut sql = Statement::new("select page.*, wanted.after, ");
    sql.push(COUNTERPARTY_USER)
        .push(" from unnest(")
        .push_bind(wallets)
        .push("::uuid[], ")
        .push_bind(sequences)
        .push("::bigint[]) as wanted (wallet, after) cross join lateral (select ")
        .push(COLUMNS)
        .push(" from events where wallet_id = wanted.wallet and sequence > wanted.after order by sequence limit ")
        .push_bind(limit)
        .push(") as page order by wanted.wallet, wanted.after, page.sequence");
    let rows = sql.build().fetch_all(pool).await?;
    let mut found = Found::new();
    for row in &rows {
        let entry = Entry::from_row(row)?;
        let wanted = (entry.wallet_id, row.try_get("after")?);
        let told = Arc::new(Rendered::of(entry));
        found.entry(wanted).or_default().push(told);
    }
    Ok(found)
}

/// Where all wallets of these users are.
pub(super) async fn heads_of_users(
    pool: &PgPool,
    users: &[UserId],
) -> sqlx::Result<Vec<(UserId, WalletId, Sequence)>> {
    sqlx::query_as(
        "select head.user_id, head.wallet_id, head.last_sequence \
         from unnest($1::text[]) as wanted (user_id) \
         cross join lateral ( \
             select user_id, wallet_id, last_sequence from wallet_heads where user_id = wanted.user_id \
         ) as head",
    )
    .bind(users)
    .fetch_all(pool)
    .await
}

/// Whose these wallets are, as far as they are here.
pub(super) async fn users_of(
    pool: &PgPool,
    wallets: &[WalletId],
) -> sqlx::Result<Vec<(WalletId, UserId)>> {
    sqlx::query_as("select wallet_id, user_id from wallets where wallet_id = any ($1)")
        .bind(wallets)
        .fetch_all(pool)
        .await
}

/// How often events were set aside.
#[derive(Clone, Copy, Debug, FromRow)]
pub(super) struct SetAsides {
    pub(super) count: i64,
    /// When the last of them were; looked for only where the count is another than the one that is known.
    pub(super) last: Option<Timestamp>,
}

/// In one statement, so that the moment is that of the count.
pub(super) async fn set_asides(pool: &PgPool, known: Option<i64>) -> sqlx::Result<SetAsides> {
    sqlx::query_as(
        "select stored.count, \
                case when stored.count is distinct from $1 \
                     then (select max(set_aside_at) from set_aside_events) \
                end as last \
         from (select coalesce(sum(set_asides), 0)::bigint as count from consumer_offsets) as stored",
    )
    .bind(known)
    .fetch_one(pool)
    .await
}

/// Those of these wallets of which events were set aside since a moment, each with the last number before them.
pub(super) async fn set_aside_since(
    pool: &PgPool,
    wallets: &[WalletId],
    since: Option<Timestamp>,
) -> sqlx::Result<Vec<(WalletId, Sequence)>> {
    sqlx::query_as(
        "select wallet_id, min(sequence) - 1 \
         from set_aside_events \
         where wallet_id = any ($1) and ($2::timestamptz is null or set_aside_at > $2) \
         group by wallet_id",
    )
    .bind(wallets)
    .bind(since)
    .fetch_all(pool)
    .await
}
