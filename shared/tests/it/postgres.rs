use std::{path::Path, time::Duration};

use shared::{
    server::postgres::{PostgresError, connect_options, connect_with_retry, migrate, read_pool},
    testing::TestDatabase,
};
use sqlx::{Connection, PgConnection, migrate::Migrator};

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
