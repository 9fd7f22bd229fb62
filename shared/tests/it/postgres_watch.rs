//! What a look at the database tells: whether it takes writes, whether the clocks agree, and what commits wait for.

use std::path::Path;

use chrono::TimeDelta;
use shared::{
    Timestamp,
    server::{
        health::{Health, Status},
        postgres::{Durability, PostgresError, PostgresWatch, clock::CLOCK_SKEW_MAX},
        settings::Settings,
    },
    testing::TestDatabase,
};
use sqlx::{Connection, PgConnection, migrate::Migrator};

async fn database() -> TestDatabase {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/migrations");
    TestDatabase::create(&Migrator::new(folder).await.unwrap()).await
}

/// Sets a parameter for sessions of the database that begin from now on.
async fn set(database: &TestDatabase, parameter: &str, value: &str) {
    let mut connection = database.pool().acquire().await.unwrap();
    let name = database.name();
    for sql in [
        "set default_transaction_read_only = off".to_owned(),
        format!("alter database {name} set {parameter} = {value}"),
    ] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(&mut *connection)
            .await
            .unwrap();
    }
}

async fn reasons(database: &TestDatabase, now: fn() -> Timestamp) -> (Status, Vec<String>) {
    let health = Health::new();
    PostgresWatch::new(database.options(), now, health.component("database"))
        .look()
        .await;
    let report = health.report().await;
    (report.status, report.reasons)
}

/// A clock that is off by this many milliseconds.
fn off_by<const MILLIS: i64>() -> Timestamp {
    (Timestamp::now().utc() + TimeDelta::milliseconds(MILLIS)).into()
}

#[tokio::test]
async fn a_clock_is_off_from_two_seconds_on_in_either_direction() {
    assert_eq!(CLOCK_SKEW_MAX.as_secs(), 2);
    let database = database().await;
    for now in [Timestamp::now, off_by::<1_000>, off_by::<-1_000>] {
        assert_eq!(reasons(&database, now).await, (Status::Ok, Vec::new()));
    }
    for (now, side) in [
        (off_by::<60_000> as fn() -> Timestamp, "60.0 s ahead of"),
        (off_by::<-60_000>, "60.0 s behind"),
    ] {
        let (status, reasons) = reasons(&database, now).await;
        assert_eq!(status, Status::Degraded);
        assert!(
            reasons[0].starts_with("database: clock_skew"),
            "{reasons:?}"
        );
        let side = side.split_once(' ').unwrap().1;
        assert!(reasons[0].contains(side), "{reasons:?}");
    }
}

#[tokio::test]
async fn a_database_that_takes_no_writes_is_told_and_so_is_that_it_does_again() {
    let database = database().await;
    let health = Health::new();
    let probe = health.component("database");
    let mut watch = PostgresWatch::new(database.options(), Timestamp::now, probe);
    set(&database, "default_transaction_read_only", "on").await;
    watch.look().await;
    let report = health.report().await;
    assert_eq!(report.status, Status::Degraded);
    assert!(report.reasons[0].contains("takes no writes"), "{report:?}");
    set(&database, "default_transaction_read_only", "off").await;
    watch.look().await;
    assert_eq!(health.report().await.status, Status::Ok);
}

#[tokio::test]
async fn commits_that_do_not_last_are_refused_unless_they_are_wanted() {
    let database = database().await;
    let unsaid = Durability::default();
    let said = |value| {
        let settings = Settings::from_pairs([("SYNCHRONOUS_COMMIT", value)]);
        settings.read(Durability::from_settings)
    };
    let in_force = async |durability: Durability| {
        let options = durability.pin(database.options()).await?;
        let mut session = PgConnection::connect_with(&options).await.unwrap();
        let value = sqlx::query_scalar("select current_setting('synchronous_commit')");
        Ok::<String, PostgresError>(value.fetch_one(&mut session).await.unwrap())
    };
    for value in ["off", "local"] {
        set(&database, "synchronous_commit", value).await;
        let error = in_force(unsaid).await.unwrap_err().to_string();
        let told = format!("synchronous_commit is {value}");
        assert!(error.contains(&told), "{error}");
        assert_eq!(in_force(said(value).unwrap()).await.unwrap(), value);
        assert_eq!(in_force(said("on").unwrap()).await.unwrap(), "on");
    }
    for value in ["remote_write", "on", "remote_apply"] {
        set(&database, "synchronous_commit", value).await;
        assert_eq!(in_force(unsaid).await.unwrap(), value);
    }
    // What was found at the start holds for sessions that begin later, whatever the server is told by then.
    let pinned = unsaid.pin(database.options()).await.unwrap();
    set(&database, "synchronous_commit", "off").await;
    let mut session = PgConnection::connect_with(&pinned).await.unwrap();
    let value = sqlx::query_scalar("select current_setting('synchronous_commit')");
    let value: String = value.fetch_one(&mut session).await.unwrap();
    assert_eq!(value, "remote_apply");
    assert!(
        said("sometimes")
            .unwrap_err()
            .to_string()
            .starts_with("SYNCHRONOUS_COMMIT=")
    );
}
