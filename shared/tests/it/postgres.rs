//! Test databases, pools and migrations on a real Postgres.

use std::{path::Path, time::Duration};

use shared::{
    server::{
        postgres::{
            PlannerSettings, PostgresError, connect_options, connect_with_retry, migrate, read_pool,
        },
        settings::Settings,
    },
    testing::TestDatabase,
};
use sqlx::{
    Connection, PgConnection, SqlSafeStr,
    migrate::{Migration, MigrationType, Migrator},
};

async fn migrator() -> Migrator {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/migrations");
    Migrator::new(folder)
        .await
        .unwrap_or_else(|error| panic!("the migrations can be read: {error}"))
}

#[tokio::test]
async fn every_test_has_a_migrated_database_of_its_own() {
    let migrator = migrator().await;
    let (one, other) = tokio::join!(
        TestDatabase::create(&migrator),
        TestDatabase::create(&migrator)
    );
    sqlx::query("insert into notes (body) values ('mine')")
        .execute(one.pool())
        .await
        .unwrap();
    let count = "select count(*) from notes";
    assert_eq!(
        sqlx::query_scalar::<_, i64>(count)
            .fetch_one(one.pool())
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        sqlx::query_scalar::<_, i64>(count)
            .fetch_one(other.pool())
            .await
            .unwrap(),
        0
    );
}

#[tokio::test]
async fn a_test_database_is_gone_with_its_test_even_while_somebody_is_connected() {
    let database = TestDatabase::create(&migrator().await).await;
    let (name, options) = (database.name().to_owned(), database.options());
    let _somebody = PgConnection::connect_with(&options).await.unwrap();
    drop(database);
    let mut other = PgConnection::connect_with(&options.database("postgres"))
        .await
        .unwrap();
    let known =
        sqlx::query_scalar::<_, bool>("select exists (select from pg_database where datname = $1)");
    assert!(!known.bind(name).fetch_one(&mut other).await.unwrap());
}

#[tokio::test]
async fn a_write_that_strays_into_the_read_pool_fails() {
    let database = TestDatabase::create(&migrator().await).await;
    let pool = read_pool(connect_options(database.url(), "test").unwrap(), 1);
    let refused = sqlx::query("insert into notes (body) values ('stray')")
        .execute(&pool)
        .await
        .unwrap_err();
    assert_eq!(
        refused.as_database_error().unwrap().code().unwrap(),
        "25006",
        "read_only_sql_transaction"
    );
    assert_eq!(
        sqlx::query_scalar::<_, i64>("select count(*) from notes")
            .fetch_one(&pool)
            .await
            .unwrap(),
        0
    );
}

#[tokio::test]
async fn sessions_carry_the_name_and_the_limits_they_were_given() {
    let database = TestDatabase::create(&migrator().await).await;
    let pool = read_pool(
        connect_options(database.url(), "history-reader").unwrap(),
        1,
    );
    let settings =
        "select current_setting('application_name'), current_setting('statement_timeout'),
                           current_setting('idle_in_transaction_session_timeout')";
    let (name, statement, idle): (String, String, String) =
        sqlx::query_as(settings).fetch_one(&pool).await.unwrap();
    assert_eq!(
        (name.as_str(), statement.as_str(), idle.as_str()),
        ("history-reader", "5s", "10s")
    );
    // Or the server would keep the locks of a host that is gone for hours.
    let liveness = "select current_setting('tcp_keepalives_idle'), current_setting('tcp_keepalives_interval'),
                           current_setting('tcp_keepalives_count'), current_setting('tcp_user_timeout')";
    let (idle, interval, count, unanswered): (String, String, String, String) =
        sqlx::query_as(liveness).fetch_one(&pool).await.unwrap();
    assert_eq!(
        [idle.as_str(), &interval, &count, &unanswered],
        ["5", "2", "3", "10000"]
    );
}

#[tokio::test]
async fn instances_that_migrate_together_take_turns() {
    let database = TestDatabase::create(&Migrator::DEFAULT).await;
    let (migrator, options) = (migrator().await, database.options());
    let (one, other) = tokio::join!(migrate(&migrator, &options), migrate(&migrator, &options));
    one.unwrap();
    other.unwrap();
    sqlx::query("insert into notes (body) values ('there')")
        .execute(database.pool())
        .await
        .unwrap();
}

fn migration(version: i64, sql: &'static str) -> Migration {
    Migration::new(
        version,
        "test".into(),
        MigrationType::Simple,
        sql.into_sql_str(),
        false,
    )
}

/// Everything that is in the database, by kind and name.
async fn contents(database: &TestDatabase) -> Vec<(String, String)> {
    sqlx::query_as(
        "select relname::text, relkind::text from pg_class where relnamespace = 'public'::regnamespace
         union all select 'migration', version::text from _sqlx_migrations order by 1, 2",
    )
    .fetch_all(database.pool())
    .await
    .unwrap_or_else(|error| panic!("the catalogue can be read: {error}"))
}

#[tokio::test]
async fn a_database_of_an_earlier_build_is_refused_by_name_and_left_as_it_is() {
    const NOTES: &str = "create table notes (body text)";
    let this_build = Migrator::with_migrations(vec![
        migration(2, NOTES),
        migration(3, "create table pages ()"),
    ]);
    for (earlier_build, culprit) in [
        // The same number with other statements, and a number that this build never had.
        (vec![migration(2, "create table notes (body bytea)")], 2),
        (
            vec![migration(1, "create table words ()"), migration(2, NOTES)],
            1,
        ),
    ] {
        let database = TestDatabase::create(&Migrator::with_migrations(earlier_build)).await;
        let before = contents(&database).await;
        let error = migrate(&this_build, &database.options()).await.unwrap_err();
        assert!(
            matches!(error, PostgresError::OtherLine { version, .. } if version == culprit),
            "{error:?}"
        );
        let said = error.to_string();
        for part in [database.name(), "earlier build", "scripts/down --wipe"] {
            assert!(said.contains(part), "{said}");
        }
        assert_eq!(contents(&database).await, before);
    }
}

#[tokio::test]
async fn a_database_of_another_service_is_never_called_an_earlier_build() {
    let mut theirs = migration(1, "create table notes (body text)");
    theirs.description = "theirs".into();
    let database = TestDatabase::create(&Migrator::with_migrations(vec![theirs])).await;
    let before = contents(&database).await;
    let ours = Migrator::with_migrations(vec![migration(1, "create table words ()")]);
    let error = migrate(&ours, &database.options()).await.unwrap_err();
    let said = error.to_string();
    for part in [database.name(), "theirs", "swapped"] {
        assert!(said.contains(part), "{said}");
    }
    assert!(!said.contains("wipe"), "{said}");
    assert_eq!(contents(&database).await, before);
}

#[tokio::test]
async fn a_build_starts_on_the_schema_of_the_next_one() {
    let this_build = vec![migration(1, "create table notes (body text)")];
    let next = migration(9, "alter table notes add column length integer");
    let mut both = this_build.clone();
    both.push(next);
    let database = TestDatabase::create(&Migrator::with_migrations(both)).await;
    let before = contents(&database).await;
    migrate(&Migrator::with_migrations(this_build), &database.options())
        .await
        .unwrap();
    assert_eq!(contents(&database).await, before);
}

#[tokio::test]
async fn planner_settings_reach_the_session_and_a_wrong_one_stops_the_start_by_name() {
    const NAME: &str = "WRITER_PLANNER_SETTINGS";
    let database = TestDatabase::create(&migrator().await).await;
    let planner = |value| {
        let settings = Settings::from_pairs([(NAME, value)]);
        settings
            .read(|settings| {
                PlannerSettings::from_settings(settings, NAME, &[("enable_seqscan", "off")])
            })
            .unwrap()
    };
    for (value, seqscan) in [("", "off"), ("server", "on"), ("enable_seqscan=on", "on")] {
        planner(value).verify(&database.options()).await.unwrap();
        let pool = read_pool(planner(value).pin(database.options()), 1);
        let found: String = sqlx::query_scalar("select current_setting('enable_seqscan')")
            .fetch_one(&pool)
            .await
            .unwrap();
        assert_eq!(found, seqscan, "{value}");
    }
    for value in ["enable_magic=on", "plan_cache_mode=sometimes"] {
        let error = planner(value)
            .verify(&database.options())
            .await
            .unwrap_err();
        let said = error.to_string();
        assert!(
            said.starts_with(&format!("{NAME}={value:?} cannot be used")),
            "{said}"
        );
    }
}

#[tokio::test]
async fn what_waiting_does_not_mend_is_reported_at_once() {
    let database = TestDatabase::create(&migrator().await).await;
    let options = database.options().database("no_such_database");
    // An hour: the test would hang if it were waited for.
    let error = connect_with_retry(&options, Duration::from_secs(3600))
        .await
        .unwrap_err();
    assert!(matches!(error, PostgresError::Connect { .. }));
    assert!(error.to_string().contains("no_such_database"), "{error}");
}
