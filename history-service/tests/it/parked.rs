//! Parked events that were left although they are due: taken up on a schedule, whatever stands in the way of some.

use std::time::Duration;

use history_service::{config::PLANNER, ingest::store::lowest_parked};
use shared::testing::eventually;
use sqlx::{Connection, Executor, PgConnection};

use crate::{
    chain::Chain,
    harness::{Instance, SOON, World},
};

const PARK: &str = "insert into parked_events (wallet_id, sequence, hash, topic, partition, \"offset\", key, value, headers) \
                    values ($1, $2, $3, 't', 0, 0, $4, $5, '[]')";

async fn park(world: &World, event: &shared::event::WalletEvent) {
    sqlx::query(PARK)
        .bind(event.wallet_id.uuid())
        .bind(event.sequence.get())
        .bind(event.hash.as_bytes().as_slice())
        .bind(event.wallet_id.to_string().into_bytes())
        .bind(event.to_json())
        .execute(world.pool())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_parked_at_or_below_the_head_is_removed_and_what_is_due_is_applied() {
    let world = World::new().await;
    let instance = world.start().await;
    let (alice, bob) = (Chain::new("alice").journal(4), Chain::new("bob").journal(3));
    world.publish(alice[..3].iter().chain(&bob[..2])).await;
    instance.until_applied(&alice[2]).await;
    instance.until_applied(&bob[1]).await;
    for event in [&alice[1], &alice[3], &bob[2]] {
        park(&world, event).await;
    }
    // Two instances take turns.
    let second = world.start().await;
    world.until_count("parked_events", 0).await;
    world.assert_stored(&alice).await;
    world.assert_stored(&bob).await;
    assert_eq!(world.count("quarantine").await, 0);
    instance.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_event_that_the_database_refuses_is_set_aside_and_holds_up_nobody() {
    let world = World::new().await;
    sqlx::query(
        "alter table events add constraint no_second check (user_id <> 'mallory' or sequence <> 2)",
    )
    .execute(world.pool())
    .await
    .unwrap();
    let instance = world.start().await;
    let (alice, mallory) = (
        Chain::new("alice").journal(3),
        Chain::new("mallory").journal(3),
    );
    world.publish(&mallory[1..]).await;
    world.until_count("parked_events", 2).await;
    // What is parked behind it is refused, not this one.
    world.publish([&mallory[0], &alice[0]]).await;
    instance.until_applied(&mallory[0]).await;
    instance.until_applied(&alice[0]).await;
    world.until_count("quarantine", 1).await;
    let kept: (String, Option<i64>) = sqlx::query_as("select reason, sequence from quarantine")
        .fetch_one(world.pool())
        .await
        .unwrap();
    assert_eq!(kept, ("not_storable".to_owned(), Some(2)));
    park(&world, &alice[1]).await;
    instance.until_applied(&alice[1]).await;
    world.publish([&alice[2]]).await;
    instance.until_applied(&alice[2]).await;
    world.assert_stored(&mallory[..1]).await;
    assert_eq!(world.count("parked_events").await, 1);
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_the_sweep_stops_no_partition() {
    let world = World::new().await;
    // No lock that the sweep asks for can be had in this database.
    for statement in [
        "create schema broken",
        "grant usage on schema broken to public",
        "create function broken.pg_try_advisory_xact_lock(integer, integer) returns boolean language plpgsql \
         as $$ begin raise 'broken as a test'; end $$",
    ] {
        world.pool().execute(statement).await.unwrap();
    }
    world
        .pool()
        .execute(sqlx::AssertSqlSafe(format!(
            "alter database {} set search_path = broken, pg_catalog, public",
            world.database.name()
        )))
        .await
        .unwrap();
    let instance = world.start().await;
    eventually("the sweep fails", SOON, || async {
        let (_, health) = instance.get("/readyz").await;
        (health["components"]["upkeep"]["status"] == "degraded").then_some(())
    })
    .await;
    let journal = Chain::new("alice").journal(30);
    for part in journal.chunks(10) {
        world.publish(part).await;
        instance.until_applied(part.last().unwrap()).await;
    }
    let (_, health) = instance.get("/readyz").await;
    for component in ["projection", "kafka"] {
        assert_eq!(health["components"][component]["status"], "ok", "{health}");
    }
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_at_what_is_parked_costs_the_same_however_much_is() {
    const LOOKED_AT: &str = "select (select sum(idx_tup_read) from pg_stat_user_indexes where relname = 'parked_events')::bigint \
                                  + (select seq_tup_read from pg_stat_user_tables where relname = 'parked_events')";
    let world = World::new().await;
    let options = PLANNER.pin_writer(world.database.options());
    let mut session = PgConnection::connect_with(&options).await.unwrap();
    // The plan is made while the table is empty.
    for _ in 0..8 {
        assert_eq!(lowest_parked(&mut session, None, 100).await.unwrap(), []);
    }
    world
        .pool()
        .execute(
            "insert into parked_events (wallet_id, sequence, hash, topic, partition, \"offset\", value, headers) \
             select ('01900000-0000-7000-8000-0000000000' || wallet)::uuid, sequence, sha256(''), 't', 0, 0, '', '[]' \
             from generate_series(11, 30) as wallet, generate_series(5, 10004) as sequence",
        )
        .await
        .unwrap();
    let looked_at = async |session: &mut PgConnection| -> i64 {
        session
            .execute("select pg_stat_force_next_flush()")
            .await
            .unwrap();
        sqlx::query_scalar(LOOKED_AT)
            .fetch_one(&mut *session)
            .await
            .unwrap()
    };
    let before = looked_at(&mut session).await;
    let lowest = lowest_parked(&mut session, None, 100).await.unwrap();
    let cost = looked_at(&mut session).await - before;
    assert_eq!(lowest.len(), 20);
    assert!(lowest.iter().all(|lowest| !lowest.is_due));
    assert!((20..=60).contains(&cost), "{cost} rows for 20 wallets");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_is_left_to_kafka_for_as_long_as_its_patience() {
    let world = World::new().await;
    let mut config = world.config();
    config.refill.gap_patience = Duration::from_secs(3600);
    let instance = Instance::start(config).await;
    let journals = ["alice", "bob"].map(|user| Chain::new(user).journal(3));
    world
        .publish(
            journals
                .iter()
                .flat_map(|journal| [&journal[0], &journal[2]]),
        )
        .await;
    world.until_count("parked_events", 2).await;
    let old = journals[0][0].wallet_id;
    // One look takes both in: whatever was asked for before is asked for again, together with the old one.
    sqlx::query(
        "with forgotten as (delete from refills) \
         update parked_events set parked_at = now() - interval '2 hours' where wallet_id = $1",
    )
    .bind(old.uuid())
    .execute(world.pool())
    .await
    .unwrap();
    world.until_count("refills", 1).await;
    let asked: Vec<(uuid::Uuid, String)> = sqlx::query_as("select wallet_id, reason from refills")
        .fetch_all(world.pool())
        .await
        .unwrap();
    assert_eq!(asked, [(old.uuid(), "gap".to_owned())]);
    instance.stop().await;
}
