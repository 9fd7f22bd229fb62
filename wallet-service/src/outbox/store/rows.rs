//! The rows of the outbox: read in order, deleted by id, counted for health; and which ids are settled.

use std::collections::BTreeSet;

use shared::Timestamp;
use sqlx::{FromRow, PgConnection};

use super::in_time;

/// A row of the outbox.
#[derive(FromRow, Debug)]
pub struct OutboxRow {
    pub id: i64,
    /// Written by [`crate::outbox::RowEncoder`].
    pub entries: Vec<u8>,
    pub event_count: i32,
}

/// What an instance can tell of the outbox.
#[derive(FromRow, Clone, PartialEq, Eq, Debug)]
pub struct Overview {
    /// What is waiting to be sent.
    pub events: i64,
    pub oldest_age_seconds: i64,
    /// Since when no relay has said that it works; nothing when none ever did, or the last one has given the lease back.
    pub relay_age_seconds: Option<i64>,
    /// What the relay found wrong with the topic.
    pub faults: Option<Vec<String>>,
    /// Messages that the topic had acknowledged are gone, and not everything was sent again since.
    pub is_lost: bool,
    /// The largest message that the topic takes.
    pub message_bytes_max: Option<i64>,
}

/// How the sequence behind the rows' ids hands them out.
#[derive(FromRow, Clone, PartialEq, Eq, Debug)]
pub struct IdSequence {
    name: String,
    increment: i64,
    cache: i64,
    cycles: bool,
    /// The last one that was drawn, by whomever.
    pub last_id: i64,
}

/// The sequence may hand out a smaller id after a larger one.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "the ids of the outbox would not be in the order of its events, because {fault}; \
     `alter sequence {sequence} increment 1 cache 1 no cycle` mends it"
)]
pub struct Disordered {
    sequence: String,
    fault: String,
}

impl IdSequence {
    /// Rows are sent in id order, and an id is drawn while the wallets of the row are locked. So a wallet's events are in
    /// order, whichever instance wrote them, as long as a later draw gives a larger id: a session that draws several
    /// ids at once would use the rest of them after another session's larger ones.
    pub fn check(&self) -> Result<(), Disordered> {
        let Self {
            name,
            increment,
            cache,
            cycles,
            last_id: _,
        } = self.clone();
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

pub async fn id_sequence(connection: &mut PgConnection) -> Result<IdSequence, sqlx::Error> {
    let asking = sqlx::query_as(
        "select seqrelid::regclass::text as name, seqincrement as increment, seqcache as cache, seqcycle as cycles,
                coalesce(pg_sequence_last_value(seqrelid), 0) as last_id
         from pg_sequence where seqrelid = pg_get_serial_sequence('outbox', 'id')::regclass",
    )
    .fetch_one(connection);
    in_time(asking).await
}

/// The transactions that have written to the outbox and are not over, whatever they have written. A lock on the table is
/// taken before an id is drawn, and kept to the end.
pub async fn open_writers(connection: &mut PgConnection) -> Result<BTreeSet<String>, sqlx::Error> {
    let asking = sqlx::query_scalar(
        "select virtualtransaction || '@' || coalesce(pid, 0) from pg_locks
         where locktype = 'relation' and relation = 'outbox'::regclass and mode = 'RowExclusiveLock'
           and database = (select oid from pg_database where datname = current_database())",
    )
    .fetch_all(connection);
    in_time(asking).await.map(BTreeSet::from_iter)
}

/// The oldest rows after `after` that are visible and not in `skipped`.
///
/// Without a lower bound, each reading would walk past everything that was deleted since the last vacuum, and nothing is
/// vacuumed while a long snapshot is open.
pub const OLDEST_ROWS: &str = "select id, entries, event_count from outbox where id > $1 and id <> all($2) order by id limit $3";

/// See [`OLDEST_ROWS`].
pub async fn oldest_rows(
    connection: &mut PgConnection,
    after: i64,
    skipped: &[i64],
    rows_max: i64,
) -> Result<Vec<OutboxRow>, sqlx::Error> {
    let reading = sqlx::query_as(OLDEST_ROWS)
        .bind(after)
        .bind(skipped)
        .bind(rows_max)
        .fetch_all(connection);
    in_time(reading).await
}

/// When a row was written, and what time it is now, by the same clock.
#[derive(FromRow, Clone, Copy, Debug)]
pub struct Written {
    pub at: Timestamp,
    pub now: Timestamp,
}

/// Nothing when the row is gone.
pub async fn written(
    connection: &mut PgConnection,
    id: i64,
) -> Result<Option<Written>, sqlx::Error> {
    let reading = sqlx::query_as(
        "select created_at as at, clock_timestamp() as now from outbox where id = $1",
    )
    .bind(id)
    .fetch_optional(connection);
    in_time(reading).await
}

/// The rows with these ids that are there.
pub async fn rows_with(
    connection: &mut PgConnection,
    ids: &[i64],
) -> Result<Vec<OutboxRow>, sqlx::Error> {
    let reading = sqlx::query_as("select id, entries, event_count from outbox where id = any($1)")
        .bind(ids)
        .fetch_all(connection);
    in_time(reading).await
}

/// Deletes exactly these rows. A range would take rows with it that became visible since.
pub async fn delete_rows(connection: &mut PgConnection, ids: &[i64]) -> Result<(), sqlx::Error> {
    let deleting = sqlx::query("delete from outbox where id = any($1)")
        .bind(ids)
        .execute(connection);
    in_time(deleting).await.map(drop)
}

/// Deletes those of these rows that no other session has locked, and gives their ids.
pub async fn delete_unlocked_rows(
    connection: &mut PgConnection,
    ids: &[i64],
) -> Result<Vec<i64>, sqlx::Error> {
    let deleting = sqlx::query_scalar(
        "delete from outbox where id in (select id from outbox where id = any($1) for update skip locked) returning id",
    )
    .bind(ids)
    .fetch_all(connection);
    in_time(deleting).await
}

/// Leaves only these entries in a row. Not when it was changed meanwhile: another relay may have left others.
pub async fn replace_entries(
    connection: &mut PgConnection,
    row: &OutboxRow,
    entries: &[u8],
    event_count: i32,
) -> Result<(), sqlx::Error> {
    let replacing = sqlx::query(
        "update outbox set entries = $3, event_count = $4 where id = $1 and entries = $2",
    )
    .bind(row.id)
    .bind(&row.entries)
    .bind(entries)
    .bind(event_count)
    .execute(connection);
    in_time(replacing).await.map(drop)
}

/// A row left of what is settled. There should be none: it is looked for all the same, now and then, because it would
/// never be sent.
pub async fn straggler(connection: &mut PgConnection) -> Result<Option<i64>, sqlx::Error> {
    let looking = sqlx::query_scalar(
        "select id from outbox where id <= (select settled_id from relay_lease) order by id limit 1",
    )
    .fetch_optional(connection);
    in_time(looking).await
}

/// What an instance can tell of the outbox, whoever sends it.
///
/// How much is waiting is exact for the oldest thousand rows, and estimated from the ids beyond them: it is asked once a
/// second, and an outage may have left millions of rows of a page each.
pub async fn overview(connection: &mut PgConnection, topic: &str) -> Result<Overview, sqlx::Error> {
    let asking = sqlx::query_as(
        "with settled as (select coalesce((select settled_id from relay_lease), 0) as id)
         select (events + events * (newest - last) / rows)::bigint as events,
                extract(epoch from clock_timestamp() - oldest_at)::bigint as oldest_age_seconds,
                (select extract(epoch from clock_timestamp() - nullif(renewed_at, 'epoch'))::bigint from relay_lease)
                    as relay_age_seconds,
                (select faults from event_topics where topic = $1) as faults,
                exists (select from event_topics where topic = $1 and lost_at is not null) as is_lost,
                (select message_bytes_max from event_topics where topic = $1) as message_bytes_max
         from (select coalesce(sum(event_count), 0) as events, greatest(count(*), 1) as rows,
                      coalesce(max(id), 0) as last, coalesce(min(created_at), clock_timestamp()) as oldest_at
               from (select id, event_count, created_at from outbox
                     where id > (select id from settled) order by id limit 1000) as oldest) as counted,
              (select coalesce(max(id), 0) as newest from outbox where id > (select id from settled)) as ends",
    )
    .bind(topic)
    .fetch_one(connection);
    in_time(asking).await
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
            last_id: 7,
        };
        assert_eq!(sound.check(), Ok(()));
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
