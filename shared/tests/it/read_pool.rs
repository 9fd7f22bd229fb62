//! The pool that reads borrow from follows the database; and a read-only one is started on.

use std::{path::Path, time::Duration};

use shared::{
    server::postgres::{migrate, read_pool},
    testing::{TestDatabase, become_primary, become_standby, eventually},
};
use sqlx::{AssertSqlSafe, PgPool, migrate::Migrator};

const SOON: Duration = Duration::from_secs(30);

async fn migrator() -> Migrator {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/migrations");
    Migrator::new(folder).await.unwrap()
}

async fn is_standby(pool: &PgPool) -> bool {
    let asking = sqlx::query_scalar("select pg_is_in_recovery()").fetch_one(pool);
    asking.await.unwrap()
}

async fn session(pool: &PgPool) -> i32 {
    let asking = sqlx::query_scalar("select pg_backend_pid()").fetch_one(pool);
    asking.await.unwrap()
}

#[tokio::test]
async fn a_pool_reads_from_a_standby_only_until_the_address_leads_to_the_server_that_writes() {
    let database = TestDatabase::create(&migrator().await).await;
    become_standby(&database).await;
    let pool = read_pool(database.options(), 1);
    assert!(is_standby(&pool).await);
    become_primary(&database).await;
    eventually("the pool has left the standby", SOON, async || {
        (!is_standby(&pool).await).then_some(())
    })
    .await;
    // And stays with the connection that it has then.
    eventually("the pool is settled", SOON, async || {
        let first = session(&pool).await;
        for _ in 0..20 {
            if session(&pool).await != first {
                return None;
            }
        }
        Some(())
    })
    .await;
}

#[tokio::test]
async fn a_schema_that_is_complete_is_started_on_also_where_nothing_can_be_written() {
    let migrator = migrator().await;
    let complete = TestDatabase::create(&migrator).await;
    let empty = TestDatabase::create(&Migrator::DEFAULT).await;
    for database in [&complete, &empty] {
        let name = database.name();
        let sql = format!("alter database {name} set default_transaction_read_only = on");
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(database.pool())
            .await
            .unwrap();
    }
    migrate(&migrator, &complete.options()).await.unwrap();
    let error = migrate(&migrator, &empty.options()).await.unwrap_err();
    assert!(error.to_string().starts_with("cannot migrate"), "{error}");
}
