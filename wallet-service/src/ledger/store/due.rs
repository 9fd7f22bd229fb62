//! What is due by the clock of Postgres: freezes whose end has come, and holds whose end is near or has come.

use shared::{HoldId, Timestamp, WalletId};
use sqlx::{AssertSqlSafe, FromRow, PgConnection};

use super::test_clock::AHEAD;

/// By whose clock ends come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Clock {
    Postgres,
    /// The one that may be set ahead, of an installation for tests.
    Test,
}

impl Clock {
    fn of(self, sql: &str) -> String {
        match self {
            Self::Postgres => sql.to_owned(),
            Self::Test => sql.replace("now()", &format!("(now() + {AHEAD})")),
        }
    }
}

/// Those that ended first come first. Only wallets whose freeze has an end are in the index. By `now()`, which is fixed for
/// the statement, so that the index is asked.
pub const READ_ENDED_FREEZES: &str = "
select id as wallet_id, now() as now
from wallets
where frozen_until <= now() and id <> all($1)
order by frozen_until
limit $2";

/// A freeze that has ended and was not lifted yet.
#[derive(Clone, Copy, Debug, FromRow)]
pub struct EndedFreeze {
    pub wallet_id: WalletId,
    /// When Postgres saw that.
    pub now: Timestamp,
}

/// At most so many, without those that are `known`.
pub async fn read_ended_freezes(
    connection: &mut PgConnection,
    clock: Clock,
    known: &[WalletId],
    rows_max: i64,
) -> Result<Vec<EndedFreeze>, sqlx::Error> {
    sqlx::query_as(AssertSqlSafe(clock.of(READ_ENDED_FREEZES)))
        .bind(known)
        .bind(rows_max)
        .fetch_all(connection)
        .await
}

/// Those that were due first come first. Only holds that are open are in the index.
pub const READ_DUE_HOLDS: &str = "
select id as hold_id, wallet_id, to_wallet_id, now() as now
from holds
where due_at <= now() and id <> all($1)
order by due_at
limit $2";

/// A hold of which something has to be said or done.
#[derive(Clone, Copy, Debug, FromRow)]
pub struct DueHold {
    pub hold_id: HoldId,
    pub wallet_id: WalletId,
    pub to_wallet_id: Option<WalletId>,
    /// When Postgres saw that.
    pub now: Timestamp,
}

/// At most so many, without those that are `known`.
pub async fn read_due_holds(
    connection: &mut PgConnection,
    clock: Clock,
    known: &[HoldId],
    rows_max: i64,
) -> Result<Vec<DueHold>, sqlx::Error> {
    sqlx::query_as(AssertSqlSafe(clock.of(READ_DUE_HOLDS)))
        .bind(known)
        .bind(rows_max)
        .fetch_all(connection)
        .await
}
