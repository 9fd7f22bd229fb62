//! Freezes and closed wallets on a real database: ends that come by themselves, races, and several instances.

use futures::future::join_all;
use shared::{
    event::{FreezeDirection, Frozen},
    testing::eventually,
};
use sqlx::{Connection, PgConnection};
use tokio_util::sync::CancellationToken;
pub(super) use tokio_util::sync::DropGuard;
use wallet_service::ledger::{
    Expiry, Status,
    store::{query::Reader, wallets::lock_wallets_in_id_order},
};

use super::*;

pub(super) fn freeze(wallet_id: WalletId, direction: FreezeDirection) -> Command {
    freeze_until(wallet_id, direction, None)
}

pub(super) fn freeze_until(
    wallet_id: WalletId,
    direction: FreezeDirection,
    until: Option<Timestamp>,
) -> Command {
    let reason = "stolen".to_owned();
    let frozen = Frozen {
        direction,
        reason,
        until,
    };
    command(Intent::Freeze { wallet_id, frozen })
}

pub(super) fn unfreeze(wallet_id: WalletId) -> Command {
    let reason = "found".to_owned();
    command(Intent::Unfreeze { wallet_id, reason })
}

pub(super) fn close(wallet_id: WalletId, drain_to: Option<WalletId>) -> Command {
    command(Intent::Close {
        wallet_id,
        reason: "left".to_owned(),
        drain_to,
    })
}

fn soon() -> Timestamp {
    (Timestamp::now().utc() + Duration::from_millis(300)).into()
}

/// Has an instance look for what is due, until what is given back is dropped.
pub(super) fn looks_for_what_is_due(instance: &Instance, database: &TestDatabase) -> DropGuard {
    let options = PLANNER.pin_writer(database.options());
    let expiry = Expiry::new(instance.ledger.clone(), options);
    let stop = CancellationToken::new();
    tokio::spawn(expiry.run(stop.clone()));
    stop.drop_guard()
}

async fn events(database: &TestDatabase, wallet: WalletId) -> Vec<(String, String)> {
    sqlx::query_as("select kind, actor from wallet_events where wallet_id = $1 order by sequence")
        .bind(wallet)
        .fetch_all(database.pool())
        .await
        .unwrap()
}

const LIFTED: &str = "select count(*) from wallet_events where kind = 'wallet.unfrozen'";
const FROZEN: &str = "select count(*) from wallets where status = 'frozen'";

async fn eventually_none_is_frozen(database: &TestDatabase) {
    eventually("no wallet is frozen any more", DEADLINE, async || {
        (count(database, FROZEN).await == 0).then_some(())
    })
    .await;
}

/// More than are asked for at once.
#[tokio::test(flavor = "multi_thread")]
async fn freezes_that_end_are_lifted_once_each_whoever_of_three_instances_looks() {
    let database = TestDatabase::create(SCHEMA).await;
    let instances = [0, 1, 2].map(|shard| Instance::start(database.options(), shard));
    let [here, ..] = &instances;
    let wallets = join_all((0..200).map(|_| here.create_wallet("alice"))).await;
    let until = Some(soon());
    let freezing = wallets
        .iter()
        .map(|id| here.accept(freeze_until(*id, FreezeDirection::All, until)));
    join_all(freezing).await;
    let looking = instances
        .iter()
        .map(|instance| looks_for_what_is_due(instance, &database));
    let looking: Vec<DropGuard> = looking.collect();
    eventually_none_is_frozen(&database).await;
    drop(looking);
    for instance in instances {
        instance.stop().await;
    }
    assert_eq!(count(&database, LIFTED).await, 200);
    let early = "select count(*) from wallet_events e join wallet_events f
                 on f.wallet_id = e.wallet_id and f.sequence = e.sequence - 1
                 where e.kind = 'wallet.unfrozen'
                   and (e.occurred_at < (f.data::json ->> 'until')::timestamptz or e.actor <> '@system')";
    assert_eq!(count(&database, early).await, 0);
    assert_sound(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_while_no_instance_ran_is_lifted_by_the_next_one() {
    let database = TestDatabase::create(SCHEMA).await;
    let before = Instance::start(database.options(), 0);
    let wallet = before.funded_wallet("alice", "1.00").await;
    let until = soon();
    let command = freeze_until(wallet, FreezeDirection::Debit, Some(until));
    before.accept(command).await;
    before.stop().await;
    eventually("the end has come", DEADLINE, async || {
        (Timestamp::now() > until).then_some(())
    })
    .await;
    assert_eq!(count(&database, FROZEN).await, 1);
    let after = Instance::start(database.options(), 1);
    let _looking = looks_for_what_is_due(&after, &database);
    eventually_none_is_frozen(&database).await;
    let told = events(&database, wallet).await;
    let (kind, actor) = told.last().unwrap();
    assert_eq!((&kind[..], &actor[..]), ("wallet.unfrozen", "@system"));
    after.accept(withdraw(wallet, "1.00")).await;
    assert_sound(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_that_cannot_be_lifted_holds_up_none_of_the_others() {
    let database = TestDatabase::create(SCHEMA).await;
    let instance = Instance::start(database.options(), 0);
    let mut wallets = Vec::new();
    for _ in 0..3 {
        wallets.push(instance.create_wallet("alice").await);
    }
    let until = Some(soon());
    for wallet in &wallets {
        let command = freeze_until(*wallet, FreezeDirection::All, until);
        instance.accept(command).await;
    }
    let [locked, unreadable, well] = wallets[..] else {
        unreachable!("there are three")
    };
    let spoil = "alter table wallets drop constraint wallets_head_hash_is_a_hash";
    sqlx::raw_sql(spoil).execute(database.pool()).await.unwrap();
    let spoil = "update wallets set head_hash = 'short' where id = $1";
    let spoiled = sqlx::query(spoil).bind(unreadable);
    spoiled.execute(database.pool()).await.unwrap();
    let mut other = PgConnection::connect_with(&database.options())
        .await
        .unwrap();
    let mut holding = other.begin().await.unwrap();
    lock_wallets_in_id_order(&mut holding, &[locked])
        .await
        .unwrap();
    let _looking = looks_for_what_is_due(&instance, &database);
    let is_active = async |wallet: WalletId| {
        let sql = "select status = 'active' from wallets where id = $1";
        let found = sqlx::query_scalar(sql).bind(wallet);
        let found: bool = found.fetch_one(database.pool()).await.unwrap();
        found.then_some(())
    };
    eventually("the other is lifted", DEADLINE, async || {
        is_active(well).await
    })
    .await;
    assert_eq!(count(&database, FROZEN).await, 2);
    holding.rollback().await.unwrap();
    eventually("it is lifted when it is free", DEADLINE, async || {
        is_active(locked).await
    })
    .await;
    assert_eq!(count(&database, FROZEN).await, 1);
}

/// Of a freeze and a payment one is first, on whatever instances: what is answered after the freeze is, is refused.
#[tokio::test(flavor = "multi_thread")]
async fn no_payment_passes_a_freeze_that_another_instance_was_asked_for() {
    let database = TestDatabase::create(SCHEMA).await;
    let instances = [0, 1].map(|shard| Arc::new(Instance::start(database.options(), shard)));
    let wallet = instances[0].funded_wallet("alice", "1000.00").await;
    let other = instances[1].funded_wallet("bob", "1000.00").await;
    for round in 0..5 {
        let payments = (0..60).map(|number| {
            let instance = Arc::clone(&instances[number % 2]);
            tokio::spawn(async move {
                let command = match number % 3 {
                    0 => transfer(other, wallet, "0.01"),
                    1 => transfer(wallet, other, "0.01"),
                    _ => withdraw(wallet, "0.01"),
                };
                answer(instance.submit(command).await)
            })
        });
        let payments: Vec<_> = payments.collect();
        let freezing = instances[round % 2].accept(freeze(wallet, FreezeDirection::Debit));
        let frozen = freezing.await.wallet.version;
        // By both: the one that froze it, and the one that may not have seen it yet.
        for instance in &instances {
            let refusal = instance.refuse(withdraw(wallet, "0.01")).await;
            let is_frozen = matches!(
                refusal,
                Refusal::WalletNotActive {
                    status: Status::Frozen,
                    ..
                }
            );
            assert!(is_frozen, "{refusal:?}");
        }
        for answered in join_all(payments).await {
            match answered.unwrap() {
                Answer::Refused(Refusal::WalletNotActive { .. }) => {}
                Answer::Refused(refusal) => panic!("{refusal:?}"),
                Answer::Accepted(receipt) if receipt.wallet.id == wallet => {
                    assert!(receipt.wallet.version < frozen, "a debit after the freeze");
                }
                Answer::Accepted(_) => {}
            }
        }
        let lifting = instances[(round + 1) % 2].accept(unfreeze(wallet));
        lifting.await;
    }
    let passed = "select count(*) from wallet_events e where amount < 0
                  and (select kind from wallet_events b where b.wallet_id = e.wallet_id and b.sequence < e.sequence
                       and b.kind like 'wallet.%frozen' order by b.sequence desc limit 1) = 'wallet.frozen'";
    assert_eq!(count(&database, passed).await, 0);
    assert_sound(&database).await;
}

/// Two who close, and others who pay in: what was accepted before is drained, and what comes after is refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_is_closed_once_and_with_all_that_came_before() {
    let database = TestDatabase::create(SCHEMA).await;
    let instances = [0, 1].map(|shard| Arc::new(Instance::start(database.options(), shard)));
    let wallet = instances[0].funded_wallet("alice", "5.00").await;
    let rest = instances[1].create_wallet("alice").await;
    let commands = (0..40).map(|number| {
        let instance = Arc::clone(&instances[number % 2]);
        tokio::spawn(async move {
            let command = match number {
                19 | 20 => close(wallet, Some(rest)),
                _ => fund(wallet, "1.00"),
            };
            let is_close = matches!(command.intent, Intent::Close { .. });
            (is_close, answer(instance.submit(command).await))
        })
    });
    let (mut funded, mut closed) = (0, 0);
    for done in join_all(commands).await {
        match done.unwrap() {
            (true, Answer::Accepted(_)) => closed += 1,
            (false, Answer::Accepted(_)) => funded += 1,
            (_, Answer::Refused(Refusal::WalletNotActive { status, .. })) => {
                assert_eq!(status, Status::Closed);
            }
            (_, Answer::Refused(refusal)) => panic!("{refusal:?}"),
        }
    }
    assert_eq!(closed, 1);
    assert_eq!(balance(&database, wallet).await, 0);
    assert_eq!(balance(&database, rest).await, 500 + funded * 100);
    let (last, _) = events(&database, wallet).await.pop().unwrap();
    assert_eq!(last, "wallet.closed");
    assert_sound(&database).await;
}

/// Its row says what its events say, and nothing of what was.
#[tokio::test(flavor = "multi_thread")]
async fn a_freeze_stands_in_the_row_until_it_is_over() {
    let database = TestDatabase::create(SCHEMA).await;
    let instance = Instance::start(database.options(), 0);
    let wallet = instance.create_wallet("alice").await;
    let row = async || -> (String, i32) {
        let sql = "select status, num_nonnulls(freeze_direction, freeze_reason, freeze_actor, frozen_at, frozen_until)
                   from wallets where id = $1";
        let found = sqlx::query_as(sql).bind(wallet);
        found.fetch_one(database.pool()).await.unwrap()
    };
    let until = Timestamp::from(Timestamp::now().utc() + Duration::from_secs(3600));
    for (command, expected) in [
        (freeze(wallet, FreezeDirection::All), ("frozen", 4)),
        (
            freeze_until(wallet, FreezeDirection::Debit, Some(until)),
            ("frozen", 5),
        ),
        (fund(wallet, "1.00"), ("frozen", 5)),
        (freeze(wallet, FreezeDirection::Credit), ("frozen", 4)),
        (unfreeze(wallet), ("active", 0)),
        (freeze(wallet, FreezeDirection::Credit), ("frozen", 4)),
        (withdraw(wallet, "1.00"), ("frozen", 4)),
        (close(wallet, None), ("closed", 0)),
    ] {
        let after = instance.accept(command).await.wallet;
        let (status, columns) = row().await;
        assert_eq!((&status[..], columns), expected);
        assert_eq!(after.status.as_str(), status);
        // Read again it is what the command left.
        let reader = Reader::new(database.pool().clone());
        let read = reader.find_wallet(wallet).await.unwrap();
        assert_eq!(read, Some(after));
    }
}
