//! Every statement that reads history. Each is one autocommit statement, so that all of an answer is of one snapshot.

use std::collections::BTreeSet;

use shared::{EventId, Sequence, TransactionId, UserId, WalletId, access::Reach};
use sqlx::{FromRow, PgPool, Row};

use super::{
    lookout::Heads,
    model::{ActivityKey, Entry, Listing},
    statement,
};

/// The wallet's last sequence and a page of its events, or nothing when the wallet is unknown.
pub(super) async fn find_history_page(
    pool: &PgPool,
    wallet: WalletId,
    listing: &Listing,
    after: Option<Sequence>,
    reach: &Reach,
) -> sqlx::Result<Option<(Sequence, Vec<Entry>)>> {
    let rows = statement::history_page(wallet, listing, after, reach)
        .build()
        .fetch_all(pool)
        .await?;
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    let applied = first.try_get("applied_sequence")?;
    let empty = first.try_get::<Option<EventId>, _>("event_id")?.is_none();
    let entries = if empty {
        Vec::new()
    } else {
        rows.iter()
            .map(Entry::from_row)
            .collect::<sqlx::Result<_>>()?
    };
    Ok(Some((applied, entries)))
}

pub(super) async fn list_activity(
    pool: &PgPool,
    user: &UserId,
    listing: &Listing,
    after: Option<&ActivityKey>,
) -> sqlx::Result<Vec<Entry>> {
    statement::activity_page(user, listing, after)
        .build_query_as()
        .fetch_all(pool)
        .await
}

/// The legs that are applied so far, in the order of their wallets.
pub(super) async fn list_legs(
    pool: &PgPool,
    transaction: TransactionId,
) -> sqlx::Result<Vec<Entry>> {
    statement::legs(transaction)
        .build_query_as()
        .fetch_all(pool)
        .await
}

/// Where wallets are and whose each is; those that nothing is known of are left out.
pub(super) async fn heads(pool: &PgPool, wallets: &BTreeSet<WalletId>) -> sqlx::Result<Heads> {
    let wallets = Vec::from_iter(wallets.iter().copied());
    let found: Vec<(WalletId, Sequence, UserId)> = sqlx::query_as(
        "select head.wallet_id, head.last_sequence, head.user_id \
         from unnest($1::uuid[]) as wanted (wallet_id) \
         cross join lateral ( \
             select wallet_id, last_sequence, user_id from wallet_heads where wallet_id = wanted.wallet_id \
         ) as head",
    )
    .bind(wallets)
    .fetch_all(pool)
    .await?;
    let heads = found.into_iter();
    Ok(heads
        .map(|(wallet, sequence, user)| (wallet, (sequence, user)))
        .collect())
}
