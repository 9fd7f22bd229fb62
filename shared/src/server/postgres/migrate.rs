//! Brings a database to the schema of this build, or leaves it exactly as it was.
//!
//! Migrations expand first and contract one release later, so a build starts and works on the schema of the next one: a
//! version it does not know that is newer than its own is left alone. A version it knows with other statements, or does not
//! know and should, was made by something else: a build from before the first release, mostly. Such a database is refused
//! before anything in it is changed.

use sqlx::{
    FromRow, PgConnection,
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
    let others = others_name(migrator, &mut connection).await;
    let migrated = match &others {
        Ok(None) => check_and_run(migrator, &mut connection).await,
        // Nothing is done to what is another service's.
        Ok(Some(_)) | Err(_) => Ok(()),
    };
    closed(connection).await;
    let target = target(&options);
    match others {
        Ok(None) => {}
        Ok(Some(schema)) => return Err(PostgresError::OtherService { target, schema }),
        Err(source) => {
            let source = MigrateError::from(source);
            return Err(PostgresError::Migrate { target, source });
        }
    }
    migrated.map_err(|source| {
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
    if is_complete(migrator, &applied) {
        // Nothing is asked that a read-only database, or a standby, would refuse: the service can read there.
        return Ok(());
    }
    let mut migrator = Migrator::with_migrations(migrator.iter().cloned().collect());
    migrator.set_ignore_missing(true);
    migrator.run(connection).await
}

/// The name of the first schema that was made here, if it is not the name of ours: two settings were swapped, mostly.
async fn others_name(
    migrator: &Migrator,
    connection: &mut PgConnection,
) -> Result<Option<String>, sqlx::Error> {
    if !is_migrated(connection).await? {
        return Ok(None);
    }
    let first: Option<(i64, String)> = sqlx::query_as(
        "select version, description from _sqlx_migrations order by version limit 1",
    )
    .fetch_optional(connection)
    .await?;
    let ours = migrator.iter().find(|known| {
        first
            .as_ref()
            .is_some_and(|(version, _)| known.version == *version)
    });
    Ok(match (first, ours) {
        (Some((_, name)), Some(ours)) if *ours.description != *name => Some(name),
        _ => None,
    })
}

async fn is_migrated(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select to_regclass('_sqlx_migrations') is not null")
        .fetch_one(connection)
        .await
}

/// What was done to a database.
#[derive(FromRow)]
struct Applied {
    version: i64,
    checksum: Vec<u8>,
    /// It was not left half-way.
    success: bool,
}

/// Nothing was done to an empty database.
async fn applied(connection: &mut PgConnection) -> Result<Vec<Applied>, sqlx::Error> {
    if !is_migrated(connection).await? {
        return Ok(Vec::new());
    }
    sqlx::query_as("select version, checksum, success from _sqlx_migrations order by version")
        .fetch_all(connection)
        .await
}

/// Whether everything was done that this build asks for.
fn is_complete(migrator: &Migrator, applied: &[Applied]) -> bool {
    let is_done = |version| {
        let done = applied.iter().filter(|done| done.success);
        done.map(|done| done.version).any(|done| done == version)
    };
    migrator.iter().all(|known| is_done(known.version))
}

/// The first version that says that the database was not made by this line of builds.
fn other_line(migrator: &Migrator, applied: &[Applied]) -> Option<i64> {
    let newest = migrator.iter().map(|known| known.version).max()?;
    let is_other = |done: &&Applied| {
        let known = migrator.iter().find(|known| known.version == done.version);
        match known {
            Some(known) => *known.checksum != *done.checksum,
            None => done.version < newest,
        }
    };
    applied.iter().find(is_other).map(|done| done.version)
}
