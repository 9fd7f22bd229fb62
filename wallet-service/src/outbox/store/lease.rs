//! The lease: which relay sends the outbox, by Postgres' clock.
//!
//! The holder renews it. It is free when it was not renewed in time, whatever became of its holder, and at once when the
//! session that took it is gone. So a process that hangs, a host that died without a word and a network that was cut all
//! end a lease; what a holder does that does not know it yet is send events twice.

use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

use super::in_time;

/// How long a lease holds that is not renewed. Longer than a call that hangs takes to be given up, connecting again
/// included, so that a holder whose connection froze is its own successor.
pub const LEASE: Duration = Duration::from_secs(10);

/// For how long it counts that another relay asked.
const WANTED: Duration = Duration::from_secs(15);

/// Takes the lease if it is free or this relay's own. Gives what the outbox is known to be settled up to.
pub async fn take(connection: &mut PgConnection, holder: Uuid) -> Result<Option<i64>, sqlx::Error> {
    // A lease of the future was given by a clock that was wrong: it would never end.
    let taking = sqlx::query_scalar(
        "insert into relay_lease as lease (holder, backend, renewed_at)
         values ($1, pg_backend_pid(), clock_timestamp())
         on conflict (only_row) do update
         set holder = excluded.holder, backend = excluded.backend, renewed_at = clock_timestamp(), wanted_at = null
         where lease.holder = excluded.holder
            or abs(extract(epoch from clock_timestamp() - lease.renewed_at)) > $2::float8
            or not exists (select from pg_stat_activity as session where session.pid = lease.backend)
         returning settled_id",
    )
    .bind(holder)
    .bind(LEASE.as_secs_f64())
    .fetch_optional(connection);
    in_time(taking).await
}

/// Whether it is worth to try: asking does not write.
pub async fn is_free(connection: &mut PgConnection, holder: Uuid) -> Result<bool, sqlx::Error> {
    let asking = sqlx::query_scalar(
        "select not exists (
             select from relay_lease as lease
             where lease.holder <> $1
               and abs(extract(epoch from clock_timestamp() - lease.renewed_at)) <= $2::float8
               and exists (select from pg_stat_activity as session where session.pid = lease.backend))",
    )
    .bind(holder)
    .bind(LEASE.as_secs_f64())
    .fetch_one(connection);
    in_time(asking).await
}

/// Says that another relay would take it.
pub async fn want(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let saying =
        sqlx::query("update relay_lease set wanted_at = clock_timestamp()").execute(connection);
    in_time(saying).await.map(drop)
}

/// What became of a renewal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Renewal {
    Held {
        /// Another relay waits for it.
        wanted: bool,
    },
    /// Another relay has it.
    Lost,
}

/// Holds the lease for another while, and says how far the outbox is settled.
pub async fn renew(
    connection: &mut PgConnection,
    holder: Uuid,
    settled_id: i64,
) -> Result<Renewal, sqlx::Error> {
    let renewing = sqlx::query_scalar(
        "update relay_lease set renewed_at = clock_timestamp(), settled_id = $2 where holder = $1
         returning coalesce(wanted_at > clock_timestamp() - make_interval(secs => $3), false)",
    )
    .bind(holder)
    .bind(settled_id)
    .bind(WANTED.as_secs_f64())
    .fetch_optional(connection);
    Ok(match in_time(renewing).await? {
        Some(wanted) => Renewal::Held { wanted },
        None => Renewal::Lost,
    })
}

/// Lets go of it, so that another need not wait.
pub async fn release(connection: &mut PgConnection, holder: Uuid) -> Result<(), sqlx::Error> {
    let releasing = sqlx::query(
        "update relay_lease set renewed_at = 'epoch', wanted_at = null where holder = $1",
    )
    .bind(holder)
    .execute(connection);
    in_time(releasing).await.map(drop)
}

/// Whether another relay asks for the lease of this one.
pub async fn is_wanted(connection: &mut PgConnection, holder: Uuid) -> Result<bool, sqlx::Error> {
    let asking = sqlx::query_scalar(
        "select exists (select from relay_lease where holder = $1
                        and wanted_at > clock_timestamp() - make_interval(secs => $2))",
    )
    .bind(holder)
    .bind(WANTED.as_secs_f64())
    .fetch_one(connection);
    in_time(asking).await
}
