//! A database that takes no writes, whose commits do not last, or whose clock is another: nothing is done, callers are
//! told so, and it goes on without a restart.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use serde_json::{Value, json};
use shared::{
    Timestamp,
    server::{
        health::Health,
        postgres::{PostgresClock, PostgresWatch},
    },
    testing::{TestDatabase, eventually, patience},
};
use wallet_service::app::SCHEMA;

use crate::{
    app::{Call, TestApp},
    process::{Process, binary},
};

const DEADLINE: Duration = Duration::from_secs(60);

/// Sets a parameter for sessions of the database that begin from now on, and ends all others.
async fn set(database: &TestDatabase, parameter: &str, value: &str) {
    let mut connection = database.pool().acquire().await.unwrap();
    let name = database.name();
    for sql in [
        "set default_transaction_read_only = off".to_owned(),
        format!("alter database {name} set {parameter} = {value}"),
        "select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()"
            .to_owned(),
    ] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(&mut *connection)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_read_only_database_refuses_commands_as_nothing_done_and_heals_without_a_restart() {
    let database = TestDatabase::create(SCHEMA).await;
    let process = Process::start_with(&database, &[("RELAY_ENABLED", "false")]).await;
    let wallet = process.create_wallet().await;
    let fund = format!("/wallets/{wallet}/fund");
    let body = json!({"amount": "1.00"});
    assert_eq!(process.post(&fund, &body).await.unwrap().0, 201);

    set(&database, "default_transaction_read_only", "on").await;
    let status = eventually("readiness tells it", DEADLINE, async || {
        let (status, report) = process.get("/readyz").await;
        let told = report["reasons"].to_string();
        (status == 200 && told.contains("takes no writes")).then_some(report["status"].clone())
    });
    assert_eq!(status.await, "degraded");
    for _ in 0..2 {
        let (status, problem) = process.post(&fund, &body).await.unwrap();
        assert_eq!((status, &problem["code"]), (503, &json!("unavailable")));
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .contains("Nothing was done")
        );
    }
    assert_eq!(process.get(&format!("/wallets/{wallet}")).await.0, 200);

    set(&database, "default_transaction_read_only", "off").await;
    eventually("the service is well again", DEADLINE, async || {
        let (_, report) = process.get("/readyz").await;
        let told = report["reasons"].to_string();
        (!told.contains("takes no writes")).then_some(())
    })
    .await;
    assert_eq!(process.post(&fund, &body).await.unwrap().0, 201);
    // A read may still meet a session that was ended.
    let path = format!("/wallets/{wallet}");
    let wallet = eventually("the wallet is read", DEADLINE, async || {
        let (status, wallet) = process.get(&path).await;
        (status == 200).then_some(wallet)
    })
    .await;
    let state = (&wallet["balance"], &wallet["version"]);
    assert_eq!(state, (&json!("2.00"), &json!(3)));
}

#[tokio::test]
async fn a_start_on_a_read_only_database_serves_reads_and_takes_commands_once_it_can() {
    let database = TestDatabase::create(SCHEMA).await;
    let before = Process::start_with(&database, &[("RELAY_ENABLED", "false")]).await;
    let path = format!("/wallets/{}", before.create_wallet().await);
    drop(before);
    set(&database, "default_transaction_read_only", "on").await;
    let process = Process::start(&database).await;
    let (status, report) = process.get("/readyz").await;
    assert_eq!((status, &report["status"]), (200, &json!("degraded")));
    assert!(
        report["reasons"].to_string().contains("takes no writes"),
        "{report}"
    );
    assert_eq!(process.get(&path).await.0, 200);
    let (fund, body) = (format!("{path}/fund"), json!({"amount": "1.00"}));
    let (status, problem) = process.post(&fund, &body).await.unwrap();
    assert_eq!((status, &problem["code"]), (503, &json!("unavailable")));

    set(&database, "default_transaction_read_only", "off").await;
    eventually("a command is carried out", DEADLINE, async || {
        let (status, _) = process.post(&fund, &body).await.unwrap();
        (status == 201).then_some(())
    })
    .await;
    eventually("the database is well", DEADLINE, async || {
        let (_, report) = process.get("/readyz").await;
        (report["components"]["database"]["status"] == "ok").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_server_whose_commits_do_not_last_stops_the_start_unless_that_is_wanted() {
    let database = TestDatabase::create(SCHEMA).await;
    set(&database, "synchronous_commit", "off").await;
    let url = database.url();
    let own = [("WALLET_DATABASE_URL", url.expose()), ("WALLET_PORT", "0")];
    let ended = binary(&own).output();
    let output = tokio::time::timeout(patience(DEADLINE), ended)
        .await
        .unwrap()
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(!output.status.success());
    assert!(said.contains("synchronous_commit is off"), "{said}");
    let wanted = [("SYNCHRONOUS_COMMIT", "off"), ("RELAY_ENABLED", "false")];
    Process::start_with(&database, &wanted)
        .await
        .create_wallet()
        .await;
}

#[tokio::test]
async fn a_database_whose_clock_was_set_ahead_is_served_as_one_for_tests_alone() {
    let database = TestDatabase::create(SCHEMA).await;
    let ahead = "insert into test_clock (seconds) values (86400)";
    sqlx::query(ahead).execute(database.pool()).await.unwrap();
    let url = database.url();
    let own = [("WALLET_DATABASE_URL", url.expose()), ("WALLET_PORT", "0")];
    let ended = tokio::time::timeout(patience(DEADLINE), binary(&own).output());
    let output = ended.await.unwrap().unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(!output.status.success());
    let reason = "the clock of this database was set 86400 s ahead";
    assert!(
        said.contains(reason) && said.contains("TEST_CLOCK"),
        "{said}"
    );
    let settings = [
        ("TEST_CLOCK", "true"),
        ("APP_ENV", "demo"),
        ("RELAY_ENABLED", "false"),
    ];
    let process = Process::start_with(&database, &settings).await;
    process.create_wallet().await;
}

#[tokio::test]
async fn an_instance_whose_clock_is_off_changes_nothing_until_the_clocks_agree() {
    let clock = PostgresClock::default();
    let app = TestApp::with_clock(clock.clone()).await;
    let (alice, bob) = (
        app.funded_wallet("alice", "5.00").await,
        app.create_wallet("bob").await,
    );
    let amount = || json!({"amount": "1.00"});
    let calls = || {
        [
            Call::post("/wallets", json!({"user_id": "carol"})).key("create"),
            Call::post(&alice.path("/fund"), amount()).key("fund"),
            Call::post(&alice.path("/withdraw"), amount()),
            Call::post(
                &alice.path("/transfer"),
                json!({"amount": "1.00", "to_wallet_id": bob.0}),
            ),
        ]
    };
    for seconds in [-3_600, -3, 3, 3_600] {
        // Postgres' clock is that far from this machine's: so is this machine's from Postgres'.
        let said = Timestamp::now().utc() + TimeDelta::seconds(seconds);
        clock.set(said.into(), Instant::now());
        for call in calls() {
            let answer = app.refused(call).await;
            let problem = answer.problem(503, "clock_skew");
            assert!(
                problem["detail"]
                    .as_str()
                    .unwrap()
                    .contains("Nothing was done")
            );
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
        let command = json!({"kind": "fund", "wallet_id": alice.0, "amount": "1.00"});
        let batch = Call::post("/transactions/batch", json!({"commands": [command]}));
        let answer = app.call(batch).await.good(200);
        assert!(contains_code(&answer, "clock_skew"), "{answer}");
        assert_eq!(app.balance(&alice).await, "5.00");
    }
    // A look at the real clock of Postgres, which is this machine's.
    let probe = Health::new().component("database");
    let mut watch = PostgresWatch::new(app.database.options(), Timestamp::now, probe);
    watch.look().await;
    assert_eq!(watch.clock().check(Timestamp::now()), Ok(()));
    clock.set(Timestamp::now(), Instant::now());
    for call in calls() {
        app.call(call).await.good(201);
    }
}

/// Postgres' clock is put off for one process by the schemas that its sessions look into.
#[tokio::test]
async fn a_process_whose_clock_is_five_seconds_off_writes_nothing_and_heals_when_its_clock_does() {
    let database = TestDatabase::create(SCHEMA).await;
    let execute = async |sql: &'static str| {
        sqlx::raw_sql(sql).execute(database.pool()).await.unwrap();
    };
    execute(
        "create schema pretended;
         grant usage on schema pretended to public;
         create table pretended.ahead (seconds integer not null);
         insert into pretended.ahead values (5);
         grant select on pretended.ahead to public;
         create function pretended.clock_timestamp() returns timestamptz language sql as
             'select pg_catalog.clock_timestamp() + make_interval(secs => seconds) from pretended.ahead'",
    )
    .await;
    let url = database.url().expose();
    let off = format!("{url}?options=-c%20search_path%3Dpretended,pg_catalog,public");
    let right = Process::start_with(&database, &[("RELAY_ENABLED", "false")]).await;
    let settings = [
        ("WALLET_DATABASE_URL", off.as_str()),
        ("RELAY_ENABLED", "false"),
    ];
    let process = Process::start_with(&database, &settings).await;
    let wallet = right.create_wallet().await;
    let (fund, body) = (format!("/wallets/{wallet}/fund"), json!({"amount": "1.00"}));
    assert_eq!(right.post_keyed(&fund, "k", &body).await.unwrap().0, 201);

    for seconds in ["5", "-5"] {
        let told = eventually("the skew is told", DEADLINE, async || {
            let (status, report) = process.get("/readyz").await;
            assert_eq!(status, 200, "{report}");
            let reason = report["components"]["database"]["reason"]
                .as_str()?
                .to_owned();
            let side = if seconds == "5" { "behind" } else { "ahead of" };
            (reason.contains("clock_skew") && reason.contains(side)).then_some(report)
        });
        assert_eq!(told.await["status"], "degraded");
        let (status, problem) = process.post(&fund, &body).await.unwrap();
        assert_eq!((status, &problem["code"]), (503, &json!("clock_skew")));
        // What was answered before is answered, and reads go on.
        assert_eq!(process.post_keyed(&fund, "k", &body).await.unwrap().0, 201);
        assert_eq!(
            process.get(&format!("/wallets/{wallet}")).await.1["balance"],
            "1.00"
        );
        assert_eq!(right.post_keyed(&fund, "k", &body).await.unwrap().0, 201);
        execute("update pretended.ahead set seconds = -5").await;
    }
    execute("update pretended.ahead set seconds = 0").await;
    eventually("the process writes again", DEADLINE, async || {
        let (status, _) = process.post_keyed(&fund, "next", &body).await.unwrap();
        (status == 201).then_some(())
    })
    .await;
    let (_, report) = process.get("/readyz").await;
    assert_eq!(report["components"]["database"]["status"], "ok", "{report}");
}

fn contains_code(answer: &Value, code: &str) -> bool {
    answer.to_string().contains(&format!("\"code\":\"{code}\""))
}
