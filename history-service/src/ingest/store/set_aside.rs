//! Events of a branch that the ledger does not have: out of the way, and kept. They leave by the database's own function,
//! which no other right than to call it is needed for.

use shared::{Sequence, Timestamp, WalletId, server::postgres::HistoryLock};
use sqlx::PgConnection;

use super::waiting::known_versions;
use crate::ingest::message::Reason;

/// What is done by a person's word.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetAside {
    pub wallet: WalletId,
    /// The last number that stays.
    pub keep: Sequence,
    pub reason: String,
    pub actor: String,
}

/// From here to the end of the transaction no event is set aside. What moves offsets holds their rows instead.
pub(in crate::ingest) async fn share_heads(connection: &mut PgConnection) -> sqlx::Result<()> {
    HistoryLock::Heads.share(connection).await
}

/// Waits until nothing is being appended, and keeps it so to the end of the transaction. Whoever appends next finds the
/// count beside its offsets changed, and forgets the heads that it knew.
pub(in crate::ingest) async fn own_heads(connection: &mut PgConnection) -> sqlx::Result<()> {
    HistoryLock::Heads.own(connection).await?;
    sqlx::query(
        "update consumer_offsets as stored set set_asides = stored.set_asides + 1 \
         from ( \
             select topic, partition from consumer_offsets order by topic, partition for update \
         ) as locked \
         where stored.topic = locked.topic and stored.partition = locked.partition",
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Messages that did not fit the branch that is gone are of no use any more, or are here by now.
pub(in crate::ingest) async fn supersede(
    connection: &mut PgConnection,
    wallet: WalletId,
    reason: &str,
    actor: &str,
) -> sqlx::Result<()> {
    sqlx::query(
        "insert into quarantine_resolutions (quarantine_id, resolution, reason, actor) \
         select id, 'superseded', $2, $3 from quarantine \
         where wallet_id = $1 and reason in ('conflicting_event', 'chain_broken') \
         on conflict (quarantine_id) do nothing",
    )
    .bind(wallet)
    .bind(reason)
    .bind(actor)
    .execute(connection)
    .await
    .map(drop)
}

/// Moves events of a wallet that wait for a newer build since before a moment into the quarantine, under their ids, and
/// settles them there. Says how many.
pub(in crate::ingest) async fn set_waiting_aside(
    connection: &mut PgConnection,
    set_aside: &SetAside,
    before: Timestamp,
) -> sqlx::Result<usize> {
    let SetAside {
        wallet,
        reason,
        actor,
        ..
    } = set_aside;
    let moved: i64 = sqlx::query_scalar(
        "with gone as ( \
             delete from waiting_events where wallet_id = $1 and waiting_since < $2 returning * \
         ), \
         kept as ( \
             insert into quarantine (id, topic, partition, \"offset\", key, value, headers, reason, detail, wallet_id, \
                                     sequence, content_hash) \
             overriding system value \
             select id, topic, partition, \"offset\", key, value, headers, \
                    case when schema_version = any ($3) then $4 else $5 end, \
                    'the ledger knows no such wallet', wallet_id, sequence, content_hash \
             from gone on conflict (content_hash) do nothing returning id \
         ), \
         settled as ( \
             insert into quarantine_resolutions (quarantine_id, resolution, reason, actor) \
             select id, 'superseded', $6, $7 from kept \
         ) \
         select count(*) from gone",
    )
    .bind(wallet)
    .bind(before)
    .bind(known_versions())
    .bind(Reason::UnknownKind)
    .bind(Reason::UnknownVersion)
    .bind(reason)
    .bind(actor)
    .fetch_one(connection)
    .await?;
    Ok(usize::try_from(moved).unwrap_or_default())
}

/// Rows that leave for others under the same numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replaced {
    pub wallet: WalletId,
    pub sequences: Vec<Sequence>,
    pub reason: String,
    pub actor: String,
}

/// Moves what stands above `keep` out of `events`. The caller owns the heads.
pub(in crate::ingest) async fn set_events_aside(
    connection: &mut PgConnection,
    set_aside: &SetAside,
) -> sqlx::Result<u64> {
    let SetAside {
        wallet,
        keep,
        reason,
        actor,
    } = set_aside;
    let moved: i64 = sqlx::query_scalar(
        "select set_events_aside( \
             $1, array(select sequence from events where wallet_id = $1 and sequence > $2), $3, $4)",
    )
    .bind(wallet)
    .bind(keep)
    .bind(reason)
    .bind(actor)
    .fetch_one(connection)
    .await?;
    Ok(moved.unsigned_abs())
}

/// Moves rows out of `events` for which others are inserted in the same transaction. The caller owns the heads.
pub(in crate::ingest) async fn set_rows_aside(
    connection: &mut PgConnection,
    replaced: &Replaced,
) -> sqlx::Result<u64> {
    let Replaced {
        wallet,
        sequences,
        reason,
        actor,
    } = replaced;
    let moved: i64 = sqlx::query_scalar("select set_events_aside($1, $2, $3, $4)")
        .bind(wallet)
        .bind(sequences)
        .bind(reason)
        .bind(actor)
        .fetch_one(connection)
        .await?;
    Ok(moved.unsigned_abs())
}
