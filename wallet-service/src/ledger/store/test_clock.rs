//! The table `test_clock`: empty but where the clock of an installation for tests was set ahead.

use chrono::TimeDelta;
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

/// Every command asks how late it is, which takes a moment: these few do for any number of callers, and leave the server's
/// connections to those who need them.
const CONNECTIONS_MAX: u32 = 4;

/// How far it is ahead, as an expression of one row that every statement may stand on.
pub const AHEAD: &str =
    "coalesce((select make_interval(secs => seconds) from test_clock), interval '0')";

/// Connects when first used.
pub fn pool(database: PgConnectOptions) -> PgPool {
    let options = PgPoolOptions::new().max_connections(CONNECTIONS_MAX);
    options.connect_lazy_with(database)
}

pub async fn read(pool: &PgPool) -> Result<TimeDelta, sqlx::Error> {
    let sql = "select coalesce(max(seconds), 0)::bigint from test_clock";
    let seconds: i64 = sqlx::query_scalar(sql).fetch_one(pool).await?;
    Ok(TimeDelta::seconds(seconds))
}

pub async fn advance(pool: &PgPool, by: TimeDelta) -> Result<TimeDelta, sqlx::Error> {
    let seconds: i64 = sqlx::query_scalar(
        "insert into test_clock (seconds) values ($1)
         on conflict (only_row) do update set seconds = test_clock.seconds + excluded.seconds
         returning seconds",
    )
    .bind(by.num_seconds())
    .fetch_one(pool)
    .await?;
    Ok(TimeDelta::seconds(seconds))
}
