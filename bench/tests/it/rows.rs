//! Data sets are consistent, and the baselines write the rows that they are compared by.

use std::time::Duration;

use bench::{
    baseline::{Aim, direct},
    dataset,
    set_floor::SetFloor,
    stack::{HISTORY, WALLET},
};
use shared::testing::TestDatabase;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

const WALLETS: u32 = 20;

async fn count(connection: &mut PgConnection, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(connection).await.unwrap()
}

/// Each statement counts what must not be.
async fn nothing_is_wrong(connection: &mut PgConnection) {
    connection.execute("analyze").await.unwrap();
    for sql in [
        "select count(*) from wallets w where balance <> (
             select e.balance_after from wallet_events e where e.wallet_id = w.id and e.sequence = w.version)",
        "select count(*) from wallets w where version <> (
             select count(*) from wallet_events e where e.wallet_id = w.id)",
        "select count(*) from wallets w where balance <> (
             select coalesce(sum(amount), 0) from wallet_events e where e.wallet_id = w.id)",
        "select count(*) from wallets w where head_hash <> (
             select e.hash from wallet_events e where e.wallet_id = w.id and e.sequence = w.version)",
        "select count(*) from transactions t where 2 <> (
             select count(*) from unnest(t.leg_wallets, t.leg_sequences) as leg (wallet_id, sequence)
             join wallet_events e on e.wallet_id = leg.wallet_id and e.sequence = leg.sequence
                                 and e.transaction_id = t.id and abs(e.amount) = t.amount)",
        "select count(*) from (
             select transaction_id from wallet_events where transaction_id is not null
             group by transaction_id having sum(amount) <> 0 or count(*) <> 2) as uneven",
        "select abs(sum(balance))::bigint from wallets",
    ] {
        assert_eq!(count(connection, sql).await, 0, "{sql}");
    }
}

#[tokio::test]
async fn a_data_set_is_the_same_consistent_past_in_both_databases() {
    let wallet = TestDatabase::create(&WALLET).await;
    let history = TestDatabase::create(&HISTORY).await;
    let mut on_wallet = PgConnection::connect_with(&wallet.options()).await.unwrap();
    let mut on_history = PgConnection::connect_with(&history.options())
        .await
        .unwrap();
    dataset::wallets(&mut on_wallet, WALLETS).await.unwrap();
    dataset::history(&mut on_history, WALLETS).await.unwrap();

    nothing_is_wrong(&mut on_wallet).await;
    let wallets = dataset::read(&mut on_wallet).await.unwrap();
    assert_eq!(wallets.len(), WALLETS as usize);
    assert_eq!(wallets[3].id.uuid(), dataset::id(3));
    assert_eq!(wallets[3].version.get(), i64::from(dataset::EVENTS));

    const DIGEST: &str = "select md5(string_agg(concat_ws(',', wallet_id, sequence, event_id, kind, transaction_id,
        amount, balance_after, occurred_at, data, encode(hash, 'hex')), ';' order by wallet_id, sequence)) from ";
    let digest = async |connection: &mut PgConnection, table: &str| -> String {
        sqlx::query_scalar(AssertSqlSafe(format!("{DIGEST} {table}")))
            .fetch_one(connection)
            .await
            .unwrap()
    };
    assert_eq!(
        digest(&mut on_wallet, "wallet_events").await,
        digest(&mut on_history, "events").await
    );
    let heads = "select count(*) from wallet_heads";
    assert_eq!(
        count(&mut on_history, heads).await,
        count(&mut on_wallet, "select count(*) from wallets").await
    );
}

#[tokio::test]
async fn the_set_based_floor_writes_a_transaction_two_events_and_an_outbox_entry_each() {
    let database = TestDatabase::create(&WALLET).await;
    let mut floor = SetFloor::new(database.options(), WALLETS).await.unwrap();
    let rate = floor.measure(Duration::from_millis(1)).await.unwrap();
    assert!(rate.per_second > 0);
    let mut connection = PgConnection::connect_with(&database.options())
        .await
        .unwrap();
    nothing_is_wrong(&mut connection).await;
    let before = i64::from(WALLETS * (dataset::EVENTS + 1) + 1);
    let events = count(&mut connection, "select count(*) from wallet_events").await - before;
    let moved =
        "select count(*) from transactions where id >= '01900000-0003-7000-8000-000000000000'";
    assert_eq!(events, 2 * count(&mut connection, moved).await);
}

#[tokio::test]
async fn the_baseline_writes_the_same_rows_also_on_a_hot_wallet() {
    let database = TestDatabase::create(&WALLET).await;
    let mut connection = PgConnection::connect_with(&database.options())
        .await
        .unwrap();
    dataset::wallets(&mut connection, WALLETS).await.unwrap();
    for aim in [Aim::Uniform, Aim::Hot] {
        let time = (Duration::ZERO, Duration::from_millis(300));
        let measured = direct(&database.options(), 4, WALLETS, aim, time)
            .await
            .unwrap();
        assert_eq!(measured.connections, 4);
    }
    nothing_is_wrong(&mut connection).await;
    let moved =
        "select count(*) from transactions where id >= '01900000-0003-7000-8000-000000000000'";
    let told = "select coalesce(sum(event_count), 0)::bigint from outbox";
    let moved = count(&mut connection, moved).await;
    assert!(moved > 0);
    assert_eq!(count(&mut connection, told).await, 2 * moved);
}
