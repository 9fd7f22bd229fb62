//! What the proof found to be wrong, and what the comparison with the ledger found.

use shared::{Sequence, WalletId};
use sqlx::PgConnection;

use crate::ingest::apply::proof::{Drift, DriftReason};

/// These wallets were looked at from what was proved of them on: what is not found any more goes.
pub(in crate::ingest) async fn settle(
    connection: &mut PgConnection,
    wallets: &[WalletId],
    found: &[Drift],
) -> sqlx::Result<()> {
    sqlx::query(
        "delete from drifts using unnest($1) as looked_at (wallet_id) \
         where drifts.wallet_id = looked_at.wallet_id and drifts.reason <> $4 \
           and not exists ( \
               select from unnest($2, $3) as found (wallet_id, reason) \
               where found.wallet_id = drifts.wallet_id and found.reason = drifts.reason \
           )",
    )
    .bind(wallets)
    .bind(Vec::from_iter(found.iter().map(|drift| drift.wallet_id)))
    .bind(Vec::from_iter(found.iter().map(|drift| drift.reason)))
    .bind(DriftReason::LedgerDiffers)
    .execute(&mut *connection)
    .await?;
    note(connection, found, Known::Moves).await
}

/// What becomes of a drift that is known already, with another number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::ingest) enum Known {
    Moves,
    /// The lower number stays.
    Stays,
}

/// Notes what was found.
pub(in crate::ingest) async fn note(
    connection: &mut PgConnection,
    found: &[Drift],
    known: Known,
) -> sqlx::Result<()> {
    if found.is_empty() {
        return Ok(());
    }
    let of = found.iter();
    let new: Vec<(WalletId, DriftReason, Sequence, String)> = sqlx::query_as(
        "insert into drifts as stored (wallet_id, reason, sequence, detail) \
         select distinct on (wallet_id, reason) * from unnest($1, $2, $3, $4) as found (wallet_id, reason, sequence, detail) \
         order by wallet_id, reason, sequence \
         on conflict (wallet_id, reason) do update set sequence = excluded.sequence, detail = excluded.detail \
         where (excluded.sequence, excluded.detail) <> (stored.sequence, stored.detail) \
           and ($5 or excluded.sequence < stored.sequence) \
         returning wallet_id, reason, sequence, detail",
    )
    .bind(Vec::from_iter(of.clone().map(|drift| drift.wallet_id)))
    .bind(Vec::from_iter(of.clone().map(|drift| drift.reason)))
    .bind(Vec::from_iter(of.clone().map(|drift| drift.sequence)))
    .bind(Vec::from_iter(of.map(|drift| drift.detail.as_str())))
    .bind(known == Known::Moves)
    .fetch_all(connection)
    .await?;
    for (wallet, reason, sequence, detail) in new {
        tracing::error!(%wallet, %reason, %sequence, detail, "history is not what was written");
    }
    Ok(())
}

/// The ends of these wallets were compared with the ledger's, and only what was found differs.
pub(in crate::ingest) async fn compared(
    connection: &mut PgConnection,
    wallets: &[WalletId],
    found: &[Drift],
) -> sqlx::Result<()> {
    sqlx::query(
        "delete from drifts using unnest($1) as looked_at (wallet_id) \
         where drifts.wallet_id = looked_at.wallet_id and drifts.reason = $3 and drifts.wallet_id <> all ($2)",
    )
    .bind(wallets)
    .bind(Vec::from_iter(found.iter().map(|drift| drift.wallet_id)))
    .bind(DriftReason::LedgerDiffers)
    .execute(&mut *connection)
    .await?;
    note(connection, found, Known::Moves).await
}

/// A round of comparisons ended, or why none can be made.
pub(in crate::ingest) async fn ledger_compared(
    connection: &mut PgConnection,
    error: Option<&str>,
) -> sqlx::Result<()> {
    sqlx::query(
        "update proof_state set ledger_error = $1, \
             ledger_compared_at = case when $1 is null then clock_timestamp() else ledger_compared_at end",
    )
    .bind(error)
    .execute(connection)
    .await
    .map(drop)
}

/// What health and numbers say of the proof.
#[derive(Clone, PartialEq, Debug, sqlx::FromRow)]
pub(in crate::ingest) struct Verdict {
    pub(in crate::ingest) wallets: i64,
    pub(in crate::ingest) first: Vec<WalletId>,
    pub(in crate::ingest) new_age: Option<f64>,
    pub(in crate::ingest) whole_age: Option<f64>,
}

pub(in crate::ingest) async fn told(
    connection: &mut PgConnection,
    named: i64,
) -> sqlx::Result<Verdict> {
    sqlx::query_as(
        "select (select count(distinct wallet_id) from drifts) as wallets, \
                array(select distinct wallet_id from drifts order by wallet_id limit $1) as first, \
                extract(epoch from clock_timestamp() - new_finished_at)::double precision as new_age, \
                extract(epoch from clock_timestamp() - whole_finished_at)::double precision as whole_age \
         from proof_state",
    )
    .bind(named)
    .fetch_one(connection)
    .await
}
