//! What streams read: each statement for many of them at once.

use std::{collections::HashMap, sync::Arc};

use shared::{Hash, Sequence, Timestamp, UserId, WalletId};
use sqlx::{FromRow, PgPool, Row, postgres::PgRow};

use super::{
    position::{Mark, Point},
    rendered::Rendered,
};
use crate::history::{
    model::Entry,
    statement::{COLUMNS, COUNTERPARTY_USER, Statement, bounded_to},
};

/// What comes after a sequence of a wallet.
pub(super) type Wanted = (WalletId, Sequence);

/// What was found of it.
pub(super) type Found = HashMap<Wanted, Vec<Arc<Rendered>>>;

/// What comes next, as far as it can be read.
#[derive(Default)]
pub(super) struct Next {
    pub(super) found: Found,
    /// Where there is more, and why it cannot be read.
    pub(super) unreadable: HashMap<Wanted, sqlx::Error>,
}

/// The next events of wallets, at most `limit` of each and none after those that hold more than `bytes_max`, in their order. A row
/// that cannot be read ends what is found of its wallet, and of no other.
pub(super) async fn next_events(
    pool: &PgPool,
    wanted: &[Wanted],
    limit: i64,
    bytes_max: usize,
) -> sqlx::Result<Next> {
    let bounded = bounded_to(bytes_max, "sequence");
    let (wallets, sequences): (Vec<_>, Vec<_>) = wanted.iter().copied().unzip();
    let mut sql = Statement::new("select page.*, wanted.after, ");
    sql.push(COUNTERPARTY_USER)
        .push(" from unnest(")
        .push_bind(wallets)
        .push("::uuid[], ")
        .push_bind(sequences)
        .push("::bigint[]) as wanted (wallet, after) cross join lateral (")
        .push(bounded.before)
        .push(" select ")
        .push(COLUMNS)
        .push(" from events where wallet_id = wanted.wallet and sequence > wanted.after order by sequence limit ")
        .push_bind(limit)
        .push(bounded.after)
        .push(") as page order by wanted.wallet, wanted.after, page.sequence");
    let rows = sql.build().fetch_all(pool).await?;
    let mut next = Next::default();
    for row in &rows {
        let wanted = (row.try_get("wallet_id")?, row.try_get("after")?);
        if next.unreadable.contains_key(&wanted) {
            continue;
        }
        match Entry::from_row(row) {
            Ok(entry) => {
                let told = Arc::new(Rendered::of(entry));
                next.found.entry(wanted).or_default().push(told);
            }
            Err(error) => {
                next.unreadable.insert(wanted, error);
            }
        }
    }
    Ok(next)
}

/// A wallet's last event, and whose it is.
#[derive(FromRow)]
pub(super) struct Head {
    pub(super) wallet_id: WalletId,
    pub(super) user_id: UserId,
    pub(super) last_sequence: Sequence,
    last_hash: Hash,
}

impl Head {
    pub(super) const fn point(&self) -> Point {
        Point::at(self.last_sequence, &self.last_hash)
    }
}

/// Where a wallet is, when something is known of it.
pub(super) async fn head(pool: &PgPool, wallet: WalletId) -> sqlx::Result<Option<Head>> {
    sqlx::query_as(
        "select wallet_id, user_id, last_sequence, last_hash from wallet_heads where wallet_id = $1",
    )
    .bind(wallet)
    .fetch_optional(pool)
    .await
}

/// Where all wallets of these users are.
pub(super) async fn heads_of_users(pool: &PgPool, users: &[UserId]) -> sqlx::Result<Vec<Head>> {
    sqlx::query_as(
        "select head.* \
         from unnest($1::text[]) as wanted (user_id) \
         cross join lateral ( \
             select wallet_id, user_id, last_sequence, last_hash from wallet_heads where user_id = wanted.user_id \
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

/// Those of these wallets of which events were set aside since a moment, each with the last event before them.
pub(super) async fn set_aside_since(
    pool: &PgPool,
    wallets: &[WalletId],
    since: Option<Timestamp>,
) -> sqlx::Result<Vec<(WalletId, Point)>> {
    let rows = sqlx::query(
        "select gone.wallet_id, gone.keep, \
                (select hash from events where wallet_id = gone.wallet_id and sequence = gone.keep) as keep_hash \
         from ( \
             select wallet_id, min(sequence) - 1 as keep from set_aside_events \
             where wallet_id = any ($1) and ($2::timestamptz is null or set_aside_at > $2) \
             group by wallet_id \
         ) as gone",
    )
    .bind(wallets)
    .bind(since)
    .fetch_all(pool)
    .await?;
    let found = |row: &PgRow| Ok((row.try_get("wallet_id")?, point_kept(row)?));
    rows.iter().map(found).collect()
}

fn point_kept(row: &PgRow) -> sqlx::Result<Point> {
    let hash: Option<Hash> = row.try_get("keep_hash")?;
    Ok(Point {
        sequence: row.try_get("keep")?,
        mark: hash.as_ref().map(Mark::of),
    })
}

/// Of events that were told, up to where what was told then is what stands here now: the event itself, when it does.
pub(super) type Kept = HashMap<(WalletId, Point), Point>;

/// Leaves out those that are not here, and were not set aside.
///
/// Who was told an event was told those before it, and its hash stands for them all. So what was set aside with it or since
/// is what it was told and is not so any more: at most, for another branch may be among it. A wallet of which another event
/// is here and none was set aside was made anew from a ledger of which nothing is known, so nothing is left.
pub(super) async fn kept(pool: &PgPool, told: &[(WalletId, Point)]) -> sqlx::Result<Kept> {
    let wallets = Vec::from_iter(told.iter().map(|(wallet, _)| *wallet));
    let sequences = Vec::from_iter(told.iter().map(|(_, point)| point.sequence));
    let marks = told.iter().map(|(_, point)| point.mark);
    let marks = Vec::from_iter(marks.map(|mark| mark.map(|mark| mark.bytes().to_vec())));
    let rows = sqlx::query(
        "with kept as ( \
             select told.place, told.wallet_id, \
                    case when substr(here.hash, 1, 4) = told.mark then told.sequence \
                         else coalesce(gone.keep, 0) end as keep \
             from unnest($1::uuid[], $2::bigint[], $3::bytea[]) with ordinality as told (wallet_id, sequence, mark, place) \
             left join events as here on here.wallet_id = told.wallet_id and here.sequence = told.sequence \
             left join lateral ( \
                 select min(sequence) - 1 as keep from set_aside_events \
                 where wallet_id = told.wallet_id and set_aside_at >= ( \
                     select max(set_aside_at) from set_aside_events as itself \
                     where itself.wallet_id = told.wallet_id and itself.sequence = told.sequence \
                       and substr(itself.hash, 1, 4) = told.mark) \
             ) as gone on true \
             where here.hash is not null or gone.keep is not null \
         ) \
         select kept.place, kept.keep, \
                (select hash from events where wallet_id = kept.wallet_id and sequence = kept.keep) as keep_hash \
         from kept",
    )
    .bind(wallets)
    .bind(sequences)
    .bind(marks)
    .fetch_all(pool)
    .await?;
    let mut kept = Kept::with_capacity(rows.len());
    for row in &rows {
        let place: i64 = row.try_get("place")?;
        let told = usize::try_from(place - 1)
            .ok()
            .and_then(|place| told.get(place));
        if let Some(told) = told {
            kept.insert(*told, point_kept(row)?);
        }
    }
    Ok(kept)
}
