//! Limits on a real database: several instances against one limit, rows changed by hand, and answers that are told again.

use futures::future::join_all;
use shared::limits::{Movements, Period};
use wallet_service::ledger::model::{
    hold::NewHold,
    limits::{AskedCap, AskedLimits, AskedWindow, LimitTold},
};

use super::*;

fn put(wallet_id: WalletId, limits: AskedLimits) -> Command {
    command(Intent::SetLimits { wallet_id, limits })
}

fn place(wallet_id: WalletId, amount: &str) -> Command {
    command(Intent::PlaceHold {
        wallet_id,
        hold: NewHold {
            payment: payment(amount),
            to_wallet_id: None,
            end: None,
        },
    })
}

/// A sum of debits and their number, for a day.
fn daily(maximum: &str, maximum_count: Option<u32>, time_zone: Option<&str>) -> AskedLimits {
    AskedLimits {
        windows: vec![AskedWindow {
            of: Movements::Debits,
            period: Period::Day,
            time_zone: time_zone.map(|zone| zone.parse().unwrap()),
            maximum: maximum.parse().ok(),
            maximum_count,
        }],
        ..AskedLimits::default()
    }
}

/// Of so many debits at once over two instances, how many were carried out. What was not must have met the limit.
async fn carried_out(instances: [&Instance; 2], debits: Vec<Command>) -> usize {
    let debits = debits.into_iter().enumerate();
    let sent = debits.map(|(place, debit)| instances[place % 2].submit(debit));
    let answers = join_all(sent).await.into_iter().map(answer);
    let accepted = answers.filter(|answer| {
        let limited = matches!(answer, Answer::Refused(Refusal::LimitExceeded { .. }));
        let is_accepted = matches!(answer, Answer::Accepted(_));
        assert!(limited || is_accepted, "{answer:?}");
        is_accepted
    });
    accepted.count()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_debits_at_once_over_two_instances_never_pass_a_daily_limit() {
    let database = TestDatabase::create(SCHEMA).await;
    let [here, there] = [0, 1].map(|shard| Instance::start(database.options(), shard));
    let to = here.funded_wallet("bob", "1.00").await;
    for (maximum, count, zone, passes) in [
        ("50.00", None, None, 50),
        ("1000.00", Some(40), Some("Europe/Berlin"), 40),
    ] {
        let wallet = here.funded_wallet("alice", "1000.00").await;
        here.accept(put(wallet, daily(maximum, count, zone))).await;
        let debits = (0..200).map(|place_in_line| match place_in_line % 3 {
            0 => withdraw(wallet, "1.00"),
            1 => transfer(wallet, to, "1.00"),
            _ => place(wallet, "1.00"),
        });
        let done = carried_out([&here, &there], debits.collect()).await;
        assert_eq!(done, passes, "{maximum} {count:?} {zone:?}");
        let left = "select (balance - held)::bigint from wallets where id = $1";
        let left: i64 = sqlx::query_scalar(left)
            .bind(wallet.uuid())
            .fetch_one(database.pool())
            .await
            .unwrap();
        assert_eq!(left, 100_000 - 100 * i64::try_from(passes).unwrap());
    }
    assert_sound(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_instance_counted_the_other_knows() {
    let database = TestDatabase::create(SCHEMA).await;
    let [here, there] = [0, 1].map(|shard| Instance::start(database.options(), shard));
    let wallet = here.funded_wallet("alice", "1000.00").await;
    here.accept(put(wallet, daily("100.00", None, None))).await;
    for instance in [&here, &there, &here, &there] {
        instance.accept(withdraw(wallet, "25.00")).await;
    }
    for instance in [&here, &there] {
        let refusal = instance.refuse(withdraw(wallet, "0.01")).await;
        let Refusal::LimitExceeded { limit, .. } = refusal else {
            panic!("{refusal:?}");
        };
        assert!(matches!(*limit, LimitTold::Window { .. }), "{limit:?}");
    }
    // Put by one, it holds for the other at once.
    here.accept(put(wallet, AskedLimits::default())).await;
    there.accept(withdraw(wallet, "1.00")).await;
    assert_sound(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_with_limited_wallets_is_one_statement_like_any_other() {
    let database = TestDatabase::create(SCHEMA).await;
    let instance = Instance::start(database.options(), 0);
    let plain = instance.funded_wallet("alice", "10.00").await;
    let limited = instance.funded_wallet("bob", "10.00").await;
    instance
        .accept(put(limited, daily("10.00", None, None)))
        .await;
    // Both in one batch, in both directions.
    let commands = [
        transfer(limited, plain, "1.00"),
        transfer(plain, limited, "1.00"),
        withdraw(limited, "1.00"),
        fund(plain, "1.00"),
    ];
    for outcome in join_all(commands.map(|command| instance.submit(command))).await {
        assert!(matches!(answer(outcome), Answer::Accepted(_)));
    }
    let rows = "select count(*) from wallets where limits is not null and user_id <> 'bob'";
    assert_eq!(count(&database, rows).await, 0);
    let counted = "select (limits::jsonb->'windows'->0->'parts'->0->>2)::bigint from wallets where user_id = 'bob'";
    assert_eq!(count(&database, counted).await, 200);
    assert_sound(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_that_were_spelt_otherwise_by_hand_stay_in_force() {
    let database = TestDatabase::create(SCHEMA).await;
    let instance = Instance::start(database.options(), 0);
    let wallet = instance.funded_wallet("alice", "10.00").await;
    instance
        .accept(put(wallet, daily("3.00", None, None)))
        .await;
    instance.accept(withdraw(wallet, "1.00")).await;
    sqlx::query("update wallets set limits = limits::jsonb::text where limits is not null")
        .execute(database.pool())
        .await
        .unwrap();
    instance.accept(withdraw(wallet, "2.00")).await;
    let refused = instance.refuse(withdraw(wallet, "0.01")).await;
    assert!(
        matches!(refused, Refusal::LimitExceeded { .. }),
        "{refused:?}"
    );
    assert_sound(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_that_are_put_again_under_their_key_are_told_as_they_were_put() {
    let database = TestDatabase::create(SCHEMA).await;
    let instance = Instance::start(database.options(), 0);
    let wallet = instance.funded_wallet("alice", "10.00").await;
    let asked = AskedLimits {
        floor: "-5.00".parse().ok(),
        ceiling: "500.00".parse().ok(),
        caps: vec![AskedCap {
            of: Movements::Sent,
            maximum: "7.50".parse().unwrap(),
        }],
        ..daily("10.00", Some(3), Some("Asia/Tokyo"))
    };
    let first = instance
        .accept(keyed("limits", put(wallet, asked.clone())))
        .await;
    instance.accept(withdraw(wallet, "1.00")).await;
    instance.accept(put(wallet, AskedLimits::default())).await;
    instance.stop().await;
    let fresh = Instance::start(database.options(), 1);
    let again = fresh.submit(keyed("limits", put(wallet, asked))).await;
    let Ok(Outcome::Replayed(again)) = again else {
        panic!("it was answered before: {again:?}");
    };
    let Answer::Accepted(again) = Answer::clone(&again) else {
        panic!("it was accepted");
    };
    assert_eq!(again.limits, first.limits);
    assert_eq!(again.wallet.floor, first.wallet.floor);
    assert_eq!(again.wallet.version, first.wallet.version);
}
