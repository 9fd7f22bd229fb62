//! The wallets whose events have to be asked of the ledger.
//!
//! A row is claimed by moving `not_before` ahead, so instances share the work and one that hangs loses its claim. It goes
//! when history agrees with the ledger, but only if nothing asked for it again meanwhile. What people order stands in
//! [`super::orders`].

use std::time::Duration;

use shared::{Hash, Sequence, Timestamp, WalletId};
use sqlx::PgConnection;

use super::archived::LAST;

/// How long a claim holds: far longer than a turn takes.
const CLAIM: &str = "60 seconds";
/// How many wallets with parked events one look takes in.
const GAPS_PER_LOOK: i64 = 1_000;

/// Where a wallet is on its way to the ledger's state. The names stand in SQL and in JSON.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    schemars::JsonSchema,
    serde::Serialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(const_into_str, serialize_all = "snake_case")]
pub enum RefillState {
    Waiting,
    /// History and ledger have other events under one number.
    Forked,
    /// The ledger has no such wallet.
    Unknown,
    /// This build cannot read what the ledger says.
    Unreadable,
    /// In the ledger a row or an event does not follow from the journal before it.
    Contradictory,
}

impl RefillState {
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }
}

shared::sql_text!(RefillState);

/// A wallet that was claimed.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(in crate::ingest) struct Refill {
    pub(in crate::ingest) wallet_id: WalletId,
    pub(in crate::ingest) requests: i64,
    pub(in crate::ingest) repair_reason: Option<String>,
    pub(in crate::ingest) repair_actor: Option<String>,
    /// How far its rows were looked at; none when only its end is compared.
    pub(in crate::ingest) rows_checked_to: Option<Sequence>,
    /// Who ordered it, when it was ordered.
    pub(in crate::ingest) ordered_by: Option<String>,
    /// Where history is with it, if it has it: its last event, or the last one that is in an archive.
    pub(in crate::ingest) last_sequence: Option<Sequence>,
    pub(in crate::ingest) last_hash: Option<Hash>,
    /// Up to which event it is in an archive.
    pub(in crate::ingest) archived_to: Option<Sequence>,
    /// The database's clock, before the ledger is asked.
    pub(in crate::ingest) asked_at: Timestamp,
}

/// What became of a wallet that cannot be brought to the ledger's state as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::ingest) enum Stuck {
    Forked { common: Sequence },
    Unknown,
    Unreadable,
    Contradictory,
}

impl Stuck {
    const fn state(self) -> RefillState {
        match self {
            Self::Forked { .. } => RefillState::Forked,
            Self::Unknown => RefillState::Unknown,
            Self::Unreadable => RefillState::Unreadable,
            Self::Contradictory => RefillState::Contradictory,
        }
    }
}

/// Asks for wallets of which something came or stands here that contradicts the rest.
pub(in crate::ingest) async fn ask_about_conflicts(
    connection: &mut PgConnection,
    wallets: &[WalletId],
) -> sqlx::Result<()> {
    request(connection, wallets, "conflict", None).await
}

/// Asks for wallets with all their rows, once more also when they are asked for already; for an order, if it is one's.
pub(in crate::ingest) async fn request(
    connection: &mut PgConnection,
    wallets: &[WalletId],
    reason: &str,
    rebuild: Option<i64>,
) -> sqlx::Result<()> {
    sqlx::query(
        "insert into refills (wallet_id, reason, rows_checked_to, rebuild_ids) \
         select distinct asked.wallet_id, $2, 0, array_remove(array[$3::bigint], null) \
         from unnest($1) as asked (wallet_id) order by 1 \
         on conflict (wallet_id) do update \
         set requests = refills.requests + 1, not_before = least(refills.not_before, now() + interval '5 seconds'), \
             rows_checked_to = 0, \
             rebuild_ids = array_remove(refills.rebuild_ids, $3) || excluded.rebuild_ids",
    )
    .bind(wallets)
    .bind(reason)
    .bind(rebuild)
    .execute(connection)
    .await
    .map(drop)
}

/// Asks for wallets that do not end as in the ledger, of which nothing else is known to be wrong: with their ends alone.
pub(in crate::ingest) async fn request_ends(
    connection: &mut PgConnection,
    wallets: &[WalletId],
) -> sqlx::Result<()> {
    sqlx::query(
        "insert into refills (wallet_id, reason) \
         select distinct asked.wallet_id, 'comparison' from unnest($1) as asked (wallet_id) order by 1 \
         on conflict (wallet_id) do nothing",
    )
    .bind(wallets)
    .execute(connection)
    .await
    .map(drop)
}

/// Whether there is anything to look at: the one question of a turn in which nothing is wrong.
pub(in crate::ingest) async fn is_any_work(connection: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "select exists (select from parked_events) or exists (select from refills) \
             or exists (select from rebuilds where finished_at is null)",
    )
    .fetch_one(connection)
    .await
}

/// Asks for wallets whose lowest parked event has waited longer than `waited`, and is not due: one before it is missing,
/// or it is for a hole of which nothing beside it is there. Looks through some of them behind `after`, and says where to
/// look next; none at the end.
pub(in crate::ingest) async fn request_for_gaps(
    connection: &mut PgConnection,
    after: Option<WalletId>,
    waited: Duration,
) -> sqlx::Result<Option<WalletId>> {
    let (last, looked): (Option<WalletId>, i64) = sqlx::query_as(
        "with recursive parked as ( \
             (select wallet_id, sequence, parked_at, 1 as nth from parked_events \
              where wallet_id > coalesce($1, '00000000-0000-0000-0000-000000000000') \
              order by wallet_id, sequence limit 1) \
             union all \
             select following.*, parked.nth + 1 \
             from parked \
             cross join lateral ( \
                 select wallet_id, sequence, parked_at from parked_events \
                 where wallet_id > parked.wallet_id \
                 order by wallet_id, sequence limit 1 \
             ) as following \
             where parked.nth < $3 \
         ), \
         asked as ( \
             insert into refills (wallet_id, reason, rows_checked_to) \
             select parked.wallet_id, 'gap', case when parked.sequence <= head.sequence then 0 end \
             from parked \
             left join lateral ( \
                 select sequence from events where events.wallet_id = parked.wallet_id \
                 order by sequence desc limit 1 \
             ) as head on true \
             where parked.parked_at < now() - make_interval(secs => $2) \
               and parked.sequence <> coalesce(head.sequence, 0) + 1 \
             on conflict (wallet_id) do nothing \
         ) \
         select (select wallet_id from parked order by nth desc limit 1), (select count(*) from parked)",
    )
    .bind(after)
    .bind(waited.as_secs_f64())
    .bind(GAPS_PER_LOOK)
    .fetch_one(connection)
    .await?;
    Ok(last.filter(|_| looked >= GAPS_PER_LOOK))
}

/// Gaps that closed by themselves need not be asked for any more.
pub(in crate::ingest) async fn forget_closed_gaps(
    connection: &mut PgConnection,
) -> sqlx::Result<()> {
    sqlx::query(
        "delete from refills \
         where reason = 'gap' and state = 'waiting' and requests = 1 and repair_reason is null \
           and not exists (select from parked_events where parked_events.wallet_id = refills.wallet_id)",
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Takes up to `limit` wallets, oldest first.
pub(in crate::ingest) async fn claim(
    connection: &mut PgConnection,
    limit: i64,
) -> sqlx::Result<Vec<Refill>> {
    // `clock_timestamp`: a row that is asked for once more in this moment is not claimed for a time that has passed.
    let sql = format!(
        "with due as ( \
             select wallet_id from refills where not_before <= clock_timestamp() \
             order by not_before limit $1 for update skip locked \
         ), \
         claimed as ( \
             update refills set not_before = clock_timestamp() + interval '{CLAIM}' \
             from due where refills.wallet_id = due.wallet_id \
             returning refills.wallet_id, refills.requests, refills.repair_reason, refills.repair_actor, \
                       refills.rows_checked_to, refills.rebuild_ids \
         ) \
         select claimed.*, rebuilds.actor as ordered_by, head.sequence as last_sequence, head.hash as last_hash, \
                (select max(sequence) from archived_wallets where archived_wallets.wallet_id = claimed.wallet_id) \
                    as archived_to, \
                clock_timestamp() as asked_at \
         from claimed \
         left join rebuilds on rebuilds.id = claimed.rebuild_ids[cardinality(claimed.rebuild_ids)] \
         left join lateral {last} as head on true \
         order by claimed.wallet_id",
        last = LAST!("claimed.wallet_id"),
    );
    sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(limit)
        .fetch_all(connection)
        .await
}

/// Whether events of the wallet wait for others.
pub(crate) async fn are_events_parked(
    connection: &mut PgConnection,
    wallet: WalletId,
) -> sqlx::Result<bool> {
    sqlx::query_scalar("select exists (select from parked_events where wallet_id = $1)")
        .bind(wallet)
        .fetch_one(connection)
        .await
}

/// The same, or for a build that knows them.
pub(in crate::ingest) async fn is_anything_left(
    connection: &mut PgConnection,
    wallet: WalletId,
) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "select exists (select from parked_events where wallet_id = $1) \
             or exists (select from waiting_events where wallet_id = $1)",
    )
    .bind(wallet)
    .fetch_one(connection)
    .await
}

/// How a wallet was found at the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::ingest) enum End {
    /// As in the ledger; something beside its events was mended, or was not.
    Whole { row_mended: bool },
    /// Known nowhere; by now, if its events were set aside.
    Unknown,
}

/// A wallet that was claimed is done with. One that was asked for meanwhile stays, and is due again. What was done is
/// counted for the order.
pub(in crate::ingest) async fn finish(
    connection: &mut PgConnection,
    refill: &Refill,
    end: End,
) -> sqlx::Result<()> {
    sqlx::query(
        "with done as ( \
             delete from refills where wallet_id = $1 and requests = $2 \
             returning rebuild_ids, events_added, events_set_aside \
         ), \
         counted as ( \
             update rebuilds \
             set mended = mended + ($4 or done.events_added + done.events_set_aside > 0)::integer, \
                 unchanged = unchanged + ($3 and not $4 and done.events_added + done.events_set_aside = 0)::integer, \
                 unknown = unknown + (not $3 and done.events_added + done.events_set_aside = 0)::integer, \
                 events_added = rebuilds.events_added + done.events_added, \
                 events_set_aside = rebuilds.events_set_aside + done.events_set_aside \
             from done where rebuilds.id = any (done.rebuild_ids) \
         ) \
         update refills set not_before = now(), state = 'waiting', failures = 0, detail = null \
         where wallet_id = $1 and not exists (select from done)",
    )
    .bind(refill.wallet_id)
    .bind(refill.requests)
    .bind(end != End::Unknown)
    .bind(end == End::Whole { row_mended: true })
    .execute(connection)
    .await
    .map(drop)
}

/// What was done about a wallet in one step.
#[derive(Clone, Copy, Default, Debug)]
pub(in crate::ingest) struct Done {
    pub(in crate::ingest) added: usize,
    pub(in crate::ingest) set_aside: usize,
}

/// A step is done: the wallet is due again, with its rows looked at up to this number.
pub(in crate::ingest) async fn go_on(
    connection: &mut PgConnection,
    refill: &Refill,
    rows_checked_to: Option<Sequence>,
    done: Done,
) -> sqlx::Result<()> {
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    sqlx::query(
        "update refills \
         set state = 'waiting', common_sequence = null, detail = null, failures = 0, not_before = now(), \
             rows_checked_to = case when requests = $2 then $3 else rows_checked_to end, \
             events_added = events_added + $4, events_set_aside = events_set_aside + $5 \
         where wallet_id = $1",
    )
    .bind(refill.wallet_id)
    .bind(refill.requests)
    .bind(rows_checked_to)
    .bind(count(done.added))
    .bind(count(done.set_aside))
    .execute(connection)
    .await
    .map(drop)
}

/// Gives wallets back, to be taken up again after a pause.
pub(in crate::ingest) async fn give_back(
    connection: &mut PgConnection,
    wallets: &[WalletId],
    pause: Duration,
) -> sqlx::Result<()> {
    sqlx::query("update refills set not_before = now() + make_interval(secs => $2) where wallet_id = any ($1)")
        .bind(wallets)
        .bind(pause.as_secs_f64())
        .execute(connection)
        .await
        .map(drop)
}

/// Gives wallets back that something went wrong with, to be taken up again soon, and later each time.
pub(in crate::ingest) async fn give_back_failed(
    connection: &mut PgConnection,
    wallets: &[WalletId],
) -> sqlx::Result<()> {
    sqlx::query(
        "update refills \
         set failures = failures + 1, not_before = now() + make_interval(secs => least(power(2, least(failures, 5)), 30)) \
         where wallet_id = any ($1)",
    )
    .bind(wallets)
    .execute(connection)
    .await
    .map(drop)
}

/// Notes why a wallet that was claimed cannot be brought to the ledger's state, and tells the orders that asked for it. It is
/// looked at again later, less and less often. One that was asked for meanwhile is due again, and nobody is told: what was
/// found was found without the word that came. Says whether it is news.
pub(in crate::ingest) async fn mark_stuck(
    connection: &mut PgConnection,
    refill: &Refill,
    stuck: Stuck,
    detail: &str,
) -> sqlx::Result<bool> {
    let common = match stuck {
        Stuck::Forked { common } => Some(common),
        Stuck::Unknown | Stuck::Unreadable | Stuck::Contradictory => None,
    };
    let before: Option<RefillState> = sqlx::query_scalar(
        "with locked as (select * from refills where wallet_id = $1 for update), \
         before as (select * from locked where requests = $5), \
         told as ( \
             update rebuilds \
             set stuck = stuck + 1, first_stuck = coalesce(first_stuck, $1), \
                 events_added = rebuilds.events_added + before.events_added, \
                 events_set_aside = rebuilds.events_set_aside + before.events_set_aside \
             from before where rebuilds.id = any (before.rebuild_ids) \
         ), \
         again as ( \
             update refills set not_before = now() \
             from locked where refills.wallet_id = locked.wallet_id and locked.requests <> $5 \
         ) \
         update refills \
         set state = $2, common_sequence = $3, detail = $4, failures = refills.failures + 1, \
             not_before = now() + interval '30 seconds' * least(refills.failures + 1, 20), \
             rebuild_ids = '{}', events_added = 0, events_set_aside = 0 \
         from before where refills.wallet_id = before.wallet_id \
         returning before.state",
    )
    .bind(refill.wallet_id)
    .bind(stuck.state())
    .bind(common)
    .bind(detail)
    .bind(refill.requests)
    .fetch_optional(connection)
    .await?;
    Ok(before.is_some_and(|before| before != stuck.state()))
}

/// The hashes that history has of a wallet, from one number on, in order.
pub(in crate::ingest) async fn hashes_from(
    connection: &mut PgConnection,
    wallet: WalletId,
    from: Sequence,
    limit: i64,
) -> sqlx::Result<Vec<(Sequence, Hash)>> {
    sqlx::query_as(
        "select sequence, hash from events where wallet_id = $1 and sequence >= $2 order by sequence limit $3",
    )
    .bind(wallet)
    .bind(from)
    .bind(limit)
    .fetch_all(connection)
    .await
}

#[cfg(test)]
mod tests {
    use shared::testing::TestDatabase;

    use super::*;
    use crate::app::SCHEMA;

    #[tokio::test]
    async fn a_wallet_is_claimed_once_and_stays_when_it_is_asked_for_meanwhile() {
        let database = TestDatabase::create(SCHEMA).await;
        let connection = &mut *database.pool().acquire().await.unwrap();
        let wallet = WalletId::generate();
        request(connection, &[wallet], "rebuild", None)
            .await
            .unwrap();
        let claimed = claim(connection, 9).await.unwrap();
        assert_eq!(claimed.len(), 1);
        assert!(claim(connection, 9).await.unwrap().is_empty(), "once");

        request(connection, &[wallet], "rebuild", None)
            .await
            .unwrap();
        let whole = End::Whole { row_mended: false };
        finish(connection, &claimed[0], whole).await.unwrap();
        let again = claim(connection, 9).await.unwrap();
        assert_eq!(again.len(), 1, "what came since is not known to be there");
        finish(connection, &again[0], whole).await.unwrap();
        assert!(!is_any_work(connection).await.unwrap());
    }

    #[tokio::test]
    async fn a_wallet_whose_events_were_all_set_aside_is_mended_and_not_unknown() {
        let database = TestDatabase::create(SCHEMA).await;
        let connection = &mut *database.pool().acquire().await.unwrap();
        for (set_aside, counted) in [(3, (1, 0)), (0, (0, 1))] {
            let wallet = WalletId::generate();
            let order = super::super::orders::request_wallet(connection, wallet, "a test", "olga")
                .await
                .unwrap();
            let claimed = claim(connection, 9).await.unwrap();
            let done = Done {
                added: 0,
                set_aside,
            };
            go_on(connection, &claimed[0], None, done).await.unwrap();
            let claimed = claim(connection, 9).await.unwrap();
            finish(connection, &claimed[0], End::Unknown).await.unwrap();
            let told: (i64, i64) =
                sqlx::query_as("select mended, unknown from rebuilds where id = $1")
                    .bind(order.id)
                    .fetch_one(&mut *connection)
                    .await
                    .unwrap();
            assert_eq!(told, counted);
        }
    }
}
