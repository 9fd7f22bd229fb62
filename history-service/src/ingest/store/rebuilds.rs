//! Comparisons of all wallets with the ledger, page by page.

use shared::{Hash, Sequence, WalletId};
use sqlx::PgConnection;

use super::archived::LAST;

/// How long a claim holds: far longer than a page takes.
const CLAIM: &str = "60 seconds";

/// A comparison that was claimed.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(in crate::ingest) struct Rebuild {
    pub(in crate::ingest) id: i64,
    pub(in crate::ingest) cursor: Option<String>,
    pub(in crate::ingest) after_wallet: Option<WalletId>,
    /// All wallets' ends are compared; now it is every row's turn.
    pub(in crate::ingest) ends_compared: bool,
    /// The last row that was looked at.
    pub(in crate::ingest) row_wallet: Option<WalletId>,
    pub(in crate::ingest) row_sequence: Sequence,
}

/// Where history is with a wallet, beside what the ledger says of it.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
pub(in crate::ingest) struct Compared {
    pub(in crate::ingest) wallet_id: WalletId,
    pub(in crate::ingest) last_sequence: Option<Sequence>,
    /// Of the event that has the ledger's last number.
    pub(in crate::ingest) hash: Option<Hash>,
}

/// Whether a comparison for this reason is not done yet.
pub(in crate::ingest) async fn is_underway(
    connection: &mut PgConnection,
    reason: &str,
) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "select exists (select from rebuilds where reason = $1 and finished_at is null)",
    )
    .bind(reason)
    .fetch_one(connection)
    .await
}

/// Takes the oldest comparison that is not done and that no instance works on.
pub(in crate::ingest) async fn claim_rebuild(
    connection: &mut PgConnection,
) -> sqlx::Result<Option<Rebuild>> {
    let sql = format!(
        "update rebuilds set not_before = clock_timestamp() + interval '{CLAIM}' \
         where id = ( \
             select id from rebuilds where finished_at is null and not_before <= clock_timestamp() \
             order by id limit 1 for update skip locked \
         ) \
         returning id, cursor, after_wallet, ends_compared, row_wallet, row_sequence"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .fetch_optional(connection)
        .await
}

/// Where a page was compared: what comes next, and what was found.
#[derive(Clone, Debug)]
pub(in crate::ingest) struct Step {
    pub(in crate::ingest) cursor: Option<String>,
    pub(in crate::ingest) after_wallet: Option<WalletId>,
    pub(in crate::ingest) compared: i64,
    pub(in crate::ingest) queued: i64,
    pub(in crate::ingest) is_last: bool,
}

pub(in crate::ingest) async fn advance_rebuild(
    connection: &mut PgConnection,
    id: i64,
    step: &Step,
) -> sqlx::Result<()> {
    sqlx::query(
        "update rebuilds \
         set cursor = $2, after_wallet = $3, compared = compared + $4, queued = queued + $5, not_before = now(), \
             ends_compared = $6 \
         where id = $1 and finished_at is null",
    )
    .bind(id)
    .bind(&step.cursor)
    .bind(step.after_wallet)
    .bind(step.compared)
    .bind(step.queued)
    .bind(step.is_last)
    .execute(connection)
    .await
    .map(drop)
}

/// Where a page of rows was looked at.
#[derive(Clone, Copy, Debug)]
pub(in crate::ingest) struct RowStep {
    pub(in crate::ingest) last: Option<(WalletId, Sequence)>,
    pub(in crate::ingest) checked: i64,
    pub(in crate::ingest) queued: i64,
    pub(in crate::ingest) is_last: bool,
}

pub(in crate::ingest) async fn advance_rows(
    connection: &mut PgConnection,
    id: i64,
    step: &RowStep,
) -> sqlx::Result<()> {
    sqlx::query(
        "update rebuilds \
         set row_wallet = coalesce($2, row_wallet), row_sequence = coalesce($3, row_sequence), \
             rows_checked = rows_checked + $4, queued = queued + $5, not_before = now(), \
             finished_at = case when $6 then now() end \
         where id = $1 and finished_at is null",
    )
    .bind(id)
    .bind(step.last.map(|(wallet, _)| wallet))
    .bind(step.last.map(|(_, sequence)| sequence))
    .bind(step.checked)
    .bind(step.queued)
    .bind(step.is_last)
    .execute(connection)
    .await
    .map(drop)
}

/// Gives a comparison back that could not go on.
pub(in crate::ingest) async fn give_rebuild_back(
    connection: &mut PgConnection,
    id: i64,
) -> sqlx::Result<()> {
    sqlx::query("update rebuilds set not_before = now() + interval '2 seconds' where id = $1")
        .bind(id)
        .execute(connection)
        .await
        .map(drop)
}

/// Makes the rows of wallets that have events and none, and mends those that say something else than the first event.
/// Says how many.
pub(in crate::ingest) async fn mend_wallet_rows(
    connection: &mut PgConnection,
    wallets: &[WalletId],
) -> sqlx::Result<u64> {
    sqlx::query(
        "insert into wallets as stored (wallet_id, user_id, currency) \
         select first.wallet_id, first.user_id, first.currency \
         from unnest($1) as asked (wallet_id) \
         cross join lateral ( \
             select events.wallet_id, events.user_id, events.currency from events \
             where events.wallet_id = asked.wallet_id order by events.sequence limit 1 \
         ) as first \
         where not exists ( \
             select from wallets \
             where wallets.wallet_id = asked.wallet_id and wallets.user_id = first.user_id \
               and wallets.currency = first.currency \
         ) \
         order by first.wallet_id \
         on conflict (wallet_id) do update set user_id = excluded.user_id, currency = excluded.currency",
    )
    .bind(wallets)
    .execute(connection)
    .await
    .map(|done| done.rows_affected())
}

/// Where history is with these wallets.
pub(in crate::ingest) async fn compare(
    connection: &mut PgConnection,
    heads: &[(WalletId, Sequence)],
) -> sqlx::Result<Vec<Compared>> {
    let (wallets, versions): (Vec<WalletId>, Vec<Sequence>) = heads.iter().copied().unzip();
    sqlx::query_as(concat!(
        "select asked.wallet_id, last.sequence as last_sequence, same.hash \
         from unnest($1, $2) as asked (wallet_id, version) \
         left join lateral ",
        LAST!("asked.wallet_id"),
        " as last on true \
         left join lateral ( \
             select hash from events where events.wallet_id = asked.wallet_id and events.sequence = asked.version \
             limit 1 \
         ) as same on true",
    ))
    .bind(wallets)
    .bind(versions)
    .fetch_all(connection)
    .await
}

/// The wallets of history behind `after` and up to `last` that are not among `known`.
pub(in crate::ingest) async fn wallets_beside(
    connection: &mut PgConnection,
    after: Option<WalletId>,
    last: Option<WalletId>,
    known: &[WalletId],
) -> sqlx::Result<Vec<WalletId>> {
    sqlx::query_scalar(
        "select wallet_id from wallets \
         where wallet_id > coalesce($1, '00000000-0000-0000-0000-000000000000') \
           and wallet_id <= coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff') \
           and wallet_id <> all ($3) \
           and exists (select from events where events.wallet_id = wallets.wallet_id) \
         order by wallet_id \
         limit 10000",
    )
    .bind(after)
    .bind(last)
    .bind(known)
    .fetch_all(connection)
    .await
}
