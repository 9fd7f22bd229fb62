//! What a real server says when it refuses, and the class that it falls into.

use shared::{
    server::postgres_error::{PostgresErrorClass as Class, constraint_hint, is_state},
    testing::TestDatabase,
};
use sqlx::{Connection, PgConnection, migrate::Migrator};

struct Sessions {
    database: TestDatabase,
    one: PgConnection,
    other: PgConnection,
}

impl Sessions {
    async fn start() -> Self {
        let database = TestDatabase::create(&Migrator::DEFAULT).await;
        let mut one = session(&database).await;
        let other = session(&database).await;
        let table = "create table t (
            id integer constraint t_pkey primary key, n smallint constraint t_check check (n > 0)
        );
        insert into t values (1, 1), (2, 2)";
        if let Err(error) = run(&mut one, table).await {
            panic!("the table can be made: {error}");
        }
        Self {
            database,
            one,
            other,
        }
    }
}

async fn session(database: &TestDatabase) -> PgConnection {
    match PgConnection::connect_with(&database.options()).await {
        Ok(session) => session,
        Err(error) => panic!("the database can be reached: {error}"),
    }
}

async fn run(session: &mut PgConnection, sql: &str) -> Result<(), sqlx::Error> {
    let done = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()));
    done.execute(session).await.map(drop)
}

async fn refused(session: &mut PgConnection, sql: &str) -> sqlx::Error {
    match run(session, sql).await {
        Err(error) => error,
        Ok(()) => panic!("this should be refused: {sql}"),
    }
}

#[tokio::test]
async fn a_refused_statement_falls_into_the_class_of_its_reason() {
    let mut sessions = Sessions::start().await;
    for (sql, class) in [
        ("insert into t values (1, 1)", Class::Duplicate),
        ("insert into t values (3, 0)", Class::RefusedValue),
        ("insert into t values (3, 100000)", Class::RefusedValue),
        ("insert into t values (null, 1)", Class::RefusedValue),
        ("insert into u values (1)", Class::Defect),
        ("select 1/0", Class::RefusedValue),
        (
            "begin read only; insert into t values (3, 1)",
            Class::ReadOnly,
        ),
        (
            "rollback; set statement_timeout = 1; select pg_sleep(9)",
            Class::TimedOut,
        ),
    ] {
        let error = refused(&mut sessions.one, sql).await;
        assert_eq!(Class::of(&error), class, "{sql}: {error}");
    }
}

#[tokio::test]
async fn a_duplicate_is_one_by_its_state_and_the_constraint_is_a_hint() {
    let mut sessions = Sessions::start().await;
    let error = refused(&mut sessions.one, "insert into t values (1, 1)").await;
    assert_eq!(constraint_hint(&error), Some("t_pkey"));
    // As a coordinator passes on what one of its workers said.
    let forwarded = "do $$ begin raise exception 'duplicate key' using errcode = '23505'; end $$";
    let error = refused(&mut sessions.one, forwarded).await;
    assert_eq!(constraint_hint(&error), None);
    assert_eq!(Class::of(&error), Class::Duplicate);
    assert!(is_state(&error, "23505"));
}

#[tokio::test]
async fn a_lock_that_is_waited_for_too_long_is_a_time_out() {
    let mut sessions = Sessions::start().await;
    run(&mut sessions.one, "begin; update t set n = 3 where id = 1")
        .await
        .unwrap();
    let error = refused(
        &mut sessions.other,
        "set lock_timeout = 1; update t set n = 4 where id = 1",
    )
    .await;
    assert_eq!(Class::of(&error), Class::TimedOut, "{error}");
}

#[tokio::test]
async fn a_deadlock_and_a_serialization_failure_are_contention() {
    let Sessions {
        database: _database,
        mut one,
        mut other,
    } = Sessions::start().await;
    run(&mut one, "begin; update t set n = 3 where id = 1")
        .await
        .unwrap();
    run(&mut other, "begin; update t set n = 3 where id = 2")
        .await
        .unwrap();
    let (first, second) = tokio::join!(
        run(&mut one, "update t set n = 4 where id = 2"),
        run(&mut other, "update t set n = 4 where id = 1")
    );
    let error = first.and(second).unwrap_err();
    assert_eq!(Class::of(&error), Class::Contention, "{error}");
    run(&mut one, "rollback").await.unwrap();
    run(&mut other, "rollback").await.unwrap();

    run(
        &mut one,
        "begin isolation level repeatable read; select from t",
    )
    .await
    .unwrap();
    run(&mut other, "update t set n = 5 where id = 1")
        .await
        .unwrap();
    let error = refused(&mut one, "update t set n = 6 where id = 1").await;
    assert_eq!(Class::of(&error), Class::Contention, "{error}");
}

#[tokio::test]
async fn a_session_that_the_server_ends_is_a_lost_connection() {
    let Sessions {
        database: _database,
        mut one,
        mut other,
    } = Sessions::start().await;
    let process: i32 = sqlx::query_scalar("select pg_backend_pid()")
        .fetch_one(&mut one)
        .await
        .unwrap();
    run(
        &mut other,
        &format!("select pg_terminate_backend({process})"),
    )
    .await
    .unwrap();
    for _ in 0..2 {
        let error = refused(&mut one, "select 1").await;
        assert_eq!(Class::of(&error), Class::ConnectionLost, "{error}");
    }
    let idle = "set idle_in_transaction_session_timeout = 1; begin; insert into t values (9, 9)";
    run(&mut other, idle).await.unwrap();
    let error = loop {
        // Ends of itself: the server cuts the session as soon as it is idle for a millisecond.
        if let Err(error) = run(&mut other, "select pg_sleep(0.01)").await {
            break error;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(Class::of(&error), Class::ConnectionLost, "{error}");
}

#[tokio::test]
async fn a_server_that_lets_nobody_in_denies() {
    let sessions = Sessions::start().await;
    let options = sessions.database.options();
    for options in [
        options.clone().database("no_such_database"),
        options.username("nobody_of_this_name"),
    ] {
        let error = PgConnection::connect_with(&options).await.unwrap_err();
        assert_eq!(Class::of(&error), Class::Denied, "{error}");
        assert!(!Class::of(&error).passes());
    }
}
