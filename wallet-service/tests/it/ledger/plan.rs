//! The plans of the write path: by primary key, in the order of the input, whatever the tables hold and are believed to.

use super::*;
use sqlx::Row;
use wallet_service::ledger::store::{READ_ANSWERS, READ_REFERENCES, WRITE_BATCH, connect};

async fn plan(database: &TestDatabase, statement: &str) -> String {
    let mut connection = connect(&database.options()).await.unwrap();
    let sql = format!("explain (generic_plan, costs off) {statement}");
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
    let empty = plan(&database, WRITE_BATCH).await;
    let fill =
        "insert into wallets select gen_random_uuid(), 'u' || n, 'USD', 'active', 0, 0, 0, 1,
                decode(repeat('00', 32), 'hex'), now(), now() from generate_series(1, 100000) as n";
    sqlx::query(fill).execute(database.pool()).await.unwrap();
    sqlx::query("analyze wallets")
        .execute(database.pool())
        .await
        .unwrap();
    assert_eq!(
        plan(&database, WRITE_BATCH).await,
        empty,
        "the plan does not depend on statistics"
    );
    insta::assert_snapshot!(empty);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_references_are_looked_up_one_by_one_also_after_an_empty_table_was_analysed() {
    let database = TestDatabase::create(&MIGRATOR).await;
    for table in ["idempotency_keys", "transaction_references"] {
        let vacuum = sqlx::AssertSqlSafe(format!("vacuum analyze {table}"));
        sqlx::raw_sql(vacuum)
            .execute(database.pool())
            .await
            .unwrap();
    }
    for (statement, column) in [(READ_ANSWERS, "key"), (READ_REFERENCES, "reference")] {
        let plan = plan(&database, statement).await;
        let by_key = format!("Index Cond: ((owner = asked.owner) AND ({column} = asked.{column}))");
        assert!(plan.contains(&by_key), "{plan}");
    }
}
