//! Events of a branch that the ledger does not have: out of the way, and kept.

use shared::{Sequence, WalletId};
use sqlx::PgConnection;

/// What is `gone`, kept.
macro_rules! KEEP {
    () => {
        "insert into set_aside_events ( \
             wallet_id, sequence, event_id, schema_version, user_id, kind, transaction_id, amount, currency, \
             balance_after, counterparty_wallet_id, occurred_at, recorded_at, actor, subject, correlation_id, data, hash, \
             set_aside_reason, set_aside_by) \
         select wallet_id, sequence, event_id, schema_version, user_id, kind, transaction_id, amount, currency, \
                balance_after, counterparty_wallet_id, occurred_at, recorded_at, actor, subject, correlation_id, data, hash, \
                $3, $4 \
         from gone"
    };
}

/// Of the advisory lock that is shared by what appends to a wallet without moving an offset.
const HEADS_LOCK: (i32, i32) = (0x6869_7374, 1);

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
    let (class, object) = HEADS_LOCK;
    sqlx::query("select pg_advisory_xact_lock_shared($1, $2)")
        .bind(class)
        .bind(object)
        .execute(connection)
        .await
        .map(drop)
}

/// Waits until nothing is being appended, and keeps it so to the end of the transaction. Whoever appends next finds the
/// count beside its offsets changed, and forgets the heads that it knew.
pub(in crate::ingest) async fn own_heads(connection: &mut PgConnection) -> sqlx::Result<()> {
    let (class, object) = HEADS_LOCK;
    sqlx::query("select pg_advisory_xact_lock($1, $2)")
        .bind(class)
        .bind(object)
        .execute(&mut *connection)
        .await?;
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
    sqlx::query(concat!(
        "with gone as (delete from events where wallet_id = $1 and sequence > $2 returning *) ",
        KEEP!()
    ))
    .bind(wallet)
    .bind(keep)
    .bind(reason)
    .bind(actor)
    .execute(connection)
    .await
    .map(|done| done.rows_affected())
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
    sqlx::query(concat!(
        "with gone as (delete from events where wallet_id = $1 and sequence = any ($2) returning *) ",
        KEEP!()
    ))
    .bind(wallet)
    .bind(sequences)
    .bind(reason)
    .bind(actor)
    .execute(connection)
    .await
    .map(|done| done.rows_affected())
}
