//! The database refuses what the code should never do: every named constraint, and every change of what is append-only.

use std::collections::BTreeSet;

use shared::testing::{TestDatabase, columns_with_large_samples};
use sqlx::AssertSqlSafe;
use wallet_service::app::SCHEMA;

const ID: &str = "'01990000-0000-7000-8000-00000000000a'";
const HASH: &str = "decode(repeat('ab', 32), 'hex')";

/// A good row of each table, as columns and SQL expressions.
fn good_row(table: &str) -> Vec<Cell> {
    match table {
        "wallets" => vec![
            ("id", ID),
            ("user_id", "'alice'"),
            ("currency", "'USD'"),
            ("status", "'active'"),
            ("balance", "5"),
            ("held", "0"),
            ("floor", "0"),
            ("version", "1"),
            ("head_hash", HASH),
            ("created_at", "now()"),
            ("updated_at", "now()"),
        ],
        "transactions" => vec![
            ("id", ID),
            ("owner", "'anonymous'"),
            ("kind", "'fund'"),
            ("wallet_id", ID),
            ("currency", "'USD'"),
            ("amount", "5"),
            ("occurred_at", "now()"),
            ("leg_wallets", "array[gen_random_uuid(), gen_random_uuid()]"),
            ("leg_sequences", "array[1, 2]"),
        ],
        "test_clock" => vec![("only_row", "true"), ("seconds", "0")],
        "transaction_references" => vec![
            ("owner", "'anonymous'"),
            ("reference", "'r'"),
            ("transaction_id", ID),
            ("intent", HASH),
            ("answer", "''"),
        ],
        "wallet_events" => vec![
            ("wallet_id", ID),
            ("sequence", "1"),
            ("event_id", ID),
            ("schema_version", "1"),
            ("kind", "'wallet.funded'"),
            ("transaction_id", ID),
            ("amount", "5"),
            ("balance_after", "5"),
            ("occurred_at", "now()"),
            ("actor", "'anonymous'"),
            ("data", "'{}'"),
            ("hash", HASH),
        ],
        "holds" => vec![
            ("id", ID),
            ("wallet_id", ID),
            ("status", "'open'"),
            ("amount", "5"),
            ("captured", "0"),
            ("released", "0"),
            ("expires_at", "now()"),
            ("due_at", "now()"),
            ("created_at", "now()"),
            ("updated_at", "now()"),
        ],
        "outbox" => vec![("entries", "'[]'"), ("event_count", "1")],
        other => good_row_of_a_caller(other),
    }
}

fn good_row_of_a_caller(table: &str) -> Vec<Cell> {
    match table {
        "transaction_reversals" => vec![
            ("transaction_id", ID),
            ("part", "1"),
            ("reversal_id", ID),
            ("amount", "2"),
            ("reversed_after", "2"),
            ("of_amount", "5"),
            ("reason", "'r'"),
        ],
        "wallet_external_ids" => vec![
            ("owner", "'anonymous'"),
            ("external_id", "'x'"),
            ("wallet_id", ID),
        ],
        "idempotency_keys" => vec![
            ("owner", "'anonymous'"),
            ("key", "'k'"),
            ("fingerprint", HASH),
            ("answer", "'{}'"),
            ("expires_at", "now()"),
        ],
        "refusals" => vec![
            ("wallet_id", ID),
            ("id", ID),
            ("kind", "'fund'"),
            ("code", "'wallet_frozen'"),
            ("actor", "'anonymous'"),
            ("asked", "'{}'"),
            ("refusal", "'{}'"),
            ("refused_at", "now()"),
        ],
        other => good_row_of_the_relay(other),
    }
}

fn good_row_of_the_relay(table: &str) -> Vec<Cell> {
    match table {
        "relay_lease" => vec![
            ("holder", ID),
            ("backend", "1"),
            ("renewed_at", "now()"),
            ("only_row", "true"),
        ],
        "event_topics" => vec![
            ("topic", "'wallet-events'"),
            ("partitions", "1"),
            ("next_offsets", "array[0]"),
            ("faults", "array['none']"),
            ("looked_at", "now()"),
        ],
        "republications" => vec![
            ("id", ID),
            ("target", "'all'"),
            ("actor", "'anonymous'"),
            ("events_per_second", "1"),
            ("finished_at", "now()"),
        ],
        other => panic!("no table {other}"),
    }
}

/// A column and an SQL expression.
type Cell = (&'static str, &'static str);

/// Each constraint, its table, and what to put in a good row to violate it; nothing means the same row again.
const CASES: &[(&str, &str, &[Cell])] = &[
    ("wallets_pkey", "wallets", &[]),
    (
        "wallets_overdrawn_is_not_negative",
        "wallets",
        &[("overdrawn", "-1")],
    ),
    (
        "transactions_reverse_by_kind",
        "transactions",
        &[("kind", "'reversal'")],
    ),
    (
        "transaction_references_intent_is_a_hash",
        "transaction_references",
        &[("intent", "'ab'")],
    ),
    ("transaction_reversals_pkey", "transaction_reversals", &[]),
    (
        "transaction_reversals_part_is_positive",
        "transaction_reversals",
        &[("part", "0"), ("reversed_after", "3")],
    ),
    (
        "transaction_reversals_amount_is_positive",
        "transaction_reversals",
        &[("amount", "0"), ("reversed_after", "0")],
    ),
    (
        "transaction_reversals_parts_add_up",
        "transaction_reversals",
        &[("reversed_after", "3")],
    ),
    (
        "transaction_reversals_parts_add_up",
        "transaction_reversals",
        &[("part", "2")],
    ),
    (
        "transaction_reversals_are_not_above_amount",
        "transaction_reversals",
        &[("of_amount", "1")],
    ),
    ("holds_pkey", "holds", &[]),
    (
        "holds_status_is_known",
        "holds",
        &[("status", "'lost'"), ("captured", "5"), ("due_at", "null")],
    ),
    (
        "holds_amount_is_positive",
        "holds",
        &[
            ("status", "'captured'"),
            ("amount", "0"),
            ("due_at", "null"),
        ],
    ),
    (
        "holds_captured_is_not_negative",
        "holds",
        &[("captured", "-1")],
    ),
    (
        "holds_released_is_not_negative",
        "holds",
        &[("released", "-1")],
    ),
    (
        "holds_parts_are_not_above_amount",
        "holds",
        &[
            ("status", "'captured'"),
            ("captured", "6"),
            ("due_at", "null"),
        ],
    ),
    ("holds_remain_while_open", "holds", &[("captured", "5")]),
    ("holds_are_due_while_open", "holds", &[("due_at", "null")]),
    (
        "wallets_status_is_known",
        "wallets",
        &[("status", "'lost'")],
    ),
    (
        "wallets_currency_is_a_code",
        "wallets",
        &[("currency", "'dollars'")],
    ),
    ("wallets_held_is_not_negative", "wallets", &[("held", "-1")]),
    (
        "wallets_available_is_not_below_floor",
        "wallets",
        &[("held", "6")],
    ),
    (
        "wallets_version_is_positive",
        "wallets",
        &[("version", "0")],
    ),
    (
        "wallets_head_hash_is_a_hash",
        "wallets",
        &[("head_hash", "'ab'")],
    ),
    (
        "wallets_freeze_is_whole",
        "wallets",
        &[("freeze_direction", "'all'")],
    ),
    (
        "wallets_freeze_is_whole",
        "wallets",
        &[("frozen_until", "now()")],
    ),
    (
        "wallets_freeze_is_whole",
        "wallets",
        &[("frozen_at", "now()")],
    ),
    (
        "wallets_freeze_is_whole",
        "wallets",
        &[("status", "'frozen'"), ("freeze_direction", "'all'")],
    ),
    (
        "wallets_freeze_is_whole",
        "wallets",
        &[
            ("status", "'frozen'"),
            ("freeze_direction", "'sideways'"),
            ("freeze_reason", "'r'"),
            ("freeze_actor", "'a'"),
            ("frozen_at", "now()"),
        ],
    ),
    (
        "wallets_freeze_is_whole",
        "wallets",
        &[
            ("freeze_direction", "'all'"),
            ("freeze_reason", "'r'"),
            ("freeze_actor", "'a'"),
            ("frozen_at", "now()"),
        ],
    ),
    ("transactions_pkey", "transactions", &[]),
    (
        "transactions_amount_is_positive",
        "transactions",
        &[("amount", "0")],
    ),
    (
        "transactions_kind_is_known",
        "transactions",
        &[("kind", "'gift'")],
    ),
    (
        "transactions_legs_match",
        "transactions",
        &[("leg_sequences", "array[1]")],
    ),
    ("transaction_references_pkey", "transaction_references", &[]),
    ("wallet_external_ids_pkey", "wallet_external_ids", &[]),
    ("refusals_pkey", "refusals", &[]),
    ("wallet_events_pkey", "wallet_events", &[]),
    (
        "wallet_events_sequence_is_positive",
        "wallet_events",
        &[("sequence", "0")],
    ),
    (
        "wallet_events_amount_is_not_zero",
        "wallet_events",
        &[("amount", "0")],
    ),
    (
        "wallet_events_amount_has_a_transaction",
        "wallet_events",
        &[("transaction_id", "null")],
    ),
    (
        "wallet_events_hash_is_a_hash",
        "wallet_events",
        &[("hash", "'ab'")],
    ),
    ("idempotency_keys_pkey", "idempotency_keys", &[]),
    (
        "idempotency_keys_fingerprint_is_a_hash",
        "idempotency_keys",
        &[("fingerprint", "'ab'")],
    ),
    ("outbox_pkey", "outbox", &[("id", "1")]),
    (
        "outbox_event_count_is_positive",
        "outbox",
        &[("event_count", "0")],
    ),
    ("test_clock_pkey", "test_clock", &[]),
    (
        "test_clock_has_one_row",
        "test_clock",
        &[("only_row", "false")],
    ),
    (
        "test_clock_is_never_behind",
        "test_clock",
        &[("seconds", "-1")],
    ),
    ("relay_lease_pkey", "relay_lease", &[]),
    (
        "relay_lease_has_one_row",
        "relay_lease",
        &[("only_row", "false")],
    ),
    (
        "relay_lease_settled_id_is_not_negative",
        "relay_lease",
        &[("settled_id", "-1")],
    ),
    ("event_topics_pkey", "event_topics", &[]),
    (
        "event_topics_partitions_is_positive",
        "event_topics",
        &[("partitions", "0")],
    ),
    ("republications_pkey", "republications", &[]),
    (
        "republications_has_one_target",
        "republications",
        &[("wallet_id", ID), ("since", "now()")],
    ),
    (
        "republications_events_per_second_is_positive",
        "republications",
        &[("events_per_second", "0")],
    ),
];

/// Inserts a good row with some of its columns changed. `id` of the outbox is given only here.
fn insertion(table: &str, changes: &[Cell]) -> String {
    let mut row = good_row(table);
    for (column, value) in changes {
        row.retain(|(known, _)| known != column);
        row.push((column, value));
    }
    let (columns, values): (Vec<_>, Vec<_>) = row.into_iter().unzip();
    let (columns, values) = (columns.join(", "), values.join(", "));
    format!("insert into {table} ({columns}) overriding system value values ({values})")
}

async fn execute(database: &TestDatabase, sql: String) -> Result<(), sqlx::Error> {
    sqlx::query(AssertSqlSafe(sql))
        .execute(database.pool())
        .await
        .map(drop)
}

#[tokio::test]
async fn every_named_constraint_refuses_what_it_names() {
    let database = TestDatabase::create(SCHEMA).await;
    for table in CASES
        .iter()
        .map(|(_, table, _)| *table)
        .collect::<BTreeSet<_>>()
    {
        execute(&database, insertion(table, &[])).await.unwrap();
    }
    for (constraint, table, changes) in CASES {
        let error = execute(&database, insertion(table, changes))
            .await
            .unwrap_err();
        let refused = error.as_database_error().unwrap();
        assert_eq!(refused.constraint(), Some(*constraint), "{refused}");
    }
}

#[tokio::test]
async fn no_constraint_is_without_a_case() {
    let database = TestDatabase::create(SCHEMA).await;
    let named: Vec<String> = sqlx::query_scalar(
        "select c.conname::text from pg_constraint c
         where c.connamespace = 'public'::regnamespace and c.contype <> 'n'
           and c.conrelid::regclass::text <> '_sqlx_migrations'",
    )
    .fetch_all(database.pool())
    .await
    .unwrap();
    let tried: BTreeSet<&str> = CASES.iter().map(|(constraint, _, _)| *constraint).collect();
    assert_eq!(
        named.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        tried
    );
}

#[tokio::test]
async fn what_happened_is_neither_changed_nor_removed_also_not_by_the_owner() {
    let database = TestDatabase::create(SCHEMA).await;
    for table in [
        "wallet_events",
        "transactions",
        "transaction_references",
        "wallet_external_ids",
        "transaction_reversals",
    ] {
        execute(&database, insertion(table, &[])).await.unwrap();
        for change in [
            format!("update {table} set {0} = {0}", good_row(table)[0].0),
            format!("delete from {table}"),
            format!("truncate {table}"),
        ] {
            let error = execute(&database, change.clone()).await.unwrap_err();
            let refused = error.as_database_error().unwrap();
            assert_eq!(
                refused.code().as_deref(),
                Some("23001"),
                "{change}: {refused}"
            );
        }
    }
}

#[tokio::test]
async fn the_accountants_view_shows_money_that_left_as_a_debit() {
    let database = TestDatabase::create(SCHEMA).await;
    execute(&database, insertion("wallets", &[])).await.unwrap();
    execute(&database, insertion("wallet_events", &[("amount", "-5")]))
        .await
        .unwrap();
    let entry: (Option<i64>, Option<i64>, String) =
        sqlx::query_as("select debit, credit, user_id from journal_entries")
            .fetch_one(database.pool())
            .await
            .unwrap();
    assert_eq!(entry, (Some(5), None, "alice".to_owned()));
}

#[tokio::test]
async fn statistics_are_gathered_from_small_samples() {
    let database = TestDatabase::create(SCHEMA).await;
    let large = columns_with_large_samples(database.pool()).await;
    assert!(
        large.is_empty(),
        "{large:?}: see the end of 0001_wallet.sql"
    );
}
