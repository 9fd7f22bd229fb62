//! Brings a database to the schema of this build, or leaves it exactly as it was.
//!
//! Migrations expand first and contract one release later, so a build starts and works on the schema of the next one: a
//! version it does not know that is newer than its own is left alone. A version it knows with other statements, or does not
//! know and should, was made by something else: a build from before the first release, mostly. Such a database is refused
//! before anything in it is changed.

use sqlx::{
    PgConnection,
    migrate::{MigrateError, Migrator},
    postgres::PgConnectOptions,
};

use super::{PostgresError, START_CONNECT_DEADLINE, closed, connect_with_retry, target};

/// How long a migration may wait for a lock: behind it, all other readers and writers of the table would queue.
const LOCK_TIMEOUT: &str = "10s";

/// Brings the database to the version of this build. Instances that start together take turns.
///
/// # Errors
/// When Postgres does not answer within a minute, the database is not of this build's line, or a migration fails.
pub async fn migrate(migrator: &Migrator, options: &PgConnectOptions) -> Result<(), PostgresError> {
    let options = options.clone().options([("lock_timeout", LOCK_TIMEOUT)]);
    let mut connection = connect_with_retry(&options, START_CONNECT_DEADLINE).await?;
    let migrated = check_and_run(migrator, &mut connection).await;
    closed(connection).await;
    migrated.map_err(|source| {
        let target = target(&options);
        if let MigrateError::VersionMismatch(version) | MigrateError::VersionMissing(version) =
            source
        {
            return PostgresError::OtherLine { target, version };
        }
        PostgresError::Migrate { target, source }
    })
}

async fn check_and_run(
    migrator: &Migrator,
    connection: &mut PgConnection,
) -> Result<(), MigrateError> {
    let applied = applied(connection).await?;
    if let Some(version) = other_line(migrator, &applied) {
        return Err(MigrateError::VersionMismatch(version));
    }
    let mut migrator = Migrator::with_migrations(migrator.iter().cloned().collect());
    migrator.set_ignore_missing(true);
    migrator.run(connection).await
}

/// What was applied, by version and checksum. Nothing to an empty database.
async fn applied(connection: &mut PgConnection) -> Result<Vec<(i64, Vec<u8>)>, sqlx::Error> {
    let is_there: bool = sqlx::query_scalar("select to_regclass('_sqlx_migrations') is not null")
        .fetch_one(&mut *connection)
        .await?;
    if !is_there {
        return Ok(Vec::new());
    }
    sqlx::query_as("select version, checksum from _sqlx_migrations order by version")
        .fetch_all(connection)
        .await
}

/// The first version that says that the database was not made by this line of builds.
fn other_line(migrator: &Migrator, applied: &[(i64, Vec<u8>)]) -> Option<i64> {
    let newest = migrator.iter().map(|known| known.version).max()?;
    let is_other = |(version, checksum): &&(i64, Vec<u8>)| {
        let known = migrator.iter().find(|known| known.version == *version);
        match known {
            Some(known) => *known.checksum != **checksum,
            None => *version < newest,
        }
    };
    applied.iter().find(is_other).map(|(version, _)| *version)
}
