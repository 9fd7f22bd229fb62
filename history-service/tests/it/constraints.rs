//! The database as the second type checker: each of its rules has a name, and a test that breaks it.

use std::collections::BTreeSet;

use shared::testing::{TestDatabase, columns_with_large_samples};
use sqlx::{AssertSqlSafe, Executor, PgPool, migrate::Migrator};

use crate::harness::World;

/// A statement that breaks exactly one constraint of a database that holds `SEED`.
const VIOLATIONS: &[(&str, &str)] = &[
    ("events_pkey", "insert into events select * from events"),
    (
        "events_sequence_is_positive",
        "insert into events select (jsonb_populate_record(e, '{\"sequence\": 0}')).* from events e",
    ),
    (
        "events_sequence_has_a_next",
        "insert into events select (jsonb_populate_record(e, '{\"sequence\": 9223372036854775807}')).* from events e",
    ),
    (
        "events_occurred_at_has_a_year",
        "insert into events select (jsonb_populate_record(e, '{\"sequence\": 2, \"occurred_at\": \"infinity\"}')).* from events e",
    ),
    (
        "events_recorded_at_has_a_year",
        "insert into events select (jsonb_populate_record(e, '{\"sequence\": 2, \"recorded_at\": \"0001-12-31 BC\"}')).* from events e",
    ),
    (
        "events_user_id_is_not_empty",
        "insert into events select (jsonb_populate_record(e, '{\"sequence\": 2, \"user_id\": \"\"}')).* from events e",
    ),
    (
        "events_kind_is_short",
        "insert into events select (jsonb_populate_record(e, '{\"sequence\": 2, \"kind\": \"\"}')).* from events e",
    ),
    (
        "events_currency_is_a_code",
        "insert into events select (jsonb_populate_record(e, '{\"sequence\": 2, \"currency\": \"DOLLAR\"}')).* from events e",
    ),
    (
        "events_amount_is_not_zero",
        "insert into events select (jsonb_populate_record(e, '{\"sequence\": 2, \"amount\": 0}')).* from events e",
    ),
    (
        "events_amount_has_a_transaction",
        "insert into events select (jsonb_populate_record(e, '{\"sequence\": 2, \"transaction_id\": null}')).* from events e",
    ),
    (
        "events_hash_is_a_hash",
        "insert into events select (jsonb_populate_record(e, '{\"sequence\": 2, \"hash\": \"\\\\x00\"}')).* from events e",
    ),
    (
        "archives_pkey",
        "insert into archives (id, cutoff, reason, actor, manifest_hash, folder, wallets, events) overriding system value \
         select id, cutoff, reason, actor, sha256('z'), folder, 1, 1 from archives",
    ),
    (
        "archives_manifest_is_unique",
        "insert into archives (cutoff, reason, actor, manifest_hash, folder, wallets, events) \
         select cutoff, reason, actor, manifest_hash, folder, 1, 1 from archives",
    ),
    (
        "archives_manifest_is_a_hash",
        "update archives set manifest_hash = ''",
    ),
    (
        "archives_reason_is_not_empty",
        "update archives set reason = ''",
    ),
    (
        "archives_actor_is_not_empty",
        "update archives set actor = ''",
    ),
    (
        "archives_folder_is_not_empty",
        "update archives set folder = ''",
    ),
    (
        "archives_forgotten_is_said_by_whom_and_why",
        "update archives set forgotten_at = now(), forgotten_by = 'olga'",
    ),
    (
        "archived_wallets_pkey",
        "insert into archived_wallets select (jsonb_populate_record(a, '{\"archive_id\": 2}')).* from archived_wallets a",
    ),
    (
        "archived_wallets_archive_is_unique",
        "insert into archived_wallets select (jsonb_populate_record(a, '{\"sequence\": 2}')).* from archived_wallets a",
    ),
    (
        "archived_wallets_sequence_is_positive",
        "update archived_wallets set sequence = 0",
    ),
    (
        "archived_wallets_hash_is_a_hash",
        "update archived_wallets set hash = ''",
    ),
    (
        "archived_months_pkey",
        "insert into archived_months select * from archived_months",
    ),
    (
        "archived_quarters_pkey",
        "insert into archived_quarters select * from archived_quarters",
    ),
    ("wallets_pkey", "insert into wallets select * from wallets"),
    (
        "wallets_currency_is_a_code",
        "update wallets set currency = ''",
    ),
    (
        "consumer_offsets_pkey",
        "insert into consumer_offsets select * from consumer_offsets",
    ),
    (
        "consumer_offsets_partition_is_not_negative",
        "update consumer_offsets set partition = -1",
    ),
    (
        "consumer_offsets_next_offset_is_not_negative",
        "update consumer_offsets set next_offset = -1",
    ),
    (
        "consumer_offsets_previous_hash_is_a_hash",
        "update consumer_offsets set previous_hash = ''",
    ),
    ("refills_pkey", "insert into refills select * from refills"),
    (
        "refills_reason_is_known",
        "update refills set reason = 'mood'",
    ),
    (
        "refills_state_is_known",
        "update refills set state = 'lost'",
    ),
    (
        "refills_common_sequence_is_not_negative",
        "update refills set common_sequence = -1",
    ),
    (
        "refills_repair_is_of_a_person",
        "update refills set repair_reason = 'the ledger was restored'",
    ),
    (
        "rebuilds_pkey",
        "insert into rebuilds overriding system value select * from rebuilds",
    ),
    (
        "rebuilds_actor_is_not_empty",
        "update rebuilds set actor = ''",
    ),
    (
        "rebuilds_end_is_of_a_person",
        "update rebuilds set ended_reason = 'it was republished', finished_at = now()",
    ),
    (
        "set_aside_events_pkey",
        "insert into set_aside_events select * from set_aside_events",
    ),
    (
        "set_aside_events_reason_is_not_empty",
        "insert into set_aside_events select (jsonb_populate_record(s, '{\"sequence\": 7, \"set_aside_reason\": \"\"}')).* from set_aside_events s",
    ),
    (
        "set_aside_events_actor_is_not_empty",
        "insert into set_aside_events select (jsonb_populate_record(s, '{\"sequence\": 7, \"set_aside_by\": \"\"}')).* from set_aside_events s",
    ),
    ("proofs_pkey", "insert into proofs select * from proofs"),
    (
        "proofs_sequence_is_not_negative",
        "update proofs set sequence = -1",
    ),
    ("proofs_hash_is_a_hash", "update proofs set hash = ''"),
    ("proof_state_pkey", "insert into proof_state default values"),
    (
        "proof_state_is_one_row",
        "insert into proof_state (id) values (false)",
    ),
    (
        "recount_state_pkey",
        "insert into recount_state default values",
    ),
    (
        "recount_state_is_one_row",
        "insert into recount_state (id) values (false)",
    ),
    (
        "report_quarters_pkey",
        "insert into report_quarters select * from report_quarters",
    ),
    (
        "report_days_pkey",
        "insert into report_days select * from report_days",
    ),
    (
        "wallet_months_pkey",
        "insert into wallet_months select * from wallet_months",
    ),
    (
        "wallet_months_to_pkey",
        "insert into wallet_months_to select * from wallet_months_to",
    ),
    ("drifts_pkey", "insert into drifts select * from drifts"),
    (
        "drifts_reason_is_known",
        "update drifts set reason = 'mood'",
    ),
    (
        "parked_events_pkey",
        "insert into parked_events select * from parked_events",
    ),
    (
        "parked_events_sequence_has_a_predecessor",
        "update parked_events set sequence = 1",
    ),
    (
        "parked_events_hash_is_a_hash",
        "update parked_events set hash = ''",
    ),
    (
        "quarantine_pkey",
        "insert into quarantine overriding system value select (jsonb_populate_record(q, jsonb_build_object('content_hash', sha256('d')))).* from quarantine q",
    ),
    (
        "quarantine_message_is_unique",
        "insert into quarantine overriding system value select (jsonb_populate_record(q, '{\"id\": 7}')).* from quarantine q",
    ),
    (
        "quarantine_content_hash_is_a_hash",
        "insert into quarantine overriding system value select (jsonb_populate_record(q, '{\"id\": 7, \"content_hash\": \"\\\\x00\"}')).* from quarantine q",
    ),
    (
        "quarantine_reason_is_known",
        "insert into quarantine overriding system value select (jsonb_populate_record(q, jsonb_build_object('id', 7, 'content_hash', sha256('d'), 'reason', 'mood'))).* from quarantine q",
    ),
    (
        "quarantine_resolutions_pkey",
        "insert into quarantine_resolutions select * from quarantine_resolutions",
    ),
    (
        "quarantine_resolutions_resolution_is_known",
        "insert into quarantine_resolutions (quarantine_id, resolution, reason, actor) values (7, 'forgotten', 'x', 'x')",
    ),
    (
        "quarantine_resolutions_reason_is_not_empty",
        "insert into quarantine_resolutions (quarantine_id, resolution, reason, actor) values (7, 'discarded', '', 'x')",
    ),
    (
        "quarantine_resolutions_actor_is_not_empty",
        "insert into quarantine_resolutions (quarantine_id, resolution, reason, actor) values (7, 'discarded', 'x', '')",
    ),
    (
        "waiting_events_pkey",
        "insert into waiting_events select (jsonb_populate_record(w, jsonb_build_object('content_hash', sha256('d')))).* from waiting_events w",
    ),
    (
        "waiting_events_message_is_unique",
        "insert into waiting_events select (jsonb_populate_record(w, '{\"id\": 7}')).* from waiting_events w",
    ),
    (
        "waiting_events_content_hash_is_a_hash",
        "update waiting_events set content_hash = ''",
    ),
];

const SEED: &[&str] = &[
    "insert into events (wallet_id, sequence, event_id, schema_version, user_id, kind, transaction_id, amount, \
       currency, balance_after, occurred_at, actor, data, hash) \
     values (gen_random_uuid(), 1, gen_random_uuid(), 1, 'alice', 'wallet.funded', gen_random_uuid(), 5, 'USD', 5, \
       now(), 'anonymous', '{}', sha256('a'))",
    "insert into wallets (wallet_id, user_id, currency) select wallet_id, user_id, currency from events",
    "insert into consumer_offsets (topic, partition, next_offset) values ('wallet-events', 0, 1)",
    "insert into parked_events (wallet_id, sequence, hash, topic, partition, \"offset\", value, headers) \
     values (gen_random_uuid(), 2, sha256('b'), 'wallet-events', 0, 1, 'x', '[]')",
    "insert into quarantine (topic, partition, \"offset\", headers, reason, detail, content_hash) \
     values ('wallet-events', 0, 2, '[]', 'malformed', 'x', sha256('c'))",
    "insert into quarantine_resolutions (quarantine_id, resolution, reason, actor) \
     select id, 'discarded', 'a test', 'alice' from quarantine",
    "insert into waiting_events (topic, partition, \"offset\", value, headers, schema_version, content_hash) \
     values ('wallet-events', 0, 3, 'x', '[]', 2, sha256('c'))",
    "insert into refills (wallet_id, reason) select wallet_id, 'gap' from events",
    "insert into proofs (wallet_id, sequence, hash, balance, held) select wallet_id, 1, hash, 5, 0 from events",
    "insert into report_quarters values ('USD', '2026-11-21T08:00Z', false, 'wallet.funded', 0, 1, 5, 0, 0, 0)",
    "insert into report_days values ('USD', '2026-11-21', false, 0, 5, 0)",
    "insert into wallet_months_to select wallet_id, 1 from events",
    "insert into wallet_months select wallet_id, '2026-11-01', kind, 1, 5, 0 from events",
    "insert into drifts (wallet_id, reason, sequence, detail) select wallet_id, 'event_broken', 1, 'x' from events",
    "insert into rebuilds (reason, actor) values ('x', 'alice')",
    "insert into archives (cutoff, reason, actor, manifest_hash, folder, wallets, events) \
     values (now(), 'x', 'alice', sha256('m'), '/archives/1', 1, 1)",
    "insert into archived_wallets (wallet_id, sequence, archive_id, hash, balance_after, held_after, occurred_at) \
     values (gen_random_uuid(), 1, 1, sha256('a'), 5, 0, now())",
    "insert into archived_months values (gen_random_uuid(), 1, '2026-11-01', 'wallet.funded', 1, 5, 0)",
    "insert into archived_quarters values (1, 'USD', '2026-11-21T08:00Z', false, 'wallet.funded', 1, 5, 0, 0, 0)",
    "insert into set_aside_events select e.*, now(), 'x', 'alice' from (select (jsonb_populate_record(e, '{\"sequence\": 2}')).* from events e) as e",
];

async fn seeded(world: &World) -> &PgPool {
    for statement in SEED {
        sqlx::query(*statement).execute(world.pool()).await.unwrap();
    }
    world.pool()
}

#[tokio::test]
async fn every_named_constraint_refuses_what_it_is_there_for() {
    let world = World::new().await;
    let pool = seeded(&world).await;
    for (constraint, violation) in VIOLATIONS {
        let error = sqlx::query(*violation)
            .execute(pool)
            .await
            .expect_err(constraint);
        let error = error
            .as_database_error()
            .unwrap_or_else(|| panic!("{constraint}: {error}"));
        assert_eq!(error.constraint(), Some(*constraint), "{error}");
    }
}

#[tokio::test]
async fn no_constraint_is_without_a_violation() {
    let world = World::new().await;
    let named: Vec<String> = sqlx::query_scalar(
        "select conname::text from pg_constraint \
         where connamespace = 'public'::regnamespace and contype in ('c', 'f', 'p', 'u', 'x') \
           and conrelid <> '_sqlx_migrations'::regclass",
    )
    .fetch_all(world.pool())
    .await
    .unwrap();
    let violated: BTreeSet<String> = VIOLATIONS
        .iter()
        .map(|(constraint, _)| (*constraint).to_owned())
        .collect();
    assert_eq!(BTreeSet::from_iter(named), violated);
}

#[tokio::test]
async fn events_and_quarantine_only_grow() {
    let world = World::new().await;
    let pool = seeded(&world).await;
    for (statement, refusal) in [
        (
            "update events set actor = 'mallory'",
            "events is append-only: UPDATE is refused",
        ),
        (
            "update events set actor = 'mallory' where false",
            "events is append-only: UPDATE is refused",
        ),
        (
            "delete from events",
            "events is append-only: DELETE is refused",
        ),
        (
            "truncate events",
            "events is append-only: TRUNCATE is refused",
        ),
        (
            "update set_aside_events set set_aside_by = 'mallory'",
            "set_aside_events is append-only: UPDATE is refused",
        ),
        (
            "delete from set_aside_events",
            "set_aside_events is append-only: DELETE is refused",
        ),
        (
            "update quarantine set detail = ''",
            "quarantine is append-only: UPDATE is refused",
        ),
        (
            "delete from quarantine",
            "quarantine is append-only: DELETE is refused",
        ),
        (
            "truncate quarantine",
            "quarantine is append-only: TRUNCATE is refused",
        ),
        (
            "update quarantine_resolutions set actor = 'mallory'",
            "quarantine_resolutions is append-only: UPDATE is refused",
        ),
        (
            "delete from quarantine_resolutions",
            "quarantine_resolutions is append-only: DELETE is refused",
        ),
        (
            "truncate quarantine_resolutions",
            "quarantine_resolutions is append-only: TRUNCATE is refused",
        ),
    ] {
        let error = sqlx::query(statement)
            .execute(pool)
            .await
            .expect_err(statement);
        assert_eq!(error.as_database_error().unwrap().message(), refusal);
    }
    assert_eq!(
        (world.count("events").await, world.count("quarantine").await),
        (1, 1)
    );
}

const COLUMNS: &str = "wallet_id, sequence, event_id, schema_version, user_id, kind, transaction_id, amount, currency, \
    balance_after, held_after, counterparty_wallet_id, occurred_at, recorded_at, actor, subject, correlation_id, data";

/// Deletes events and keeps them, under this hash. Gives the refusal, if there is one.
async fn set_aside(pool: &PgPool, sequence: i64, hash: &str) -> Option<String> {
    let sql = format!(
        "with gone as (delete from events where sequence = {sequence} returning *) \
         insert into set_aside_events select {COLUMNS}, {hash}, now(), 'x', 'alice' from gone"
    );
    let error = pool.execute(AssertSqlSafe(sql)).await.err()?;
    Some(error.as_database_error().unwrap().message().to_owned())
}

#[tokio::test]
async fn an_event_goes_only_when_it_is_set_aside_and_leaves_no_hole() {
    let world = World::new().await;
    let pool = seeded(&world).await;
    let second =
        "insert into events select (jsonb_populate_record(e, '{\"sequence\": 2}')).* from events e";
    pool.execute(second).await.unwrap();
    let refusal = Some("events is append-only: DELETE is refused".to_owned());
    // One with another after it, and one that is kept as what it was not.
    assert_eq!(set_aside(pool, 1, "hash").await, refusal);
    assert_eq!(set_aside(pool, 2, "sha256('z')").await, refusal);
    assert_eq!(world.count("events").await, 2);
    assert_eq!(set_aside(pool, 2, "hash").await, None);
    // What was set aside before does not excuse what goes now.
    pool.execute(second).await.unwrap();
    let error = pool.execute("delete from events where sequence = 2").await;
    let error = error.unwrap_err();
    let message = error.as_database_error().unwrap().message();
    assert_eq!(Some(message.to_owned()), refusal);
    for statement in [
        "delete from events where false",
        "truncate set_aside_events",
    ] {
        assert!(pool.execute(statement).await.is_err(), "{statement}");
    }
}

#[tokio::test]
async fn every_reason_has_its_place_in_the_database() {
    use history_service::ingest::message::Reason;

    let world = World::new().await;
    for (offset, reason) in (0_i64..).zip(Reason::ALL) {
        sqlx::query(
            "insert into quarantine (topic, partition, \"offset\", headers, reason, detail, content_hash) \
             values ('wallet-events', 0, $1, '[]', $2, '', sha256($2::bytea))",
        )
        .bind(offset)
        .bind(reason.as_str())
        .execute(world.pool())
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn statistics_are_gathered_from_small_samples() {
    let world = World::new().await;
    let large = columns_with_large_samples(world.pool()).await;
    assert!(large.is_empty(), "{large:?}: see the end of the migration");
}

#[tokio::test]
async fn a_server_that_knows_no_tuning_still_gets_the_schema() {
    let schema = include_str!("../../../migrations/history/0001_history.sql");
    let tuned_wrongly = schema.replace("set (fillfactor = 50)", "set (unheard_of = 50)");
    assert_ne!(schema, tuned_wrongly);
    let database = TestDatabase::create(&Migrator::DEFAULT).await;
    database
        .pool()
        .execute(AssertSqlSafe(tuned_wrongly))
        .await
        .unwrap();
    let large = columns_with_large_samples(database.pool()).await;
    assert!(large.is_empty(), "{large:?}: the other settings hold");
}
