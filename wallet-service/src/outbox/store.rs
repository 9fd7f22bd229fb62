//! Every statement of the relay.

use sqlx::{Connection, FromRow, PgConnection, postgres::PgConnectOptions};

/// Names the relay's lease among Postgres's advisory locks (`WREL` as a number). One per database.
const RELAY_LEASE: i64 = 0x5752_454c;

/// A row of the outbox.
#[derive(FromRow, Debug)]
pub(super) struct OutboxRow {
    pub(super) id: i64,
    /// Written by [`super::RowEncoder`].
    pub(super) entries: Vec<u8>,
    pub(super) event_count: i32,
}

/// What is waiting to be sent.
#[derive(FromRow, Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Backlog {
    pub(super) events: i64,
    pub(super) oldest_age_seconds: i64,
}

/// How the sequence behind the rows' ids hands them out.
#[derive(FromRow, Clone, PartialEq, Eq, Debug)]
pub(super) struct IdSequence {
    name: String,
    increment: i64,
    cache: i64,
    cycles: bool,
}

/// The sequence may hand out a smaller id after a larger one.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "the ids of the outbox would not be in the order of its events, because {fault}; \
     `alter sequence {sequence} increment 1 cache 1 no cycle` mends it"
)]
pub(super) struct Disordered {
    sequence: String,
    fault: String,
}

impl IdSequence {
    /// Rows are sent in id order, and an id is drawn while the wallets of the row are locked. So a wallet's events are in
    /// order, whichever instance wrote them, as long as a later draw gives a larger id: a session that draws several
    /// ids at once would use the rest of them after another session's larger ones.
    pub(super) fn check(self) -> Result<(), Disordered> {
        let Self {
            name,
            increment,
            cache,
            cycles,
        } = self;
        let fault = if cache != 1 {
            format!("a session draws {cache} at once")
        } else if increment < 1 {
            format!("they are counted by {increment}")
        } else if cycles {
            "they begin again at the end".to_owned()
        } else {
            return Ok(());
        };
        Err(Disordered {
            sequence: name,
            fault,
        })
    }
}

/// Opens the relay's connection. `options` say what the planner is told: its plans must not be made for the empty table
/// that the outbox mostly is.
pub(super) async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let options = options.clone().options([("statement_timeout", "30s")]);
    PgConnection::connect_with(&options).await
}

/// Takes the lease if it is free. It is held until the connection ends, however it ends.
pub(super) async fn try_lease(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select pg_try_advisory_lock($1)")
        .bind(RELAY_LEASE)
        .fetch_one(connection)
        .await
}

pub(super) async fn id_sequence(connection: &mut PgConnection) -> Result<IdSequence, sqlx::Error> {
    sqlx::query_as(
        "select seqrelid::regclass::text as name, seqincrement as increment, seqcache as cache, seqcycle as cycles
         from pg_sequence where seqrelid = pg_get_serial_sequence('outbox', 'id')::regclass",
    )
    .fetch_one(connection)
    .await
}

/// The oldest rows that are visible, whatever came before: a row of a slower transaction with a smaller id may still
/// become visible later, and is found then.
pub(super) async fn oldest_rows(
    connection: &mut PgConnection,
    rows_max: i64,
) -> Result<Vec<OutboxRow>, sqlx::Error> {
    sqlx::query_as("select id, entries, event_count from outbox order by id limit $1")
        .bind(rows_max)
        .fetch_all(connection)
        .await
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
    sqlx::query_as(
        "select (events + events * (newest - last) / rows)::bigint as events,
                extract(epoch from now() - oldest_at)::bigint as oldest_age_seconds
         from (select coalesce(sum(event_count), 0) as events, greatest(count(*), 1) as rows,
                      coalesce(max(id), 0) as last, coalesce(min(created_at), now()) as oldest_at
               from (select id, event_count, created_at from outbox order by id limit 1000) as oldest) as counted,
              (select coalesce(max(id), 0) as newest from outbox) as ends",
    )
    .fetch_one(connection)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_must_be_drawn_one_by_one_and_only_upwards() {
        let sound = IdSequence {
            name: "outbox_id_seq".to_owned(),
            increment: 1,
            cache: 1,
            cycles: false,
        };
        assert_eq!(sound.clone().check(), Ok(()));
        for (fault, sequence) in [
            (
                "a session draws 32 at once",
                IdSequence {
                    cache: 32,
                    ..sound.clone()
                },
            ),
            (
                "they are counted by -1",
                IdSequence {
                    increment: -1,
                    ..sound.clone()
                },
            ),
            (
                "they begin again at the end",
                IdSequence {
                    cycles: true,
                    ..sound
                },
            ),
        ] {
            let told = sequence.check().unwrap_err().to_string();
            assert!(
                told.contains(fault) && told.contains("alter sequence outbox_id_seq"),
                "{told}"
            );
        }
    }
}
