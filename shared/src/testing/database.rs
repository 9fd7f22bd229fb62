//! A database of its own for every test, and what may become of one: the next release's schema, a standby.

use std::time::Duration;

use sqlx::{
    AssertSqlSafe, Connection, Executor, PgConnection, PgPool,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use uuid::Uuid;

use super::{eventually, expect, server_url};
use crate::server::{
    postgres::{Roles, Schema, migrate_and_grant},
    settings::Secret,
};

/// Namespace of our advisory locks, so that two test processes do not build the same template at once.
const TEMPLATE_LOCK: i32 = 0x7e57;

/// A migrated database of one test's own, dropped when this is.
///
/// The test itself looks, and breaks what it has to, by [`TestDatabase::pool`], which may what the owner may. What is tested
/// connects as [`TestDatabase::url`] and [`TestDatabase::options`] say: as the service's role, where the schema has one.
pub struct TestDatabase {
    name: String,
    server_url: String,
    server: PgConnectOptions,
    url: Secret,
    pool: PgPool,
}

impl TestDatabase {
    /// Waits until a statement waits for a lock.
    pub async fn until_one_waits(&self) {
        const SOON: Duration = Duration::from_secs(60);
        eventually("a statement waits", SOON, async || {
            let waiting = "select count(*) from pg_locks where not granted \
                           and database = (select oid from pg_database where datname = current_database())";
            let waiting = sqlx::query_scalar(waiting).fetch_one(self.pool()).await;
            let waiting: i64 = expect(waiting, "the locks can be looked at");
            (waiting > 0).then_some(())
        })
        .await;
    }

    /// Creates a database on the server of `TEST_POSTGRES_URL`, as a copy of a template that holds the migrations, and of
    /// which the roles have their rights. The template is built when it is first needed and kept for later runs; another
    /// schema makes another template.
    ///
    /// # Panics
    /// Without the variable or the server, when the migrations fail, or when the server has no such roles.
    pub async fn create<'a>(schema: impl Into<Schema<'a>>) -> Self {
        let schema = schema.into();
        let server_url = server_url();
        let server: PgConnectOptions =
            expect(server_url.parse(), "TEST_POSTGRES_URL is a Postgres URL");
        let mut admin = expect(
            PgConnection::connect_with(&server).await,
            "the Postgres of TEST_POSTGRES_URL answers",
        );
        let template = ensure_template(&mut admin, &server, &schema).await;
        let name = format!("test_{}", Uuid::now_v7().simple());
        let owner = owned(&schema);
        let create = format!("create database {name} template {template} {owner}");
        run(&mut admin, create).await;
        let mut url = with_database(&server_url, &name);
        if let Some(roles) = schema.roles {
            // Rights on the database itself are not copied with it: whoever is known may connect.
            url = as_role(&url, service(&roles));
        }
        expect(admin.close().await, "a connection closes");
        let options = server.clone().database(&name);
        let pool = PgPoolOptions::new()
            .max_connections(8)
            .connect_lazy_with(options);
        Self {
            url: Secret::new(url),
            server_url,
            name,
            server,
            pool,
        }
    }

    /// The URL that what is tested is told, credentials included.
    pub const fn url(&self) -> &Secret {
        &self.url
    }

    /// The same as another role of the server, which has the same password.
    pub fn url_as(&self, role: &str) -> String {
        as_role(&with_database(&self.server_url, &self.name), role)
    }

    /// The URL of who may what the owner may, credentials included.
    pub fn owners_url(&self) -> String {
        with_database(&self.server_url, &self.name)
    }

    /// Connections of who may what the owner may.
    pub const fn pool(&self) -> &PgPool {
        &self.pool
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Options for a connection of what is tested.
    ///
    /// # Panics
    /// Never: they were a URL's before.
    pub fn options(&self) -> PgConnectOptions {
        expect(self.url.expose().parse(), "the URL is one")
    }

    /// Options for a connection of who may what the owner may.
    pub fn owners_options(&self) -> PgConnectOptions {
        self.server.clone().database(&self.name)
    }
}

/// The role that the service connects as: the first of those that rights are granted to.
fn service<'a>(roles: &Roles<'a>) -> &'a str {
    roles.names.first().copied().unwrap_or_default()
}

/// Whose a new database is: the role's beside the service's, or the server's own.
fn owned(schema: &Schema<'_>) -> String {
    let Some(roles) = schema.roles else {
        return String::new();
    };
    format!("owner {}", owner(&roles))
}

fn owner(roles: &Roles<'_>) -> String {
    service(roles).replace("_service", "_owner")
}

/// A database of one test's own without any table.
///
/// # Panics
/// As [`TestDatabase::create`].
pub async fn empty_database() -> TestDatabase {
    static NOTHING: Migrator = Migrator::DEFAULT;
    let database = TestDatabase::create(&NOTHING).await;
    let clear = "drop table if exists _sqlx_migrations";
    expect(
        sqlx::query(clear).execute(database.pool()).await,
        "a table can be dropped",
    );
    database
}

impl Drop for TestDatabase {
    /// On a thread of its own: the test's runtime may be the one that is being dropped. A failure leaves a database
    /// behind and nothing else, so it is not allowed to hide the test's own.
    fn drop(&mut self) {
        let server = self.server.clone();
        let statement = format!("drop database if exists {} with (force)", self.name);
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .ok()?;
            runtime.block_on(async {
                let mut admin = PgConnection::connect_with(&server).await.ok()?;
                admin.execute(AssertSqlSafe(statement)).await.ok()?;
                admin.close().await.ok()
            })
        });
        drop(dropping.join());
    }
}

/// The template of these migrations. It is complete once it has its name: building happens under another one.
async fn ensure_template(
    admin: &mut PgConnection,
    server: &PgConnectOptions,
    schema: &Schema<'_>,
) -> String {
    let fingerprint = fingerprint(schema);
    let template = format!("template_{fingerprint}");
    let exists = "select exists (select from pg_database where datname = $1)";
    let known = sqlx::query_scalar(exists)
        .bind(&template)
        .fetch_one(&mut *admin)
        .await;
    if expect(known, "pg_database can be read") {
        return template;
    }
    let lock = "select pg_advisory_lock($1, 0)";
    expect(
        sqlx::query(lock)
            .bind(TEMPLATE_LOCK)
            .execute(&mut *admin)
            .await,
        "an advisory lock can be taken",
    );
    let known = sqlx::query_scalar(exists)
        .bind(&template)
        .fetch_one(&mut *admin)
        .await;
    if !expect(known, "pg_database can be read") {
        let building = format!("building_{fingerprint}");
        run(
            admin,
            format!("drop database if exists {building} with (force)"),
        )
        .await;
        let owned = owned(schema);
        run(admin, format!("create database {building} {owned}")).await;
        let mut options = server.clone().database(&building);
        if let Some(roles) = schema.roles {
            options = options.options([("role", owner(&roles))]);
        }
        let migrated = migrate_and_grant(*schema, &options).await;
        expect(
            migrated,
            "the migrations run and the roles get their rights",
        );
        run(
            admin,
            format!("alter database {building} rename to {template}"),
        )
        .await;
    }
    let unlock = "select pg_advisory_unlock($1, 0)";
    expect(
        sqlx::query(unlock)
            .bind(TEMPLATE_LOCK)
            .execute(&mut *admin)
            .await,
        "an advisory lock can be released",
    );
    template
}

fn fingerprint(schema: &Schema<'_>) -> String {
    use sha2::{Digest, Sha256};

    let mut digest = Sha256::new();
    for migration in schema.migrations.iter() {
        digest.update(migration.version.to_be_bytes());
        digest.update(&migration.checksum);
    }
    if let Some(roles) = schema.roles {
        digest.update(owner(&roles));
        digest.update(roles.grants);
    }
    let mut text = const_hex::encode(digest.finalize());
    text.truncate(16);
    text
}

/// Columns whose statistics take more than a tenth of the usual sample: on tables that grow fast, commands wait for that.
///
/// # Panics
/// When the catalogue cannot be read.
pub async fn columns_with_large_samples(pool: &PgPool) -> Vec<String> {
    let columns = sqlx::query_scalar(
        "select attrelid::regclass || '.' || attname from pg_attribute join pg_class on pg_class.oid = attrelid \
         where relnamespace = 'public'::regnamespace and relkind = 'r' and attnum > 0 and not attisdropped \
           and attrelid <> '_sqlx_migrations'::regclass and (attstattarget is null or attstattarget > 10)",
    );
    expect(columns.fetch_all(pool).await, "the catalogue can be read")
}

/// The database as the next release may leave it, while this build still runs or starts on it: more columns on every
/// table, with and without a default, one more index on each, a table more, and a migration that this build does not know.
///
/// # Panics
/// When a statement is refused.
pub async fn expand_to_next_schema(pool: &PgPool) {
    const NEXT_VERSION: i64 = 9_999;
    let tables: Vec<String> = expect(
        sqlx::query_scalar(
            "select relname::text from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') \
             and relname <> '_sqlx_migrations'",
        )
        .fetch_all(pool)
        .await,
        "the catalogue can be read",
    );
    assert!(!tables.is_empty(), "there is a schema to expand");
    // Table by table, so that a lock is held on one of them at a time: commands go on meanwhile.
    let mut steps = vec!["create table next_things (id bigint primary key)".to_owned()];
    steps.extend(tables.iter().map(|table| {
        format!(
            "alter table {table} add column next_note text, add column next_count integer not null default 0; \
             create index on {table} (next_count)"
        )
    }));
    for step in steps {
        let expanded = sqlx::raw_sql(AssertSqlSafe(step)).execute(pool).await;
        expect(expanded, "the schema can be expanded");
    }
    let recorded = sqlx::query(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time) \
         values ($1, 'next release', true, $2, 0)",
    )
    .bind(NEXT_VERSION)
    .bind(b"not of this build".as_slice());
    expect(recorded.execute(pool).await, "a migration can be recorded");
}

/// Makes new sessions of a database take their server for a standby, as long as they only ask.
///
/// # Panics
/// When a statement is refused.
pub async fn become_standby(database: &TestDatabase) {
    let name = database.name();
    let pretending = format!(
        "create schema if not exists pretended; grant usage on schema pretended to public; \
         create or replace function pretended.pg_is_in_recovery() returns boolean language sql as 'select true'; \
         alter database {name} set search_path = pretended, pg_catalog, public"
    );
    let pretended = sqlx::raw_sql(AssertSqlSafe(pretending)).execute(database.pool());
    expect(pretended.await, "a standby can be pretended");
}

/// The other way. Sessions of before stay with a standby, like those to a server that was left behind.
///
/// # Panics
/// When the statement is refused.
pub async fn become_primary(database: &TestDatabase) {
    let reset = format!("alter database {} reset search_path", database.name());
    let reset = sqlx::raw_sql(AssertSqlSafe(reset)).execute(database.pool());
    expect(reset.await, "a setting can be taken back");
}

async fn run(connection: &mut PgConnection, statement: String) {
    let done = connection.execute(AssertSqlSafe(statement.as_str())).await;
    expect(done, &statement);
}

/// The same URL with another role and the same password.
fn as_role(url: &str, role: &str) -> String {
    let (scheme, rest) = expect(url.split_once("://").ok_or(url), "a URL has a scheme");
    let (credentials, place) = rest.split_once('@').unwrap_or(("", rest));
    let password = credentials.split_once(':').map(|(_, password)| password);
    let password = password.map(|password| format!(":{password}"));
    format!("{scheme}://{role}{}@{place}", password.unwrap_or_default())
}

/// The same URL with another database in its path.
fn with_database(url: &str, name: &str) -> String {
    let (base, query) = url
        .split_once('?')
        .map_or((url, None), |(base, query)| (base, Some(query)));
    let authority_at = base.find("://").map_or(0, |at| at + 3);
    let path_at = base[authority_at..]
        .find('/')
        .map_or(base.len(), |at| authority_at + at);
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{}/{name}{query}", &base[..path_at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_of_another_role_keeps_the_password() {
        for (url, expected) in [
            ("postgres://u:p@h:5432/x", "postgres://r:p@h:5432/x"),
            (
                "postgres://u@h/x?sslmode=disable",
                "postgres://r@h/x?sslmode=disable",
            ),
        ] {
            assert_eq!(as_role(url, "r"), expected);
        }
    }

    #[test]
    fn a_url_keeps_everything_but_its_database() {
        for (url, expected) in [
            ("postgres://u:p@h:5432/postgres", "postgres://u:p@h:5432/x"),
            ("postgres://u:p@h:5432", "postgres://u:p@h:5432/x"),
            (
                "postgres://u@h/postgres?sslmode=disable",
                "postgres://u@h/x?sslmode=disable",
            ),
        ] {
            assert_eq!(with_database(url, "x"), expected);
        }
    }
}
