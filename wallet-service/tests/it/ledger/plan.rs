//! The plans of the write path: by primary key, in the order of the input, whatever the tables hold and are believed to.

use super::*;
use shared::Currency;
use sqlx::Row;
use wallet_service::ledger::{
    decide::{Rules, decide},
    store::{
        answers::{
            READ_ANSWERS,
            journal::{READ_DESCRIPTIONS, READ_LAST_EVENTS},
            references::READ_REFERENCES,
        },
        connect,
        due::{READ_DUE_HOLDS, READ_ENDED_FREEZES},
        external_ids::READ_EXTERNAL_IDS,
        holds::{READ_HOLD_PLACES, READ_HOLDS},
        rows::Writes,
        statement::Statement,
        transactions::{READ_REVERSED, READ_TRANSACTIONS},
    },
    writer::cache::{ReadEpoch, WalletCache},
};

async fn plan(database: &TestDatabase, statement: &str) -> String {
    let mut connection = connect(&PLANNER.pin_writer(database.options()))
        .await
        .unwrap();
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

/// The statement for a new wallet and for what is done to it.
fn statement(commands: impl FnOnce(WalletId) -> Vec<Command>) -> String {
    let shard = SettlementShard::new(0);
    let (mut cache, mut writes) = (WalletCache::default(), Writes::default());
    let amount_max = settings().amount_max;
    let user_rights = UserRights::USUAL;
    let rules = Rules {
        shard,
        amount_max,
        user_rights,
        holds: settings().holds,
    };
    let usd: Currency = "USD".parse().unwrap();
    cache.insert(shard.settlement_wallet(usd), None, ReadEpoch::default());
    let opening = command(Intent::CreateWallet(NewWallet::new(
        "alice".parse().unwrap(),
        WalletCurrency::Named(usd),
    )));
    let wallet = opening.new_wallet_id();
    for command in std::iter::once(opening).chain(commands(wallet)) {
        let decision = decide(&command, &cache, rules).unwrap();
        cache.apply(&decision);
        let answer = writes.add_decision(&command, decision);
        writes.add_answer(&command, &answer);
    }
    let statement = Statement::of(&writes, settings().idempotency_ttl).unwrap();
    statement.sql().to_owned()
}

/// A statement that adds rows to every table.
fn full_statement() -> String {
    statement(|wallet| vec![keyed("key", referenced("order-7", fund(wallet, "5")))])
}

#[test]
fn a_batch_names_only_the_tables_that_get_rows() {
    let tables = |statement: &str| {
        statement
            .split("insert into ")
            .skip(1)
            .map(|insert| insert.split(' ').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        tables(&statement(|_| Vec::new())),
        ["wallets", "wallet_events", "outbox"]
    );
    assert_eq!(
        tables(&full_statement()),
        [
            "wallets",
            "transactions",
            "transaction_references",
            "wallet_events",
            "idempotency_keys",
            "outbox"
        ]
    );
}

#[test]
fn batches_of_any_size_share_a_prepared_statement() {
    let one = statement(|wallet| vec![fund(wallet, "5")]);
    let many = statement(|wallet| (0..50).map(|_| fund(wallet, "5")).collect());
    assert_eq!(one, many);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_updates_wallets_by_key_in_the_order_of_its_input_on_any_table_size() {
    let database = TestDatabase::create(SCHEMA).await;
    let statement = full_statement();
    let empty = plan(&database, &statement).await;
    let fill =
        "insert into wallets (id, user_id, currency, status, balance, held, floor, version, head_hash, created_at, updated_at)
                select gen_random_uuid(), 'u' || n, 'USD', 'active', 0, 0, 0, 1,
                decode(repeat('00', 32), 'hex'), now(), now() from generate_series(1, 100000) as n";
    sqlx::query(fill).execute(database.pool()).await.unwrap();
    sqlx::query("analyze wallets")
        .execute(database.pool())
        .await
        .unwrap();
    assert_eq!(
        plan(&database, &statement).await,
        empty,
        "the plan does not depend on statistics"
    );
    insta::assert_snapshot!(empty);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_commands_name_is_looked_up_by_key_also_after_an_empty_table_was_analysed() {
    let database = TestDatabase::create(SCHEMA).await;
    for table in [
        "holds",
        "idempotency_keys",
        "transaction_references",
        "transaction_reversals",
        "transactions",
        "wallet_events",
        "wallet_external_ids",
        "wallets",
    ] {
        let vacuum = sqlx::AssertSqlSafe(format!("vacuum analyze {table}"));
        sqlx::raw_sql(vacuum)
            .execute(database.pool())
            .await
            .unwrap();
    }
    for (statement, by_key) in [
        (
            READ_ANSWERS,
            &["((owner = asked.owner) AND (key = asked.key))"][..],
        ),
        (
            READ_REFERENCES,
            &["((owner = asked.owner) AND (reference = asked.reference))"],
        ),
        (
            READ_EXTERNAL_IDS,
            &["((owner = asked.owner) AND (external_id = asked.external_id))"],
        ),
        (
            READ_DESCRIPTIONS,
            &[
                "((wallet_id = asked.wallet_id) AND (sequence = asked.sequence))",
                "(id = asked.wallet_id)",
            ],
        ),
        (
            READ_LAST_EVENTS.as_str(),
            &[
                "((wallet_id = asked.wallet_id) AND (sequence = asked.sequence))",
                "(id = asked.wallet_id)",
            ],
        ),
        (
            READ_TRANSACTIONS,
            &[
                "(id = asked.id)",
                "((wallet_id = leg.wallet_id) AND (sequence = leg.sequence))",
                "(id = leg.wallet_id)",
                "(id = transactions.wallet_id)",
                "(transaction_id = transactions.reverses)",
            ],
        ),
        (READ_REVERSED, &["(transaction_id = asked.id)"]),
        (READ_HOLDS, &["(id = asked.id)", "(id = holds.wallet_id)"]),
        (
            READ_HOLD_PLACES,
            &["(id = asked.id)", "(id = holds.wallet_id)"],
        ),
    ] {
        let plan = plan(&database, statement).await;
        for condition in by_key {
            assert!(plan.contains(&format!("Index Cond: {condition}")), "{plan}");
        }
        assert!(!plan.contains("Seq Scan"), "{plan}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_is_looked_up_in_the_order_in_which_it_is() {
    let database = TestDatabase::create(SCHEMA).await;
    for (statement, condition) in [
        (READ_ENDED_FREEZES, "(frozen_until <= now())"),
        (READ_DUE_HOLDS, "(due_at <= now())"),
    ] {
        let plan = plan(&database, statement).await;
        assert!(plan.contains(&format!("Index Cond: {condition}")), "{plan}");
        assert!(!plan.contains("Sort"), "{plan}");
    }
}
