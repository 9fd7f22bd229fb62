//! The table `test_clock`: empty but where the clock of an installation for tests was set ahead.

use chrono::TimeDelta;
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

/// How far it is ahead, as an expression of one row that every statement may stand on.
pub const AHEAD: &str =
    "coalesce((select make_interval(secs => seconds) from test_clock), interval '0')";

pub async fn read(database: &PgConnectOptions) -> Result<TimeDelta, sqlx::Error> {
    let mut connection = PgConnection::connect_with(database).await?;
    let sql = "select coalesce(max(seconds), 0)::bigint from test_clock";
    let seconds: i64 = sqlx::query_scalar(sql).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(TimeDelta::seconds(seconds))
}

pub async fn advance(database: &PgConnectOptions, by: TimeDelta) -> Result<TimeDelta, sqlx::Error> {
    let mut connection = PgConnection::connect_with(database).await?;
    let seconds: i64 = sqlx::query_scalar(
        "insert into test_clock (seconds) values ($1)
         on conflict (only_row) do update set seconds = test_clock.seconds + excluded.seconds
         returning seconds",
    )
    .bind(by.num_seconds())
    .fetch_one(&mut connection)
    .await?;
    connection.close().await?;
    Ok(TimeDelta::seconds(seconds))
}
