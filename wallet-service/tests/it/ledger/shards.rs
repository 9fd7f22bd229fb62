//! Settlement shards: an instance has one to itself, and a cell has all of them to itself.

use serde_json::json;
use shared::testing::eventually;
use sqlx::{Connection, PgConnection};
use wallet_service::ledger::{Cell, store::shard_lease::ShardLease};

use super::*;
use crate::process::Process;

#[tokio::test]
async fn instances_of_a_cell_take_turns_in_its_shards_and_other_cells_do_not_count() {
    let database = TestDatabase::create(SCHEMA).await;
    let options = database.options();
    let lease = async |cell: u16| {
        ShardLease::acquire(&options, Cell::new(cell))
            .await
            .unwrap()
    };
    let shard = |cell: u16, number: u16| SettlementShard::new(number).in_cell(Cell::new(cell));
    let first = lease(0).await;
    let second = lease(0).await;
    let elsewhere = lease(1).await;
    assert_eq!(
        [&first, &second, &elsewhere].map(ShardLease::shard),
        [shard(0, 0), shard(0, 1), shard(1, 0)]
    );
}

/// A session that holds every shard of a cell but some, as that many instances do.
async fn hold_all_but(database: &TestDatabase, free: u16) -> PgConnection {
    let mut session = PgConnection::connect_with(&database.options())
        .await
        .unwrap();
    for number in free..SettlementShard::COUNT {
        sqlx::query("select pg_advisory_lock(1464619860, $1)")
            .bind(i32::from(number))
            .execute(&mut session)
            .await
            .unwrap();
    }
    session
}

#[tokio::test(flavor = "multi_thread")]
async fn more_instances_than_shards_share_one_tell_it_and_take_their_own_when_one_is_free() {
    let database = TestDatabase::create(SCHEMA).await;
    let others = hold_all_but(&database, 1).await;
    let single = Process::start(&database).await;
    let crowded = Process::start(&database).await;
    let component = async |process: &Process| {
        let (status, report) = process.get("/readyz").await;
        assert_eq!(status, 200, "{report}");
        report["components"]["settlement_shard"].clone()
    };
    let said = eventually("the shared shard is told", DEADLINE, async || {
        let component = component(&crowded).await;
        Some(component["reason"].as_str()?.to_owned())
    });
    assert!(said.await.contains("more instances than settlement shards"));
    assert_eq!(component(&single).await["status"], "ok");
    let wallet = crowded.create_wallet().await;
    let (path, body) = (format!("/wallets/{wallet}/fund"), json!({"amount": "1.00"}));
    for process in [&single, &crowded] {
        assert_eq!(process.post(&path, &body).await.unwrap().0, 201);
    }
    others.close().await.unwrap();
    eventually("it has a shard of its own", DEADLINE, async || {
        (component(&crowded).await["status"] == "ok").then_some(())
    })
    .await;
    assert_eq!(crowded.post(&path, &body).await.unwrap().0, 201);
    assert_sound(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_cells_fund_from_settlement_wallets_of_their_own() {
    let database = TestDatabase::create(SCHEMA).await;
    let other_database = TestDatabase::create(SCHEMA).await;
    let mut settlement_wallets = Vec::new();
    for (database, cell) in [(&database, 0), (&other_database, 1)] {
        let shard = SettlementShard::new(0).in_cell(Cell::new(cell));
        let instance = Instance::start_on(database.options(), shard, settings());
        instance.funded_wallet("alice", "5.00").await;
        let sql = "select id from wallets where user_id = '@settlement'";
        let id: Uuid = sqlx::query_scalar(sql)
            .fetch_one(database.pool())
            .await
            .unwrap();
        settlement_wallets.push(id);
        instance.stop().await;
        assert_sound(database).await;
    }
    assert_ne!(settlement_wallets[0], settlement_wallets[1]);
}
