//! How far each wallet is proved, and where the proof is.
//!
//! The row of the proof is claimed by moving `not_before` ahead, so that one instance at a time works on it, and one that
//! hangs loses it. What such a one writes afterwards is refused: the claim is counted, and what is proved of a wallet is
//! written only where it is as it was read.

use std::time::Duration;

use shared::{Sequence, WalletId};
use sqlx::{AssertSqlSafe, PgConnection};

use crate::ingest::apply::proof::Proved;

use super::stored::{self, ROW, Rows};

/// How long a claim holds: far longer than a page takes.
const CLAIM: &str = "60 seconds";

/// How often the rounds begin.
#[derive(Clone, Copy, Debug)]
pub(in crate::ingest) struct Pace {
    pub(in crate::ingest) new_every: Duration,
    pub(in crate::ingest) whole_every: Duration,
}

/// The proof, claimed, and which of its rounds are due.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
pub(in crate::ingest) struct Claimed {
    pub(in crate::ingest) claim: i64,
    pub(in crate::ingest) new_after: Option<WalletId>,
    pub(in crate::ingest) is_new_due: bool,
    pub(in crate::ingest) whole_wallet: Option<WalletId>,
    pub(in crate::ingest) whole_sequence: Sequence,
    pub(in crate::ingest) is_whole_due: bool,
}

/// Takes the proof, if a round is due and no instance works on it.
pub(in crate::ingest) async fn claim(
    connection: &mut PgConnection,
    pace: Pace,
) -> sqlx::Result<Option<Claimed>> {
    let sql = format!(
        "with due as ( \
             select id, \
                    new_is_running or new_begun_at is null \
                        or new_begun_at <= clock_timestamp() - make_interval(secs => $1) as is_new_due, \
                    whole_is_running or whole_begun_at is null \
                        or whole_begun_at <= clock_timestamp() - make_interval(secs => $2) as is_whole_due \
             from proof_state \
         ) \
         update proof_state set claim = claim + 1, not_before = clock_timestamp() + interval '{CLAIM}' \
         from due \
         where proof_state.id = due.id and not_before <= clock_timestamp() and (is_new_due or is_whole_due) \
         returning claim, new_after, is_new_due, whole_wallet, whole_sequence, is_whole_due"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(pace.new_every.as_secs_f64())
        .bind(pace.whole_every.as_secs_f64())
        .fetch_optional(connection)
        .await
}

/// A page of the round over what is new is done. `after` is its last wallet; none at the end. Says whether the claim was
/// still good.
pub(in crate::ingest) async fn advance_new(
    connection: &mut PgConnection,
    claim: i64,
    after: Option<WalletId>,
    pause: Duration,
) -> sqlx::Result<bool> {
    sqlx::query(
        "update proof_state \
         set new_after = $2, new_is_running = $2 is not null, \
             new_begun_at = case when new_is_running then new_begun_at else clock_timestamp() end, \
             new_finished_at = case when $2 is null then clock_timestamp() else new_finished_at end, \
             not_before = clock_timestamp() + make_interval(secs => $3) \
         where claim = $1",
    )
    .bind(claim)
    .bind(after)
    .bind(pause.as_secs_f64())
    .execute(connection)
    .await
    .map(|done| done.rows_affected() == 1)
}

/// The same of the round over every event.
pub(in crate::ingest) async fn advance_whole(
    connection: &mut PgConnection,
    claim: i64,
    last: Option<(WalletId, Sequence)>,
    pause: Duration,
) -> sqlx::Result<bool> {
    sqlx::query(
        "update proof_state \
         set whole_wallet = $2, whole_sequence = coalesce($3, 0), whole_is_running = $2 is not null, \
             whole_begun_at = case when whole_is_running then whole_begun_at else clock_timestamp() end, \
             whole_finished_at = case when $2 is null then clock_timestamp() else whole_finished_at end, \
             not_before = clock_timestamp() + make_interval(secs => $4) \
         where claim = $1",
    )
    .bind(claim)
    .bind(last.map(|(wallet, _)| wallet))
    .bind(last.map(|(_, sequence)| sequence))
    .bind(pause.as_secs_f64())
    .execute(connection)
    .await
    .map(|done| done.rows_affected() == 1)
}

/// Gives the claim back after a failure.
pub(in crate::ingest) async fn give_back(
    connection: &mut PgConnection,
    claim: i64,
) -> sqlx::Result<()> {
    sqlx::query(
        "update proof_state set not_before = clock_timestamp() + interval '2 seconds' where claim = $1",
    )
    .bind(claim)
    .execute(connection)
    .await
    .map(drop)
}

/// A wallet beside what is proved of it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(in crate::ingest) struct Look {
    pub(in crate::ingest) wallet_id: WalletId,
    pub(in crate::ingest) proved: Sequence,
    pub(in crate::ingest) set_asides: i64,
    pub(in crate::ingest) last_sequence: Option<Sequence>,
    /// Up to which event it is in an archive.
    pub(in crate::ingest) archived_to: Option<Sequence>,
    /// Whether its row says what its last event says.
    pub(in crate::ingest) row_agrees: bool,
    /// Whether the event that was proved last is there as it was; none when it is gone.
    pub(in crate::ingest) proved_stands: Option<bool>,
}

/// The wallets behind one, in the order of their ids, at most `limit`: those that are known, and those that something is known
/// to be wrong with. One statement, so that what is set aside meanwhile
/// is seen before or after, never in between.
pub(in crate::ingest) async fn look(
    connection: &mut PgConnection,
    after: Option<WalletId>,
    limit: i64,
) -> sqlx::Result<Vec<Look>> {
    sqlx::query_as(
        "with asked as ( \
             (select wallet_id from wallets where wallet_id > coalesce($1, '00000000-0000-0000-0000-000000000000') \
              order by wallet_id limit $2) \
             union \
             (select wallet_id from proofs where wallet_id > coalesce($1, '00000000-0000-0000-0000-000000000000') \
              order by wallet_id limit $2) \
             union \
             (select distinct wallet_id from drifts \
              where wallet_id > coalesce($1, '00000000-0000-0000-0000-000000000000') \
              order by wallet_id limit $2) \
             order by wallet_id limit $2 \
         ) \
         select asked.wallet_id, coalesce(proofs.sequence, 0) as proved, coalesce(proofs.set_asides, 0) as set_asides, \
                last.sequence as last_sequence, \
                (select max(sequence) from archived_wallets where archived_wallets.wallet_id = asked.wallet_id) \
                    as archived_to, \
                (stored.user_id = last.user_id and stored.currency = last.currency) is true as row_agrees, \
                (same.hash = proofs.hash and same.balance_after = proofs.balance and same.held_after = proofs.held) \
                    as proved_stands \
         from asked \
         left join lateral ( \
             select * from proofs where proofs.wallet_id = asked.wallet_id limit 1 \
         ) as proofs on true \
         left join lateral ( \
             select * from wallets where wallets.wallet_id = asked.wallet_id limit 1 \
         ) as stored on true \
         left join lateral ( \
             select sequence, user_id, currency from events where events.wallet_id = asked.wallet_id \
             order by sequence desc limit 1 \
         ) as last on true \
         left join lateral ( \
             (select hash, balance_after, held_after from events \
              where events.wallet_id = asked.wallet_id and events.sequence = proofs.sequence) \
             union all \
             (select hash, balance_after, held_after from archived_wallets as base \
              where base.wallet_id = asked.wallet_id and base.sequence = proofs.sequence) \
             limit 1 \
         ) as same on true \
         order by asked.wallet_id",
    )
    .bind(after)
    .bind(limit)
    .fetch_all(connection)
    .await
}

/// Rows of a wallet that are to be read: from a number on, so many.
#[derive(Clone, Copy, Debug)]
pub(in crate::ingest) struct Stretch {
    pub(in crate::ingest) wallet: WalletId,
    pub(in crate::ingest) from: Sequence,
    pub(in crate::ingest) count: i64,
}

/// The rows of these stretches.
pub(in crate::ingest) async fn rows_of_stretches(
    connection: &mut PgConnection,
    stretches: &[Stretch],
) -> sqlx::Result<Rows> {
    let of = stretches.iter();
    let sql = stored::bounded(concat!(
        "select ",
        ROW!(),
        " from unnest($1, $2, $3) as asked (wallet_id, first, count) \
         cross join lateral ( \
             select * from events as stored \
             where stored.wallet_id = asked.wallet_id and stored.sequence >= asked.first \
             order by stored.sequence limit asked.count \
         ) as e"
    ));
    let reading = sqlx::query(AssertSqlSafe(sql))
        .bind(Vec::from_iter(of.clone().map(|stretch| stretch.wallet)))
        .bind(Vec::from_iter(of.clone().map(|stretch| stretch.from)))
        .bind(Vec::from_iter(of.map(|stretch| stretch.count)));
    stored::read(reading.fetch(connection)).await
}

/// How far wallets are proved.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
pub(in crate::ingest) struct Checkpoint {
    pub(in crate::ingest) wallet_id: WalletId,
    pub(in crate::ingest) sequence: Sequence,
    pub(in crate::ingest) set_asides: i64,
    /// The event that was proved last is there as it was.
    pub(in crate::ingest) stands: bool,
}

pub(in crate::ingest) async fn checkpoints(
    connection: &mut PgConnection,
    wallets: &[WalletId],
) -> sqlx::Result<Vec<Checkpoint>> {
    sqlx::query_as(
        "select proofs.wallet_id, proofs.sequence, proofs.set_asides, \
                proofs.sequence = 0 or same.hash is not distinct from proofs.hash as stands \
         from unnest($1) as asked (wallet_id) \
         cross join lateral ( \
             select * from proofs where proofs.wallet_id = asked.wallet_id limit 1 \
         ) as proofs \
         left join lateral ( \
             (select hash from events where events.wallet_id = asked.wallet_id and events.sequence = proofs.sequence) \
             union all \
             (select hash from archived_wallets as base \
              where base.wallet_id = asked.wallet_id and base.sequence = proofs.sequence) \
             limit 1 \
         ) as same on true",
    )
    .bind(wallets)
    .fetch_all(connection)
    .await
}

/// That a wallet is proved up to another event than before.
#[derive(Clone, Copy, Debug)]
pub(in crate::ingest) struct Moved {
    pub(in crate::ingest) wallet: WalletId,
    /// As it was read.
    pub(in crate::ingest) before: Sequence,
    pub(in crate::ingest) set_asides: i64,
    pub(in crate::ingest) to: Proved,
    /// From its first event on.
    pub(in crate::ingest) is_whole: bool,
}

/// Writes how far wallets are proved, of those that are as they were read.
pub(in crate::ingest) async fn move_checkpoints(
    connection: &mut PgConnection,
    moved: &[Moved],
) -> sqlx::Result<()> {
    if moved.is_empty() {
        return Ok(());
    }
    let of = moved.iter();
    sqlx::query(
        "with moved as ( \
             select * from unnest($1, $2, $3, $4, $5, $6, $7, $8) \
                 as moved (wallet_id, before, set_asides, sequence, hash, balance, held, is_whole) \
         ), \
         first as ( \
             insert into proofs (wallet_id, sequence, hash, balance, held, whole_at) \
             select wallet_id, sequence, hash, balance, held, case when is_whole then now() end \
             from moved where before = 0 and set_asides = 0 order by wallet_id \
             on conflict (wallet_id) do nothing \
         ) \
         update proofs \
         set sequence = moved.sequence, hash = moved.hash, balance = moved.balance, held = moved.held, proved_at = now(), \
             whole_at = case when moved.is_whole then now() else proofs.whole_at end \
         from moved \
         where proofs.wallet_id = moved.wallet_id and proofs.sequence = moved.before \
           and proofs.set_asides = moved.set_asides",
    )
    .bind(Vec::from_iter(of.clone().map(|moved| moved.wallet)))
    .bind(Vec::from_iter(of.clone().map(|moved| moved.before)))
    .bind(Vec::from_iter(of.clone().map(|moved| moved.set_asides)))
    .bind(Vec::from_iter(of.clone().map(|moved| moved.to.sequence)))
    .bind(Vec::from_iter(of.clone().map(|moved| moved.to.hash)))
    .bind(Vec::from_iter(of.clone().map(|moved| moved.to.balance)))
    .bind(Vec::from_iter(of.clone().map(|moved| moved.to.held)))
    .bind(Vec::from_iter(of.map(|moved| moved.is_whole)))
    .execute(connection)
    .await
    .map(drop)
}

/// Forgets what was proved of a wallet, unless its last one stands: by a person's word, when history has what the ledger has.
/// Says whether there was any.
pub(in crate::ingest) async fn forget_what_is_gone(
    connection: &mut PgConnection,
    wallet: WalletId,
) -> sqlx::Result<bool> {
    sqlx::query(
        "update proofs set sequence = 0, hash = decode(repeat('00', 32), 'hex'), balance = 0, held = 0, \
             set_asides = set_asides + 1, whole_at = null \
         where wallet_id = $1 and sequence > 0 and not exists ( \
             select from ( \
                 select wallet_id, sequence, hash, balance_after, held_after from events \
                 union all \
                 select wallet_id, sequence, hash, balance_after, held_after from archived_wallets \
             ) as stored \
             where stored.wallet_id = $1 and stored.sequence = proofs.sequence and stored.hash = proofs.hash \
               and stored.balance_after = proofs.balance and stored.held_after = proofs.held \
         )",
    )
    .bind(wallet)
    .execute(connection)
    .await
    .map(|done| done.rows_affected() > 0)
}

#[cfg(test)]
mod tests {
    use shared::{Balance, Hash, testing::TestDatabase};

    use super::*;
    use crate::app::SCHEMA;

    const PACE: Pace = Pace {
        new_every: Duration::from_secs(60),
        whole_every: Duration::from_secs(60),
    };

    #[tokio::test]
    async fn one_at_a_time_proves_and_one_that_hung_writes_nothing_any_more() {
        let database = TestDatabase::create(SCHEMA).await;
        let connection = &mut *database.pool().acquire().await.unwrap();
        let hung = claim(connection, PACE).await.unwrap().unwrap();
        assert!(hung.is_new_due && hung.is_whole_due);
        assert!(claim(connection, PACE).await.unwrap().is_none(), "once");
        sqlx::query("update proof_state set not_before = now()")
            .execute(&mut *connection)
            .await
            .unwrap();
        let other = claim(connection, PACE).await.unwrap().unwrap();
        let pause = Duration::ZERO;
        let is_mine = advance_new(connection, hung.claim, None, pause).await;
        assert!(!is_mine.unwrap(), "it is another's by now");
        let is_mine = advance_new(connection, other.claim, None, pause).await;
        assert!(is_mine.unwrap());
        let next = claim(connection, PACE).await.unwrap().unwrap();
        assert!(!next.is_new_due && next.is_whole_due);
    }

    #[tokio::test]
    async fn what_was_read_before_events_were_set_aside_is_no_proof() {
        let database = TestDatabase::create(SCHEMA).await;
        let connection = &mut *database.pool().acquire().await.unwrap();
        let wallet = WalletId::generate();
        let moved = |set_asides, before: i64, to: i64| Moved {
            wallet,
            before: Sequence::try_from(before).unwrap(),
            set_asides,
            to: Proved {
                sequence: Sequence::try_from(to).unwrap(),
                hash: Hash::ZERO,
                balance: Balance::ZERO,
                held: Balance::ZERO,
            },
            is_whole: false,
        };
        let steps = [
            (moved(0, 0, 5), 5),
            (moved(0, 4, 9), 5),
            (moved(1, 5, 9), 5),
            (moved(0, 5, 3), 3),
        ];
        for (step, expected) in steps {
            move_checkpoints(connection, &[step]).await.unwrap();
            let found = checkpoints(connection, &[wallet]).await.unwrap();
            assert_eq!(found[0].sequence.get(), expected, "{step:?}");
        }
    }
}
