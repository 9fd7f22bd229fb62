//! Reading the outbox costs what is in it, not what was ever deleted from it.

use shared::event::binary::FORMAT_VERSION;
use sqlx::AssertSqlSafe;

use super::*;

/// How many index entries the relay's sessions were given by the outbox' key, and in how many scans.
async fn scanned(database: &TestDatabase) -> (i64, i64) {
    sqlx::query_as(
        "select idx_scan, idx_tup_read from pg_stat_user_indexes where indexrelname = 'outbox_pkey'",
    )
    .fetch_one(database.pool())
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_under_a_long_snapshot_is_not_walked_past_at_every_reading() {
    const DEAD: i64 = 20_000;
    let database = TestDatabase::create(SCHEMA).await;
    let kafka = KafkaSettings::plain(kafka_brokers(), unique_topic("snapshot"), 1);
    let instance = Instance::start(database.options(), 0);
    let alice = instance.create_wallet("alice").await;
    let relay = RunningRelay::start(&database, &kafka);
    until_sent(&database).await;
    let mut snapshot = database.pool().acquire().await.unwrap();
    sqlx::raw_sql("begin isolation level repeatable read; select count(*) from outbox")
        .execute(&mut *snapshot)
        .await
        .unwrap();
    // Rows that are sent and deleted, as fast as the database can.
    let churn = format!(
        "insert into outbox (entries, event_count) select '\\x{FORMAT_VERSION:02x}', 1 from generate_series(1, $1)"
    );
    let mut done = 0;
    while done < DEAD {
        let mut writing = database.pool().acquire().await.unwrap();
        sqlx::query(AssertSqlSafe(churn.as_str()))
            .bind(DEAD / 4)
            .execute(&mut *writing)
            .await
            .unwrap();
        until_sent(&database).await;
        done += DEAD / 4;
    }
    // A window of readings without a look from the left.
    let mut before = scanned(&database).await;
    eventually("readings cost next to nothing", DEADLINE, async || {
        let after = scanned(&database).await;
        let (scans, entries) = (after.0 - before.0, after.1 - before.1);
        if scans < 15 {
            return None;
        }
        before = after;
        (entries < 50 * scans).then_some(())
    })
    .await;
    // And what comes now is still sent.
    instance.accept(fund(alice, "1.00")).await;
    until_sent(&database).await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_stays_open_for_long_loses_nothing_and_delays_nobody() {
    let database = TestDatabase::create(SCHEMA).await;
    let kafka = KafkaSettings::plain(kafka_brokers(), unique_topic("open"), 1);
    let instance = Instance::start(database.options(), 0);
    let alice = instance.create_wallet("alice").await;
    let mut slow = database.pool().acquire().await.unwrap();
    for sql in [
        "create temporary table kept as select * from outbox",
        "delete from outbox",
        "begin; insert into outbox (id, entries, event_count, created_at) overriding system value
                  select id, entries, event_count, created_at from kept",
    ] {
        sqlx::raw_sql(sql).execute(&mut *slow).await.unwrap();
    }
    let relay = RunningRelay::start(&database, &kafka);
    let settled = "select coalesce((select settled_id from relay_lease), 0)";
    // Time after time everything else is sent; the bound stays before the row that is not visible yet.
    for _ in 0..30 {
        instance.accept(fund(alice, "1.00")).await;
        until_sent(&database).await;
        assert_eq!(count(&database, settled).await, 0);
    }
    sqlx::raw_sql("commit").execute(&mut *slow).await.unwrap();
    until_sent(&database).await;
    eventually("the bound goes on", DEADLINE, async || {
        (count(&database, settled).await > 0).then_some(())
    })
    .await;
    // A row where none can be, put there by hand, is found all the same.
    let by_hand = "insert into outbox (id, entries, event_count) overriding system value
                   select id, entries, event_count from kept";
    sqlx::raw_sql(by_hand).execute(&mut *slow).await.unwrap();
    until_sent(&database).await;
    relay.stop().await;
    let sent = read_topic(&kafka, events(&database).await + 1).await;
    assert_eq!(sent.len(), events(&database).await + 1);
}
