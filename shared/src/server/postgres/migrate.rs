//! Brings a database to the schema of this build, or leaves it exactly as it was.
//!
//! Migrations expand first and contract one release later, so a build starts and works on the schema of the next one: a
//! version it does not know that is newer than its own is left alone. A version it knows with other statements, or does not
//! know and should, was made by something else: a build from before the first release, mostly. Such a database is refused
//! before anything in it is changed.
//!
//! Who owns a database migrates it and grants the other roles their rights. A service that connects as one of those looks
//! whether that was done, and changes nothing.

use sqlx::{
    AssertSqlSafe, Connection, FromRow, PgConnection,
    migrate::{MigrateError, Migrator},
    postgres::PgConnectOptions,
};

use super::{PostgresError, START_CONNECT_DEADLINE, closed, connect_with_retry, target};

/// What the role of a session may not, and how it comes to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RoleFault {
    #[error(
        "migration {version} of this build was not made yet, and the role does not own the database. Let its owner run the \
         command `migrate` of this service first: with the owner's URL as the URL of the database"
    )]
    Behind { version: i64 },
    #[error(
        "the role was granted nothing there. Let the database's owner run the command `migrate` of this service, which \
         grants the roles of grants.sql what they need; another role needs to be granted one of them"
    )]
    NothingGranted,
    #[error(
        "the role may read there and not write. A service connects as the service's role, which the owner's command \
         `migrate` grants what it needs"
    )]
    MayNotWrite,
    #[error("the role does not own what is there: `migrate` is for the database's owner")]
    NotTheOwner,
}

/// How long a migration may wait for a lock: behind it, all other readers and writers of the table would queue.
const LOCK_TIMEOUT: &str = "10s";

/// What a service's database is to be like.
#[derive(Clone, Copy, Debug)]
pub struct Schema<'a> {
    pub migrations: &'a Migrator,
    pub roles: Option<Roles<'a>>,
}

/// Who may do what in a database, beside its owner.
#[derive(Clone, Copy, Debug)]
pub struct Roles<'a> {
    /// Those that rights are granted to.
    pub names: &'a [&'a str],
    /// The statements that grant them, and take away what they do not say. Again changes nothing.
    pub grants: &'a str,
    /// A table that whoever serves has to be able to append to.
    pub appends_to: &'a str,
}

impl<'a> From<&'a Migrator> for Schema<'a> {
    /// One role does everything.
    fn from(migrations: &'a Migrator) -> Self {
        let roles = None;
        Self { migrations, roles }
    }
}

/// For a start. Brings the database to the version of this build, when the role may; one that does not own it goes on when
/// that was done before. Instances that start together take turns.
///
/// # Errors
/// When Postgres does not answer within a minute, the database is not of this build's line, a migration fails, the role may
/// not do what is missing, or may not do what serving takes.
pub async fn migrate<'a>(
    schema: impl Into<Schema<'a>>,
    options: &PgConnectOptions,
) -> Result<(), PostgresError> {
    bring(&schema.into(), options, Task::Start).await
}

/// As [`migrate`], for the owner alone, and grants the roles what they need, also when there was nothing to migrate.
///
/// # Errors
/// As [`migrate`], and when the role is not the owner.
pub async fn migrate_and_grant<'a>(
    schema: impl Into<Schema<'a>>,
    options: &PgConnectOptions,
) -> Result<(), PostgresError> {
    bring(&schema.into(), options, Task::MigrateAndGrant).await
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Task {
    Start,
    MigrateAndGrant,
}

async fn bring(
    schema: &Schema<'_>,
    options: &PgConnectOptions,
    task: Task,
) -> Result<(), PostgresError> {
    let options = options.clone().options([("lock_timeout", LOCK_TIMEOUT)]);
    let mut connection = connect_with_retry(&options, START_CONNECT_DEADLINE).await?;
    let done = bring_over(schema, &mut connection, task).await;
    closed(connection).await;
    let target = target(&options);
    done.map_err(|fault| match fault {
        Fault::Role(fault, role) => PostgresError::Role {
            target,
            role,
            fault,
        },
        Fault::OtherService(schema) => PostgresError::OtherService { target, schema },
        Fault::Migrate(
            MigrateError::VersionMismatch(version) | MigrateError::VersionMissing(version),
        ) => PostgresError::OtherLine { target, version },
        Fault::Migrate(source) => PostgresError::Migrate { target, source },
    })
}

/// Why it was not done.
enum Fault {
    Role(RoleFault, String),
    OtherService(String),
    Migrate(MigrateError),
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::Migrate(error.into())
    }
}

impl From<MigrateError> for Fault {
    fn from(error: MigrateError) -> Self {
        Self::Migrate(error)
    }
}

async fn bring_over(
    schema: &Schema<'_>,
    connection: &mut PgConnection,
    task: Task,
) -> Result<(), Fault> {
    let Standing {
        role,
        owns,
        may_look,
    } = standing(connection).await?;
    if !may_look {
        return Err(Fault::Role(RoleFault::NothingGranted, role));
    }
    let migrations = schema.migrations;
    if let Some(theirs) = others_name(migrations, connection).await? {
        // Nothing is done to what is another service's.
        return Err(Fault::OtherService(theirs));
    }
    let applied = applied(connection).await?;
    if let Some(version) = other_line(migrations, &applied) {
        return Err(MigrateError::VersionMismatch(version).into());
    }
    let missing = missing(migrations, &applied);
    match (missing, owns, task) {
        // Nothing is asked that a read-only database, or a standby, would refuse: the service can read there.
        (None, _, Task::Start) => {}
        (None, false, Task::MigrateAndGrant) => {
            return Err(Fault::Role(RoleFault::NotTheOwner, role));
        }
        (Some(version), false, _) => {
            return Err(Fault::Role(RoleFault::Behind { version }, role));
        }
        (_, true, _) => {
            let mut migrator = Migrator::with_migrations(migrations.iter().cloned().collect());
            migrator.set_ignore_missing(true);
            migrator.run(&mut *connection).await?;
            grant(schema, connection).await?;
        }
    }
    if task == Task::Start && !may_serve(schema, connection).await? {
        return Err(Fault::Role(RoleFault::MayNotWrite, role));
    }
    Ok(())
}

/// What the session's role is to this database.
#[derive(FromRow)]
struct Standing {
    role: String,
    /// It may alter what is there; where nothing is, it may create.
    owns: bool,
    may_look: bool,
}

async fn standing(connection: &mut PgConnection) -> Result<Standing, sqlx::Error> {
    sqlx::query_as(
        "select current_user::text as role,
                coalesce(pg_has_role(made.relowner, 'usage'), has_schema_privilege(current_schema(), 'create'), false) as owns,
                coalesce(has_table_privilege(made.oid, 'select'), true) as may_look
         from (select to_regclass('_sqlx_migrations') as oid) as known left join pg_class as made on made.oid = known.oid",
    )
    .fetch_one(connection)
    .await
}

/// Instances that grant together take turns.
const GRANTS_LOCK: &str = "select pg_advisory_xact_lock(hashtextextended('grants', 0))";

async fn grant(schema: &Schema<'_>, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let Some(Roles { names, grants, .. }) = schema.roles else {
        return Ok(());
    };
    let absent: Vec<String> = sqlx::query_scalar(
        "select name from unnest($1::text[]) as wanted (name) where to_regrole(name) is null",
    )
    .bind(names)
    .fetch_all(&mut *connection)
    .await?;
    if !absent.is_empty() {
        tracing::info!(?absent, "no rights were granted: there are no such roles");
        return Ok(());
    }
    let mut transaction = connection.begin().await?;
    sqlx::query(GRANTS_LOCK).execute(&mut *transaction).await?;
    sqlx::raw_sql(AssertSqlSafe(grants))
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    tracing::info!(roles = ?names, "rights granted");
    Ok(())
}

/// Whether the role has what it needs, told by the one right that no reader has.
async fn may_serve(
    schema: &Schema<'_>,
    connection: &mut PgConnection,
) -> Result<bool, sqlx::Error> {
    let Some(roles) = schema.roles else {
        return Ok(true);
    };
    sqlx::query_scalar("select has_table_privilege($1, 'insert')")
        .bind(roles.appends_to)
        .fetch_one(connection)
        .await
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

/// The first version that this build asks for and that was not reached.
fn missing(migrator: &Migrator, applied: &[Applied]) -> Option<i64> {
    let is_done = |version| {
        let done = applied.iter().filter(|done| done.success);
        done.map(|done| done.version).any(|done| done == version)
    };
    let wanted = migrator.iter().map(|known| known.version);
    wanted.into_iter().find(|version| !is_done(*version))
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
