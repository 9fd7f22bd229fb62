//! The plan of the batch statement: by primary key, in the order of its input, whatever the tables hold.

use super::*;
use sqlx::Row;
use wallet_service::ledger::store::{WRITE_BATCH, connect};

async fn plan(database: &TestDatabase) -> String {
    let mut connection = connect(&database.options()).await.unwrap();
    let sql = format!("explain (generic_plan, costs off) {WRITE_BATCH}");
    let rows = sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
        .fetch_all(&mut connection)
        .await
        .unwrap();
    rows.iter()
        .map(|row| row.get::<String, _>(0))
        .collect::<Vec<_>>()
        .join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_updates_wallets_by_key_in_the_order_of_its_input_on_any_table_size() {
    let database = TestDatabase::create(&MIGRATOR).await;
    let empty = plan(&database).await;
    let fill =
        "insert into wallets select gen_random_uuid(), 'u' || n, 'USD', 'active', 0, 0, 0, 1,
                decode(repeat('00', 32), 'hex'), now(), now() from generate_series(1, 100000) as n";
    sqlx::query(fill).execute(database.pool()).await.unwrap();
    sqlx::query("analyze wallets")
        .execute(database.pool())
        .await
        .unwrap();
    assert_eq!(
        plan(&database).await,
        empty,
        "the plan does not depend on statistics"
    );
    insta::assert_snapshot!(empty);
}
