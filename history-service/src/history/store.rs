//! Every statement that reads history. Each is one autocommit statement, so that all of an answer is of one snapshot.

use std::collections::BTreeSet;

use shared::{
    Currency, EventId, Sequence, Timestamp, TransactionId, UserId, WalletId, access::Reach,
    page::Measured,
};
use sqlx::{FromRow, PgPool, Row, postgres::PgRow};

use super::{
    Archived,
    lookout::Heads,
    model::{ActivityKey, Entry},
    statement::{self, Search},
};

/// What was read for a page: the rows in their order, one more than the page holds where there are more, and how far it was
/// looked where that was not to the end.
pub(super) struct Rows<State, Key> {
    pub(super) state: State,
    pub(super) entries: Vec<Measured<Entry>>,
    pub(super) searched: Option<(Key, Timestamp)>,
}

/// A wallet's last event and when it occurred, and what is not here any more.
pub(super) type WalletState = (Sequence, Timestamp, Option<Archived>);

/// What the columns `archived_to` and `archived_until` say.
pub(super) fn archived(wallet: WalletId, row: &PgRow) -> sqlx::Result<Option<Archived>> {
    let to: Option<Sequence> = row.try_get("archived_to")?;
    let until: Option<Timestamp> = row.try_get("archived_until")?;
    Ok(to
        .zip(until)
        .map(|(to, until)| Archived { wallet, to, until }))
}

/// What of these wallets is not here any more.
pub(super) async fn archived_of(
    pool: &PgPool,
    wallets: &[WalletId],
) -> sqlx::Result<Vec<Archived>> {
    let rows: Vec<(WalletId, Sequence, Timestamp)> = sqlx::query_as(
        "select base.wallet_id, base.sequence, base.occurred_at \
         from unnest($1::uuid[]) as asked (wallet_id) \
         cross join lateral ( \
             select wallet_id, sequence, occurred_at from archived_wallets as noted \
             where noted.wallet_id = asked.wallet_id order by noted.sequence desc limit 1 \
         ) as base",
    )
    .bind(wallets)
    .fetch_all(pool)
    .await?;
    let archived = |(wallet, to, until)| Archived { wallet, to, until };
    Ok(rows.into_iter().map(archived).collect())
}

/// Before which moment events are in an archive, where there is one.
pub(super) async fn archived_before(pool: &PgPool) -> sqlx::Result<Option<Timestamp>> {
    sqlx::query_scalar("select max(cutoff) from archives where restored_at is null")
        .fetch_one(pool)
        .await
}

/// The wallet's last event and a page of its events, or nothing when the wallet is unknown.
pub(super) async fn find_history_page(
    pool: &PgPool,
    wallet: WalletId,
    search: Search<'_>,
    after: Option<Sequence>,
    reach: &Reach,
) -> sqlx::Result<Option<Rows<WalletState, Sequence>>> {
    let rows = statement::history_page(wallet, search, after, reach)
        .build()
        .fetch_all(pool)
        .await?;
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    let last_searched: Option<Sequence> = first.try_get("last_searched")?;
    Ok(Some(Rows {
        state: (
            first.try_get("applied_sequence")?,
            first.try_get("applied_at")?,
            archived(wallet, first)?,
        ),
        entries: entries(&rows)?,
        searched: last_searched.zip(first.try_get("searched_to")?),
    }))
}

pub(super) async fn list_activity(
    pool: &PgPool,
    user: &UserId,
    search: Search<'_>,
    after: Option<&ActivityKey>,
) -> sqlx::Result<Rows<(Option<Timestamp>, Option<Timestamp>), ActivityKey>> {
    let rows = statement::activity_page(user, search, after)
        .build()
        .fetch_all(pool)
        .await?;
    let Some(first) = rows.first() else {
        return Ok(Rows {
            state: (None, None),
            entries: Vec::new(),
            searched: None,
        });
    };
    let searched_to: Option<Timestamp> = first.try_get("searched_to")?;
    let searched = match searched_to {
        None => None,
        Some(occurred_at) => Some((
            ActivityKey {
                occurred_at,
                wallet_id: first.try_get("searched_wallet")?,
                sequence: first.try_get("searched_sequence")?,
            },
            occurred_at,
        )),
    };
    Ok(Rows {
        state: (
            first.try_get("applied_at")?,
            first.try_get("archived_until")?,
        ),
        entries: entries(&rows)?,
        searched,
    })
}

/// None when the only row is of nulls.
fn entries(rows: &[PgRow]) -> sqlx::Result<Vec<Measured<Entry>>> {
    let mut entries = Vec::with_capacity(rows.len());
    for row in rows {
        if row.try_get::<Option<EventId>, _>("event_id")?.is_some() {
            entries.push(Measured::read(row, Entry::from_row(row)?)?);
        }
    }
    Ok(entries)
}

/// Which currency a wallet within reach is in.
pub(super) async fn currency_of(
    pool: &PgPool,
    wallet: WalletId,
    reach: &Reach,
) -> sqlx::Result<Option<Currency>> {
    let found: Option<(Currency, UserId)> =
        sqlx::query_as("select currency, user_id from wallets where wallet_id = $1")
            .bind(wallet)
            .fetch_optional(pool)
            .await?;
    let reached = found.filter(|(_, user)| reach.includes(user));
    Ok(reached.map(|(currency, _)| currency))
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
