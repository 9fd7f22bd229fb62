//! What streams read: each statement for many of them at once.

use std::{collections::HashMap, sync::Arc};

use shared::{Sequence, UserId, WalletId};
use sqlx::{FromRow, PgPool, Row};

use crate::history::{
    model::Entry,
    statement::{COLUMNS, COUNTERPARTY_USER, Statement},
};

/// What comes after a sequence of a wallet.
pub(super) type Wanted = (WalletId, Sequence);

/// The next events of wallets, at most `limit` of each, in their order.
pub(super) async fn next_events(
    pool: &PgPool,
    wanted: &[Wanted],
    limit: i64,
) -> sqlx::Result<HashMap<Wanted, Vec<Arc<Entry>>>> {
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
    let mut found: HashMap<Wanted, Vec<Arc<Entry>>> = HashMap::new();
    for row in &rows {
        let entry = Entry::from_row(row)?;
        let wanted = (entry.wallet_id, row.try_get("after")?);
        found.entry(wanted).or_default().push(Arc::new(entry));
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
