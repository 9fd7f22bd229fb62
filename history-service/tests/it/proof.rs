//! The standing proof: what was changed by hand is found and named, and is forgotten when it is right again.

use serde_json::{Value, json};
use shared::{WalletId, event::WalletEvent, testing::eventually};
use sqlx::{AssertSqlSafe, Executor};

use crate::{
    chain::{Chain, noted},
    harness::{Instance, SOON, World},
};

async fn run(world: &World, sql: &str) {
    let statement = AssertSqlSafe(sql.to_owned());
    world.pool().execute(statement).await.unwrap();
}

/// How far a wallet is proved.
async fn proved(world: &World, wallet: WalletId) -> i64 {
    let found: Option<i64> = sqlx::query_scalar("select sequence from proofs where wallet_id = $1")
        .bind(wallet)
        .fetch_optional(world.pool())
        .await
        .unwrap();
    found.unwrap_or_default()
}

async fn until_proved(world: &World, journal: &[WalletEvent]) {
    let last = journal.last().unwrap();
    eventually("all of it is proved", SOON, async || {
        (proved(world, last.wallet_id).await == last.sequence.get()).then_some(())
    })
    .await;
}

/// What is said to be wrong, as wallet, reason and number.
async fn drifts(instance: &Instance) -> Vec<(Value, Value, Value)> {
    let proof = instance.ok("/admin/projection").await["proof"].take();
    let drifts = proof["drifts"].as_array().unwrap();
    let said = |drift: &Value| {
        (
            drift["wallet_id"].clone(),
            drift["reason"].clone(),
            drift["sequence"].clone(),
        )
    };
    drifts.iter().map(said).collect()
}

/// Under one of these reasons, with `|` between them.
async fn until_named(instance: &Instance, wallet: WalletId, reasons: &str, sequence: i64) {
    let what = format!("{reasons} at {sequence} is found");
    eventually(&what, SOON, async || {
        let found = drifts(instance).await;
        let wanted = reasons.split('|');
        let mut wanted = wanted.map(|reason| (json!(wallet), json!(reason), json!(sequence)));
        wanted.any(|wanted| found.contains(&wanted)).then_some(())
    })
    .await;
    eventually("health names the wallet", SOON, async || {
        let (_, health) = instance.get("/readyz").await;
        let proof = &health["components"]["proof"];
        let is_named = proof["reason"].to_string().contains(&wallet.to_string());
        (health["status"] == "degraded" && proof["status"] == "degraded" && is_named).then_some(())
    })
    .await;
}

async fn until_well(instance: &Instance) {
    eventually("nothing is wrong any more", SOON, async || {
        let (_, health) = instance.get("/readyz").await;
        let proof = &health["components"]["proof"];
        (drifts(instance).await.is_empty() && proof["status"] == "ok").then_some(())
    })
    .await;
}

/// What is done to the events of a wallet of ten, and as what it is found.
const CHANGES: &[(&str, &str, i64)] = &[
    (
        "update events set amount = amount + 1 where W and sequence = 5",
        "event_broken",
        5,
    ),
    (
        "update events set balance_after = 7 where W and sequence = 5",
        "event_broken",
        5,
    ),
    (
        "update events set balance_after = 7 where W and sequence = 10",
        "event_replaced|event_broken",
        10,
    ),
    (
        "update events set held_after = 7 where W and sequence = 5",
        "event_broken",
        5,
    ),
    (
        "update events set hash = sha256('x') where W and sequence = 5",
        "event_broken",
        5,
    ),
    (
        "update events set hash = sha256('x') where W and sequence = 10",
        "event_replaced|event_broken",
        10,
    ),
    (
        "update events set data = 'nothing' where W and sequence = 5",
        "event_broken",
        5,
    ),
    (
        "update events set user_id = 'mallory' where W and sequence = 1",
        "event_broken",
        1,
    ),
    (
        "update events set currency = 'XXX' where W and sequence = 5",
        "event_broken",
        5,
    ),
    (
        "update events set kind = 'wallet.robbed' where W and sequence = 5",
        "event_unknown",
        5,
    ),
    (
        "update events set schema_version = 9 where W and sequence = 5",
        "event_unknown",
        5,
    ),
    (
        "delete from events where W and sequence = 10",
        "event_missing",
        10,
    ),
    (
        "delete from events where W and sequence = 5",
        "event_missing",
        5,
    ),
    (
        "delete from events where W and sequence = 1",
        "event_missing",
        1,
    ),
    ("delete from events where W", "event_missing", 10),
    (
        "insert into events select (jsonb_populate_record(e, '{\"sequence\": 11}')).* from events e where W and sequence = 10",
        "event_broken",
        11,
    ),
    (
        "update wallets set user_id = 'mallory' where W",
        "wallet_differs",
        10,
    ),
    (
        "update wallets set currency = 'XXX' where W",
        "wallet_differs",
        10,
    ),
    ("delete from wallets where W", "wallet_differs", 10),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_by_hand_is_named_and_forgotten_when_it_is_as_it_was() {
    let world = World::new().await;
    let instance = Instance::start(world.proving_all()).await;
    let (journal, other) = (
        Chain::new("alice").journal(10),
        Chain::new("bob").journal(10),
    );
    world.publish(journal.iter().chain(&other)).await;
    until_proved(&world, &journal).await;
    until_proved(&world, &other).await;
    run(
        &world,
        "create table events_kept as select * from events; create table wallets_kept as select * from wallets",
    )
    .await;
    let wallet = journal[0].wallet_id;
    let is_it = format!("wallet_id = '{wallet}'");
    for (change, reasons, sequence) in CHANGES {
        world.tampered(&change.replace('W', &is_it)).await;
        until_named(&instance, wallet, reasons, *sequence).await;
        let wallets = drifts(&instance).await;
        let is_alone = wallets.iter().all(|(named, ..)| *named == json!(wallet));
        assert!(is_alone, "{change}: {wallets:?}");
        let restored = format!(
            "delete from events where {is_it}; insert into events select * from events_kept where {is_it}; \
             delete from wallets where {is_it}; insert into wallets select * from wallets_kept where {is_it}"
        );
        world.tampered(&restored).await;
        until_well(&instance).await;
        until_proved(&world, &journal).await;
    }
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_wallet_that_no_other_table_knows_are_found() {
    let world = World::new().await;
    let instance = Instance::start(world.proving_all()).await;
    let journal = Chain::new("alice").journal(3);
    world.publish(&journal).await;
    until_proved(&world, &journal).await;
    let stray = WalletId::generate();
    let insert = format!(
        "insert into events select (jsonb_populate_record(e, '{{\"wallet_id\": \"{stray}\"}}')).* from events e \
         where sequence = 2"
    );
    world.tampered(&insert).await;
    until_named(&instance, stray, "event_missing", 1).await;
    let gone = format!("delete from events where wallet_id = '{stray}'");
    world.tampered(&gone).await;
    until_well(&instance).await;
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_that_cannot_be_read_does_not_hold_up_the_proof_of_others() {
    let world = World::new().await;
    let instance = Instance::start(world.proving_all()).await;
    let journals = Vec::from_iter((0..20).map(|_| Chain::new("alice").journal(4)));
    world
        .publish(journals.iter().flat_map(|journal| &journal[..3]))
        .await;
    for journal in &journals {
        until_proved(&world, &journal[..3]).await;
    }
    let broken = journals
        .iter()
        .map(|journal| journal[0].wallet_id)
        .min()
        .unwrap();
    let unreadable = format!(
        "update events set data = '{{', kind = 'wallet.funded' where wallet_id = '{broken}'"
    );
    world.tampered(&unreadable).await;
    until_named(&instance, broken, "event_broken", 1).await;

    world
        .publish(journals.iter().map(|journal| &journal[3]))
        .await;
    for journal in &journals {
        if journal[0].wallet_id != broken {
            until_proved(&world, journal).await;
        }
    }
    assert_eq!(
        proved(&world, broken).await,
        0,
        "nothing behind a fault is proved"
    );
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_are_set_aside_take_their_proof_with_them() {
    let world = World::new().await;
    let instance = Instance::start(world.proving_all()).await;
    let mut chain = Chain::new("alice");
    let journal = chain.journal(5);
    world.publish(&journal).await;
    until_proved(&world, &journal).await;
    let wallet = journal[0].wallet_id;
    let aside = format!("select set_events_aside('{wallet}', '{{4,5}}', 'a test', 'olga')");
    run(&world, &aside).await;
    until_proved(&world, &journal[..3]).await;
    assert_eq!(world.count("drifts").await, 0, "that is no loss");
    let set_asides: i64 = sqlx::query_scalar("select set_asides from proofs where wallet_id = $1")
        .bind(wallet)
        .fetch_one(world.pool())
        .await
        .unwrap();
    assert_eq!(set_asides, 1);
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_prove_in_turns_and_one_that_hangs_loses_its_turn() {
    let world = World::new().await;
    let first = Instance::start(world.proving_all()).await;
    let second = Instance::start(world.proving_all()).await;
    let journal = Chain::new("alice").journal(10);
    world.publish(&journal).await;
    until_proved(&world, &journal).await;
    // Somebody has claimed it and does not come back.
    let claimed = "update proof_state set claim = claim + 1, not_before = clock_timestamp() + interval '1 second'";
    run(&world, claimed).await;
    let wallet = journal[0].wallet_id;
    let changed =
        format!("update events set amount = 7 where wallet_id = '{wallet}' and sequence = 5");
    world.tampered(&changed).await;
    until_named(&first, wallet, "event_broken", 5).await;
    until_named(&second, wallet, "event_broken", 5).await;
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_projection_says_how_far_it_is_and_when_it_was_proved() {
    let world = World::new().await;
    let instance = Instance::start(world.proving_all()).await;
    let journal = Chain::new("alice").journal(3);
    world.publish(&journal).await;
    until_proved(&world, &journal).await;
    let state = eventually("it was looked at", SOON, async || {
        let state = instance.ok("/admin/projection").await;
        let is_there = state["proof"]["whole_finished_at"].is_string()
            && state["lag"] == json!({"events": 0, "seconds": 0})
            && state["partitions"][0]["lag_events"] == 0;
        is_there.then_some(state)
    })
    .await;
    let proof = &state["proof"];
    assert!(proof["finished_at"].is_string(), "{proof}");
    assert_eq!(proof["wallets_drifted"], 0);
    assert_eq!(proof["drifts"], json!([]));
    assert_eq!(
        proof["ledger_compared_at"],
        Value::Null,
        "there is no ledger"
    );
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_to_be_proved_is_not() {
    let world = World::new().await;
    let mut config = world.proving_all();
    config.proof.events_per_second = 0;
    let instance = Instance::start(config).await;
    let journal = Chain::new("alice").journal(3);
    world.publish(&journal).await;
    instance.until_applied(&journal[2]).await;
    let claims: i64 = sqlx::query_scalar("select claim from proof_state")
        .fetch_one(world.pool())
        .await
        .unwrap();
    assert_eq!(claims, 0);
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_events_are_proved_part_by_part_to_the_last() {
    let world = World::with_partitions(1).await;
    let mut chains = [Chain::new("alice"), Chain::new("alice")];
    chains.sort_by_key(Chain::wallet);
    let journals = chains.each_mut().map(|chain| {
        let mut journal = vec![chain.opened()];
        // Each wallet is more than is read at a time.
        journal.extend((0..400).map(|_| chain.funded_with(1, noted())));
        journal
    });
    world.publish(journals.iter().flatten()).await;
    let instance = Instance::start(world.proving_all()).await;
    world.until_count("events", 802).await;
    for journal in &journals {
        until_proved(&world, journal).await;
    }
    let whole = "select count(*) from proofs where whole_at is not null";
    eventually("every event is proved", SOON, async || {
        let proved: i64 = sqlx::query_scalar(whole)
            .fetch_one(world.pool())
            .await
            .unwrap();
        (proved == 2).then_some(())
    })
    .await;
    // Behind the first part.
    let second = chains[1].wallet();
    let changed = format!(
        "update events set amount = amount + 1 where wallet_id = '{second}' and sequence = 390"
    );
    world.tampered(&changed).await;
    until_named(&instance, second, "event_broken", 390).await;
    instance.stop().await;
}
