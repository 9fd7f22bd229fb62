//! Every statement of the relay.

use sqlx::{Connection, PgConnection, Row, postgres::PgConnectOptions};

/// Names the relay's lease among Postgres's advisory locks (`WREL` as a number). One per database.
const RELAY_LEASE: i64 = 0x5752_454c;

/// A row of the outbox.
#[derive(Debug)]
pub(super) struct OutboxRow {
    pub(super) id: i64,
    /// Written by [`super::RowEncoder`].
    pub(super) entries: Vec<u8>,
    pub(super) event_count: i32,
}

/// What is waiting to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Backlog {
    pub(super) events: i64,
    pub(super) oldest_age_seconds: i64,
}

/// Opens the relay's connection. Its plans must not be made for the empty table that the outbox mostly is.
pub(super) async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let options = options.clone().options([
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_seqscan", "off"),
        ("enable_bitmapscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
        ("statement_timeout", "30s"),
    ]);
    PgConnection::connect_with(&options).await
}

/// Takes the lease if it is free. It is held until the connection ends, however it ends.
pub(super) async fn try_lease(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select pg_try_advisory_lock($1)")
        .bind(RELAY_LEASE)
        .fetch_one(connection)
        .await
}

/// The oldest rows that are visible, whatever came before: a row of a slower transaction with a smaller id may still
/// become visible later, and is found then.
pub(super) async fn oldest_rows(
    connection: &mut PgConnection,
    rows_max: i64,
) -> Result<Vec<OutboxRow>, sqlx::Error> {
    let rows = sqlx::query("select id, entries, event_count from outbox order by id limit $1")
        .bind(rows_max)
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            Ok(OutboxRow {
                id: row.try_get("id")?,
                entries: row.try_get("entries")?,
                event_count: row.try_get("event_count")?,
            })
        })
        .collect()
}

/// Deletes exactly these rows. A range would take rows with it that became visible since.
pub(super) async fn delete_rows(
    connection: &mut PgConnection,
    ids: &[i64],
) -> Result<(), sqlx::Error> {
    sqlx::query("delete from outbox where id = any($1)")
        .bind(ids)
        .execute(connection)
        .await?;
    Ok(())
}

/// How much is waiting. Exact for the oldest thousand rows, estimated from the ids beyond them: it is asked once a
/// second, and an outage may have left millions of rows of a page each.
pub(super) async fn backlog(connection: &mut PgConnection) -> Result<Backlog, sqlx::Error> {
    let row = sqlx::query(
        "select (events + events * (newest - last) / rows)::bigint as events,
                extract(epoch from now() - oldest_at)::bigint as oldest_age_seconds
         from (select coalesce(sum(event_count), 0) as events, greatest(count(*), 1) as rows,
                      coalesce(max(id), 0) as last, coalesce(min(created_at), now()) as oldest_at
               from (select id, event_count, created_at from outbox order by id limit 1000) as oldest) as counted,
              (select coalesce(max(id), 0) as newest from outbox) as ends",
    )
    .fetch_one(connection)
    .await?;
    Ok(Backlog {
        events: row.try_get("events")?,
        oldest_age_seconds: row.try_get("oldest_age_seconds")?,
    })
}
