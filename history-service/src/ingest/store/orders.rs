//! What people order: that wallets are brought to the ledger's state. What comes of it is counted beside the order.

use serde::Serialize;
use shared::{Timestamp, WalletId};
use sqlx::PgConnection;

use super::sequences::Ids;

/// An order that was taken.
#[derive(Clone, Copy, Debug, Serialize, schemars::JsonSchema, sqlx::FromRow)]
#[schemars(rename = "Requested")]
pub struct Requested {
    pub id: i64,
    pub requested_at: Timestamp,
}

/// Of which wallets the ledger wins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RepairOf {
    Wallet(WalletId),
    /// All that are known to be forked.
    Forked,
    /// All that are known here and not in the ledger.
    Unknown,
}

/// Asks for a comparison of all wallets. One that has not begun yet serves as well.
pub(in crate::ingest) async fn request_rebuild(
    connection: &mut PgConnection,
    reason: &str,
    actor: &str,
) -> sqlx::Result<Requested> {
    let ordered = insert_rebuild(connection, reason, actor).await;
    let Some(ids) = Ids::taken_for(&ordered) else {
        return ordered;
    };
    // A statement of its own: it can be given once more.
    ids.move_on(connection).await?;
    insert_rebuild(connection, reason, actor).await
}

async fn insert_rebuild(
    connection: &mut PgConnection,
    reason: &str,
    actor: &str,
) -> sqlx::Result<Requested> {
    sqlx::query_as(
        "with waiting as ( \
             select id, requested_at from rebuilds \
             where finished_at is null and cursor is null and not ends_compared order by id limit 1 \
         ), \
         added as ( \
             insert into rebuilds (reason, actor) \
             select $1, $2 where not exists (select from waiting) \
             returning id, requested_at \
         ) \
         select id, requested_at from waiting union all select id, requested_at from added",
    )
    .bind(reason)
    .bind(actor)
    .fetch_one(connection)
    .await
}

/// Ends a comparison that is not done, with a person's word for it. One that is done stays as it is. Wallets that it had
/// found to be different are still brought to the ledger's state.
pub(in crate::ingest) async fn end_rebuild(
    connection: &mut PgConnection,
    id: i64,
    reason: &str,
    actor: &str,
) -> sqlx::Result<()> {
    sqlx::query(
        "update rebuilds set finished_at = now(), ended_by = $3, ended_reason = $2 \
         where id = $1 and finished_at is null",
    )
    .bind(id)
    .bind(reason)
    .bind(actor)
    .execute(connection)
    .await
    .map(drop)
}

/// Orders one wallet, with all its rows, at once.
pub(in crate::ingest) async fn request_wallet(
    connection: &mut PgConnection,
    wallet: WalletId,
    reason: &str,
    actor: &str,
) -> sqlx::Result<Requested> {
    let ordered = insert_wallet(connection, wallet, reason, actor).await;
    let Some(ids) = Ids::taken_for(&ordered) else {
        return ordered;
    };
    // A statement of its own: it can be given once more.
    ids.move_on(connection).await?;
    insert_wallet(connection, wallet, reason, actor).await
}

async fn insert_wallet(
    connection: &mut PgConnection,
    wallet: WalletId,
    reason: &str,
    actor: &str,
) -> sqlx::Result<Requested> {
    sqlx::query_as(
        "with ordered as ( \
             insert into rebuilds (wallet_id, reason, actor, queued, ends_compared, finished_at) \
             values ($1, $2, $3, 1, true, now()) \
             returning id, requested_at \
         ), \
         asked as ( \
             insert into refills (wallet_id, reason, rows_checked_to, rebuild_ids) \
             select $1, 'rebuild', 0, array[id] from ordered \
             on conflict (wallet_id) do update \
             set requests = refills.requests + 1, state = 'waiting', failures = 0, not_before = now(), \
                 rows_checked_to = 0, \
                 rebuild_ids = refills.rebuild_ids || excluded.rebuild_ids \
         ) \
         select id, requested_at from ordered",
    )
    .bind(wallet)
    .bind(reason)
    .bind(actor)
    .fetch_one(connection)
    .await
}

/// A person's word that the ledger wins: for one wallet, or for all of a kind, forked ones that are looked at again
/// included. Returns which; no order when there are none.
pub(in crate::ingest) async fn request_repair(
    connection: &mut PgConnection,
    of: RepairOf,
    reason: &str,
    actor: &str,
) -> sqlx::Result<Option<(Requested, Vec<WalletId>)>> {
    let ordered = insert_repair(connection, of, reason, actor).await;
    let Some(ids) = Ids::taken_for(&ordered) else {
        return ordered;
    };
    // A statement of its own: it can be given once more.
    ids.move_on(connection).await?;
    insert_repair(connection, of, reason, actor).await
}

async fn insert_repair(
    connection: &mut PgConnection,
    of: RepairOf,
    reason: &str,
    actor: &str,
) -> sqlx::Result<Option<(Requested, Vec<WalletId>)>> {
    let wallet = match of {
        RepairOf::Wallet(wallet) => Some(wallet),
        RepairOf::Forked | RepairOf::Unknown => None,
    };
    let ordered: Option<(i64, Timestamp, Vec<WalletId>)> = sqlx::query_as(
        "with asked as ( \
             select wallet_id from refills \
             where $1::uuid is null and case when $4 then state = 'unknown' else common_sequence is not null end \
             union all \
             select $1 where $1 is not null \
         ), \
         ordered as ( \
             insert into rebuilds (wallet_id, ledger_wins, reason, actor, queued, ends_compared, finished_at) \
             select $1, true, $2, $3, count(*), true, now() from asked having count(*) > 0 \
             returning id, requested_at \
         ), \
         noted as ( \
             insert into refills (wallet_id, reason, repair_reason, repair_actor, rows_checked_to, rebuild_ids) \
             select asked.wallet_id, 'repair', $2, $3, 0, array[ordered.id] from asked cross join ordered \
             order by asked.wallet_id \
             on conflict (wallet_id) do update \
             set repair_reason = excluded.repair_reason, repair_actor = excluded.repair_actor, state = 'waiting', \
                 failures = 0, requests = refills.requests + 1, not_before = now(), rows_checked_to = 0, \
                 rebuild_ids = refills.rebuild_ids || excluded.rebuild_ids \
             returning wallet_id \
         ) \
         select ordered.id, ordered.requested_at, array(select wallet_id from noted order by wallet_id) from ordered",
    )
    .bind(wallet)
    .bind(reason)
    .bind(actor)
    .bind(of == RepairOf::Unknown)
    .fetch_optional(connection)
    .await?;
    let order = |(id, requested_at, wallets)| (Requested { id, requested_at }, wallets);
    Ok(ordered.map(order))
}
