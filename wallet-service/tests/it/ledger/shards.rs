//! Settlement shards: an instance has one to itself, and a cell has all of them to itself.

use super::*;
use wallet_service::ledger::{Cell, store::shard_lease::ShardLease};

#[tokio::test]
async fn instances_of_a_cell_take_turns_in_its_shards_and_other_cells_do_not_count() {
    let database = TestDatabase::create(&MIGRATOR).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn two_cells_fund_from_settlement_wallets_of_their_own() {
    let database = TestDatabase::create(&MIGRATOR).await;
    let other_database = TestDatabase::create(&MIGRATOR).await;
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
