//! The wallets whose events have to be asked of the ledger.
//!
//! A row is claimed by moving `not_before` ahead, so instances share the work and one that hangs loses its claim. It goes
//! when history agrees with the ledger, but only if nothing asked for it again meanwhile.

use std::time::Duration;

use shared::{Hash, Sequence, Timestamp, WalletId};
use sqlx::PgConnection;

/// How long a claim holds: far longer than a turn takes.
const CLAIM: &str = "60 seconds";
/// How many wallets with parked events one look takes in.
const GAPS_PER_LOOK: i64 = 1_000;

/// A wallet that was claimed.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(in crate::ingest) struct Refill {
    pub(in crate::ingest) wallet_id: WalletId,
    pub(in crate::ingest) requests: i64,
    pub(in crate::ingest) repair_reason: Option<String>,
    pub(in crate::ingest) repair_actor: Option<String>,
    /// Where history is with it, if it has it.
    pub(in crate::ingest) last_sequence: Option<Sequence>,
    pub(in crate::ingest) last_hash: Option<Hash>,
    /// The database's clock, before the ledger is asked.
    pub(in crate::ingest) asked_at: Timestamp,
}

/// What became of a wallet that cannot be brought to the ledger's state as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::ingest) enum Stuck {
    Forked { common: Sequence },
    Unknown,
    Unreadable,
}

impl Stuck {
    const fn name(self) -> &'static str {
        match self {
            Self::Forked { .. } => "forked",
            Self::Unknown => "unknown",
            Self::Unreadable => "unreadable",
        }
    }
}

/// Asks for wallets of which a message came that does not fit.
pub(in crate::ingest) async fn ask_about_conflicts(
    connection: &mut PgConnection,
    wallets: &[WalletId],
) -> sqlx::Result<()> {
    request(connection, wallets, "conflict").await
}

/// Asks for wallets, once more also when they are asked for already.
pub(in crate::ingest) async fn request(
    connection: &mut PgConnection,
    wallets: &[WalletId],
    reason: &str,
) -> sqlx::Result<()> {
    sqlx::query(
        "insert into refills (wallet_id, reason) \
         select distinct asked.wallet_id, $2 from unnest($1) as asked (wallet_id) order by 1 \
         on conflict (wallet_id) do update \
         set requests = refills.requests + 1, not_before = least(refills.not_before, now() + interval '5 seconds')",
    )
    .bind(wallets)
    .bind(reason)
    .execute(connection)
    .await
    .map(drop)
}

/// A person's word that the ledger wins: for one wallet, or for all that are known to be forked. Returns which.
pub(in crate::ingest) async fn request_repair(
    connection: &mut PgConnection,
    wallet: Option<WalletId>,
    reason: &str,
    actor: &str,
) -> sqlx::Result<Vec<WalletId>> {
    if let Some(wallet) = wallet {
        sqlx::query("insert into refills (wallet_id, reason) values ($1, 'repair') on conflict (wallet_id) do nothing")
            .bind(wallet)
            .execute(&mut *connection)
            .await?;
    }
    sqlx::query_scalar(
        "update refills \
         set repair_reason = $2, repair_actor = $3, state = 'waiting', requests = requests + 1, not_before = now() \
         where wallet_id = $1 or ($1 is null and state = 'forked') \
         returning wallet_id",
    )
    .bind(wallet)
    .bind(reason)
    .bind(actor)
    .fetch_all(connection)
    .await
}

/// Asks for wallets whose lowest parked event has waited longer than `waited`, and is not due. Looks through some of
/// them behind `after`, and says where to look next; none at the end.
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
             insert into refills (wallet_id, reason) \
             select parked.wallet_id, 'gap' \
             from parked \
             left join lateral ( \
                 select sequence from events where events.wallet_id = parked.wallet_id \
                 order by sequence desc limit 1 \
             ) as head on true \
             where parked.parked_at < now() - make_interval(secs => $2) \
               and parked.sequence > coalesce(head.sequence, 0) + 1 \
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
             returning refills.wallet_id, refills.requests, refills.repair_reason, refills.repair_actor \
         ) \
         select claimed.*, head.sequence as last_sequence, head.hash as last_hash, clock_timestamp() as asked_at \
         from claimed \
         left join lateral ( \
             select sequence, hash from events where events.wallet_id = claimed.wallet_id \
             order by sequence desc limit 1 \
         ) as head on true \
         order by claimed.wallet_id"
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

/// What was claimed is as in the ledger. A wallet that was asked for meanwhile stays, and is due again.
pub(in crate::ingest) async fn finish(
    connection: &mut PgConnection,
    refills: &[&Refill],
) -> sqlx::Result<()> {
    let (wallets, requests): (Vec<WalletId>, Vec<i64>) = refills
        .iter()
        .map(|refill| (refill.wallet_id, refill.requests))
        .unzip();
    sqlx::query(
        "with done as ( \
             delete from refills using unnest($1, $2) as done (wallet_id, requests) \
             where refills.wallet_id = done.wallet_id and refills.requests = done.requests \
             returning refills.wallet_id \
         ) \
         update refills set not_before = now(), state = 'waiting', failures = 0, detail = null \
         where wallet_id = any ($1) and not exists (select from done where done.wallet_id = refills.wallet_id)",
    )
    .bind(wallets)
    .bind(requests)
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

/// The order to repair is carried out; the wallet is looked at once more.
pub(in crate::ingest) async fn repaired(
    connection: &mut PgConnection,
    refill: &Refill,
) -> sqlx::Result<()> {
    sqlx::query(
        "update refills \
         set repair_reason = null, repair_actor = null, state = 'waiting', common_sequence = null, detail = null, \
             failures = 0, not_before = now() \
         where wallet_id = $1 and requests = $2",
    )
    .bind(refill.wallet_id)
    .bind(refill.requests)
    .execute(connection)
    .await
    .map(drop)
}

/// Notes why a wallet cannot be brought to the ledger's state. It is looked at again later, less and less often. Says
/// whether that is news.
pub(in crate::ingest) async fn mark_stuck(
    connection: &mut PgConnection,
    wallet: WalletId,
    stuck: Stuck,
    detail: &str,
) -> sqlx::Result<bool> {
    let common = match stuck {
        Stuck::Forked { common } => Some(common),
        Stuck::Unknown | Stuck::Unreadable => None,
    };
    let before: Option<String> = sqlx::query_scalar(
        "update refills \
         set state = $2, common_sequence = $3, detail = $4, failures = refills.failures + 1, \
             not_before = now() + interval '30 seconds' * least(refills.failures + 1, 20) \
         from (select state from refills where wallet_id = $1 for update) as before \
         where refills.wallet_id = $1 \
         returning before.state",
    )
    .bind(wallet)
    .bind(stuck.name())
    .bind(common)
    .bind(detail)
    .fetch_optional(connection)
    .await?;
    Ok(before.is_some_and(|before| before != stuck.name()))
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
