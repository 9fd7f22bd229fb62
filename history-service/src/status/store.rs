//! Every statement that looks at the ingest from outside. Reads only.

use shared::page::Limit;
use sqlx::PgPool;

use super::model::{
    Counts, Drift, Fork, Kept, KeptFilter, KeptInFull, Ordered, Partition, Proof, ProofRounds,
    Rebuild, Refills, Shown,
};

pub(super) async fn list_partitions(pool: &PgPool) -> sqlx::Result<Vec<Partition>> {
    sqlx::query_as(
        "select topic, partition, next_offset, updated_at from consumer_offsets order by topic, partition",
    )
    .fetch_all(pool)
    .await
}

/// Where the proof is, and what it found.
pub(super) async fn proof(pool: &PgPool) -> sqlx::Result<Proof> {
    let rounds: ProofRounds = sqlx::query_as(
        "select new_finished_at as finished_at, whole_finished_at, \
                case when whole_is_running then whole_begun_at end as whole_begun_at, ledger_compared_at, ledger_error \
         from proof_state",
    )
    .fetch_one(pool)
    .await?;
    let wallets_drifted = sqlx::query_scalar("select count(distinct wallet_id) from drifts")
        .fetch_one(pool)
        .await?;
    let drifts: Vec<Drift> = sqlx::query_as(
        "select wallet_id, reason, sequence, detail, found_at from drifts order by wallet_id, reason limit 100",
    )
    .fetch_all(pool)
    .await?;
    Ok(Proof {
        rounds,
        wallets_drifted,
        drifts,
    })
}

/// All are few, or an operator has to act.
pub(super) async fn count_set_aside(pool: &PgPool) -> sqlx::Result<Counts> {
    sqlx::query_as(
        "select (select count(*) from parked_events) as parked_events, \
                (select count(*) from quarantine as kept \
                 where not exists (select from quarantine_resolutions where quarantine_id = kept.id) \
                ) as quarantined_messages, \
                (select count(*) from waiting_events) as waiting_events",
    )
    .fetch_one(pool)
    .await
}

/// What both tables say alike of a message.
macro_rules! KEPT {
    () => {
        "kept.id, kept.topic, kept.partition, kept.\"offset\", kept.wallet_id, kept.sequence, \
         substring(kept.key for 100) as key, coalesce(octet_length(kept.value), 0)::bigint as value_bytes, \
         coalesce(substring(kept.value for 500), '') as value_preview, "
    };
}

/// What only the quarantine says, with the resolution beside it.
macro_rules! QUARANTINED {
    () => {
        "coalesce(resolution.resolution, 'open') as status, kept.reason, kept.detail, kept.recorded_at, \
         resolution.reason as resolution_reason, resolution.actor as resolution_actor, resolution.resolved_at"
    };
}

/// The same of an event that waits.
macro_rules! WAITING {
    () => {
        "'waiting' as status, \
         'schema version ' || kept.schema_version || coalesce(', kind ' || kept.kind, '') || ' is not known to the build \
          that received it' as detail, \
         'unknown_event' as reason, kept.waiting_since as recorded_at, \
         null::text as resolution_reason, null::text as resolution_actor, null::timestamptz as resolved_at"
    };
}

/// All that was received.
macro_rules! IN_FULL {
    () => {
        ", kept.value, encode(kept.value, 'hex') as value_hex, encode(kept.key, 'hex') as key_hex, kept.headers"
    };
}

pub(super) async fn list_quarantined(
    pool: &PgPool,
    filter: &KeptFilter,
    before: Option<i64>,
    limit: Limit,
) -> sqlx::Result<Vec<Kept>> {
    sqlx::query_as(concat!(
        "select ",
        KEPT!(),
        QUARANTINED!(),
        " from quarantine as kept \
         left join quarantine_resolutions as resolution on resolution.quarantine_id = kept.id \
         where kept.id < coalesce($1, 9223372036854775807) and ($2 or resolution.quarantine_id is null) \
           and ($4::text is null or kept.reason = $4) and ($5::uuid is null or kept.wallet_id = $5) \
         order by kept.id desc limit $3"
    ))
    .bind(before)
    .bind(filter.shown == Shown::All)
    .bind(limit.with_lookahead())
    .bind(filter.reason)
    .bind(filter.wallet_id)
    .fetch_all(pool)
    .await
}

pub(super) async fn list_waiting(
    pool: &PgPool,
    filter: &KeptFilter,
    before: Option<i64>,
    limit: Limit,
) -> sqlx::Result<Vec<Kept>> {
    sqlx::query_as(concat!(
        "select ",
        KEPT!(),
        WAITING!(),
        " from waiting_events as kept where kept.id < coalesce($1, 9223372036854775807) \
           and ($3::text is null or kept.kind = $3) and ($4::uuid is null or kept.wallet_id = $4) \
         order by kept.id desc limit $2"
    ))
    .bind(before)
    .bind(limit.with_lookahead())
    .bind(filter.kind.as_deref())
    .bind(filter.wallet_id)
    .fetch_all(pool)
    .await
}

/// In the quarantine, or among those that wait.
pub(super) async fn find_kept(pool: &PgPool, id: i64) -> sqlx::Result<Option<KeptInFull>> {
    let quarantined = sqlx::query_as(concat!(
        "select ",
        KEPT!(),
        QUARANTINED!(),
        IN_FULL!(),
        " from quarantine as kept \
         left join quarantine_resolutions as resolution on resolution.quarantine_id = kept.id where kept.id = $1"
    ))
    .bind(id)
    .fetch_optional(pool)
    .await?;
    if quarantined.is_some() {
        return Ok(quarantined);
    }
    sqlx::query_as(concat!(
        "select ",
        KEPT!(),
        WAITING!(),
        IN_FULL!(),
        " from waiting_events as kept where kept.id = $1"
    ))
    .bind(id)
    .fetch_optional(pool)
    .await
}

/// What became of an order, `rebuilds as ordered`, beside what is left over of it.
macro_rules! STATUS {
    () => {
        "case when ordered.ended_by is not null then 'ended' \
              when ordered.finished_at is null or left_over.waiting > 0 or ordered.recounted_at is null then 'running' \
              when ordered.stuck > 0 or ordered.unknown > 0 then 'failed' \
              else 'finished' end as status"
    };
}

/// What was not done yet when the order's own row was written last.
macro_rules! LEFT_OVER {
    () => {
        " cross join lateral ( \
             select count(*) as waiting, coalesce(sum(events_added), 0) as added, \
                    coalesce(sum(events_set_aside), 0) as set_aside \
             from refills where ordered.id = any (rebuild_ids) \
         ) as left_over"
    };
}

/// Wallets that are not as in the ledger: how many, and the first of those that do not heal by themselves.
pub(super) async fn refills(pool: &PgPool) -> sqlx::Result<Refills> {
    let (waiting, forked) = sqlx::query_as(
        "select count(*) filter (where state = 'waiting'), count(*) filter (where state = 'forked') from refills",
    )
    .fetch_one(pool)
    .await?;
    let forks: Vec<Fork> = sqlx::query_as(
        "select wallet_id, state, common_sequence, detail, requested_at from refills \
         where state <> 'waiting' order by wallet_id limit 100",
    )
    .fetch_all(pool)
    .await?;
    let rebuild: Option<Rebuild> = sqlx::query_as(concat!(
        "select id, requested_at, reason, actor, ledger_wins, compared, queued, finished_at, ",
        STATUS!(),
        " from (select * from rebuilds \
                order by finished_at is not null, case when finished_at is null then id else -id end limit 1) as ordered",
        LEFT_OVER!()
    ))
    .fetch_optional(pool)
    .await?;
    Ok(Refills {
        waiting,
        forked,
        forks,
        rebuild,
    })
}

/// One order, with what became of its wallets.
pub(super) async fn find_order(pool: &PgPool, id: i64) -> sqlx::Result<Option<Ordered>> {
    sqlx::query_as(concat!(
        "select ordered.id, ordered.requested_at, ordered.reason, ordered.actor, ordered.wallet_id, \
                ordered.ledger_wins, ordered.compared, ordered.rows_checked, ordered.queued, left_over.waiting, \
                ordered.mended, ordered.unchanged, ordered.unknown, ordered.stuck, \
                (ordered.events_added + left_over.added)::bigint as events_added, \
                (ordered.events_set_aside + left_over.set_aside)::bigint as events_set_aside, \
                ordered.totals_mended, \
                ordered.ended_by, ordered.ended_reason, ",
        STATUS!(),
        " from rebuilds as ordered",
        LEFT_OVER!(),
        " where ordered.id = $1",
    ))
    .bind(id)
    .fetch_optional(pool)
    .await
}

/// The first wallet of an order that could not be brought to the ledger's state, as it is now.
pub(super) async fn first_stuck(pool: &PgPool, id: i64) -> sqlx::Result<Option<Fork>> {
    sqlx::query_as(
        "select refills.wallet_id, refills.state, refills.common_sequence, refills.detail, refills.requested_at \
         from rebuilds join refills on refills.wallet_id = rebuilds.first_stuck where rebuilds.id = $1",
    )
    .bind(id)
    .fetch_optional(pool)
    .await
}
