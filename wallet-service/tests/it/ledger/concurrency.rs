//! Many callers, few wallets, one or more instances.

use std::{collections::HashSet, sync::Arc};

use futures::future::join_all;
use shared::TransactionId;
use sqlx::AssertSqlSafe;

use super::*;

const TASKS: usize = 64;
const COMMANDS_PER_TASK: usize = 25;

/// 64 tasks move money between four wallets; each command is either accepted or lacks the money, and the sums agree.
async fn many_tasks_on_few_wallets(shards: &[u16]) {
    let database = TestDatabase::create(SCHEMA).await;
    let instances: Vec<_> = shards
        .iter()
        .map(|shard| Arc::new(Instance::start(database.options(), *shard)))
        .collect();
    let wallets: Vec<_> = join_all((0..4).map(|user| {
        instances[0].funded_wallet(if user % 2 == 0 { "alice" } else { "bob" }, "20.00")
    }))
    .await;
    let tasks = (0..TASKS).map(|task| {
        let (instance, wallets) = (
            Arc::clone(&instances[task % instances.len()]),
            wallets.clone(),
        );
        tokio::spawn(async move {
            let mut accepted = 0;
            for step in 0..COMMANDS_PER_TASK {
                let (a, b) = (
                    wallets[(task + step) % 4],
                    wallets[(task + step * 3 + 1) % 4],
                );
                let command = match (task + step) % 5 {
                    0 => fund(a, "3.00"),
                    1 => withdraw(a, "5.00"),
                    _ if a == b => fund(b, "0.01"),
                    _ => transfer(a, b, "4.00"),
                };
                match answer(instance.submit(command).await) {
                    Answer::Accepted(_) => accepted += 1,
                    Answer::Refused(refusal) => assert!(
                        matches!(refusal, Refusal::InsufficientFunds { .. }),
                        "{refusal:?}"
                    ),
                }
            }
            accepted
        })
    });
    let accepted: i64 = join_all(tasks).await.into_iter().map(Result::unwrap).sum();
    assert!(accepted > 100, "the test should move money: {accepted}");
    // The four wallets were funded once each.
    assert_eq!(
        count(&database, "select count(*) from transactions").await,
        accepted + 4
    );
    assert_sound(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_tasks_on_few_wallets_lose_no_update() {
    many_tasks_on_few_wallets(&[0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_tasks_on_two_instances_lose_no_update_and_see_no_conflict() {
    many_tasks_on_few_wallets(&[0, 1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_on_one_settlement_shard_are_correct() {
    many_tasks_on_few_wallets(&[7, 7]).await;
}

async fn the_same_key_at_once(shards: &[u16]) {
    let database = TestDatabase::create(SCHEMA).await;
    let instances: Vec<_> = shards
        .iter()
        .map(|shard| Instance::start(database.options(), *shard))
        .collect();
    let wallet = instances[0].funded_wallet("alice", "100.00").await;
    let calls = (0..20).map(|call| {
        instances[call % instances.len()].submit(keyed("pay-once", withdraw(wallet, "30.00")))
    });
    let outcomes: Vec<_> = join_all(calls)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let decided = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Outcome::Decided(_)))
        .count();
    assert_eq!(decided, 1);
    let transactions: HashSet<TransactionId> = outcomes
        .iter()
        .map(|outcome| match answer(Ok(outcome.clone())) {
            Answer::Accepted(Receipt {
                transaction: Some(transaction),
                ..
            }) => transaction.id,
            other @ (Answer::Accepted(_) | Answer::Refused(_)) => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(transactions.len(), 1, "every caller gets the one answer");
    assert_eq!(balance(&database, wallet).await, 7_000);
    assert_sound(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_sent_twenty_times_at_once_moves_money_once() {
    the_same_key_at_once(&[0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_sent_to_two_instances_at_once_moves_money_once() {
    the_same_key_at_once(&[0, 1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_for_different_requests_at_once_has_one_effect() {
    let database = TestDatabase::create(SCHEMA).await;
    let instance = Instance::start(database.options(), 0);
    let wallet = instance.funded_wallet("alice", "100.00").await;
    let calls = (1..=20)
        .map(|cents| instance.submit(keyed("k", withdraw(wallet, &format!("0.{cents:02}")))));
    let answers: Vec<_> = join_all(calls).await.into_iter().map(answer).collect();
    let accepted = answers
        .iter()
        .filter(|answer| matches!(answer, Answer::Accepted(_)))
        .count();
    let reused = answers
        .iter()
        .filter(|answer| matches!(answer, Answer::Refused(Refusal::IdempotencyKeyReused)))
        .count();
    assert_eq!((accepted, reused), (1, 19));
    assert_sound(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_given_again_under_its_key_also_when_there_is_money_now() {
    let database = TestDatabase::create(SCHEMA).await;
    let instance = Instance::start(database.options(), 0);
    let wallet = instance.create_wallet("alice").await;
    let first = instance.refuse(keyed("k", withdraw(wallet, "1.00"))).await;
    instance.accept(fund(wallet, "5.00")).await;
    let again = instance
        .submit(keyed("k", withdraw(wallet, "1.00")))
        .await
        .unwrap();
    assert_eq!(again, Outcome::Replayed(Arc::new(Answer::Refused(first))));
    assert_eq!(balance(&database, wallet).await, 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_among_new_commands_is_found_and_they_are_carried_out_once() {
    let database = TestDatabase::create(SCHEMA).await;
    let instance = Instance::start(database.options(), 0);
    let wallet = instance.funded_wallet("alice", "100.00").await;
    let first = instance
        .accept(keyed("old", withdraw(wallet, "60.00")))
        .await;
    // Twice: the first replay is met when its batch is written, the second is looked for.
    for turn in 0..2 {
        let replay = instance.submit(keyed("old", withdraw(wallet, "60.00")));
        let others = (0..20).map(|number| {
            let key = format!("new-{turn}-{number}");
            instance.submit(keyed(&key, withdraw(wallet, "1.00")))
        });
        let (replayed, others) = futures::future::join(replay, join_all(others)).await;
        assert_eq!(
            replayed.unwrap(),
            Outcome::Replayed(Arc::new(Answer::Accepted(first.clone())))
        );
        for other in others {
            assert!(matches!(other, Ok(Outcome::Decided(_))), "{other:?}");
        }
    }
    assert_eq!(balance(&database, wallet).await, 0);
    assert_sound(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_sent_at_once_under_different_keys_is_used_once() {
    let database = TestDatabase::create(SCHEMA).await;
    let instances = [
        Instance::start(database.options(), 0),
        Instance::start(database.options(), 1),
    ];
    let wallet = instances[0].create_wallet("alice").await;
    let calls = (0..10).map(|call| {
        instances[call % 2].submit(keyed(
            &format!("k{call}"),
            referenced("order-7", fund(wallet, "1.00")),
        ))
    });
    let outcomes: Vec<_> = join_all(calls)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let decided = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Outcome::Decided(_)));
    assert_eq!(decided.count(), 1, "the others hear how it was done");
    for outcome in &outcomes {
        assert_eq!(outcome.answer(), outcomes[0].answer());
    }
    assert_eq!(balance(&database, wallet).await, 100);
    // Each of the keys has its answer, and none is free for anything else.
    for call in 0..10 {
        let other = keyed(&format!("k{call}"), fund(wallet, "2.00"));
        let refusal = instances[call % 2].refuse(other).await;
        assert_eq!(refusal, Refusal::IdempotencyKeyReused);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_rests_on_what_another_instance_did_before() {
    let database = TestDatabase::create(SCHEMA).await;
    let (here, there) = (
        Instance::start(database.options(), 0),
        Instance::start(database.options(), 1),
    );
    // `here` keeps the empty wallet in its cache.
    let wallet = here.create_wallet("alice").await;
    for turn in 1..=20 {
        there.accept(fund(wallet, "1.00")).await;
        here.accept(withdraw(wallet, "1.00")).await;
        let refusal = there.refuse(withdraw(wallet, "1.00")).await;
        assert!(
            matches!(refusal, Refusal::InsufficientFunds { .. }),
            "turn {turn}: {refusal:?}"
        );
    }
    assert_sound(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_made_by_another_instance_is_found() {
    let database = TestDatabase::create(SCHEMA).await;
    let (here, there) = (
        Instance::start(database.options(), 0),
        Instance::start(database.options(), 1),
    );
    let intent = Intent::CreateWallet(NewWallet::new(
        "alice".parse().unwrap(),
        WalletCurrency::Named("USD".parse().unwrap()),
    ));
    let create = command(intent);
    let wallet = create.new_wallet_id();
    let refusal = here.refuse(fund(wallet, "1.00")).await;
    assert!(matches!(refusal, Refusal::WalletNotFound { .. }));
    there.accept(create).await;
    here.accept(fund(wallet, "1.00")).await;
}

const REFUSALS: i64 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_on_a_busy_wallet_is_answered_while_it_is_busy() {
    let database = TestDatabase::create(SCHEMA).await;
    let instance = Arc::new(Instance::start(database.options(), 0));
    let wallet = instance.create_wallet("shop").await;
    // Two crowds take turns: while one's batch is in flight, the other's is being made.
    let busy: Vec<_> = (0..32)
        .map(|_| {
            let instance = Arc::clone(&instance);
            tokio::spawn(async move {
                loop {
                    instance.accept(fund(wallet, "0.01")).await;
                }
            })
        })
        .collect();
    let commits = async || {
        let sql = "select count(distinct xmin::text) from wallet_events";
        count(&database, sql).await
    };
    let before = commits().await;
    for _ in 0..REFUSALS {
        let refusal = instance.refuse(withdraw(wallet, "1000000.00")).await;
        assert!(matches!(refusal, Refusal::InsufficientFunds { .. }));
    }
    let passed = commits().await - before;
    busy.iter().for_each(JoinHandle::abort);
    assert!(passed >= REFUSALS, "the wallet was not busy: {passed}");
    assert!(
        passed < REFUSALS * 8,
        "{passed} batches went by while {REFUSALS} refusals waited"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_one_of_many_conditional_commands_on_a_version_is_accepted() {
    let database = TestDatabase::create(SCHEMA).await;
    let instances = [
        Instance::start(database.options(), 0),
        Instance::start(database.options(), 1),
    ];
    let wallet = instances[0].funded_wallet("alice", "10.00").await;
    let version = shared::Sequence::FIRST.next();
    let calls = (0..16).map(|call| {
        instances[call % 2].submit(Command {
            if_match: Some(version),
            ..withdraw(wallet, "1.00")
        })
    });
    let answers: Vec<_> = join_all(calls).await.into_iter().map(answer).collect();
    let accepted = answers
        .iter()
        .filter(|answer| matches!(answer, Answer::Accepted(_)))
        .count();
    let mismatched = answers
        .iter()
        .filter(|answer| matches!(answer, Answer::Refused(Refusal::VersionMismatch { .. })))
        .count();
    assert_eq!((accepted, mismatched), (1, 15));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_queued_is_finished_when_the_instance_stops() {
    let database = TestDatabase::create(SCHEMA).await;
    let instance = Instance::start(database.options(), 0);
    let wallet = instance.create_wallet("alice").await;
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let ledger = instance.ledger.clone();
            tokio::spawn(async move { ledger.submit(fund(wallet, "1.00")).await })
        })
        .collect();
    instance.stop().await;
    for call in join_all(calls).await {
        assert!(matches!(answer(call.unwrap()), Answer::Accepted(_)));
    }
    assert_eq!(balance(&database, wallet).await, 5_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses_at_once_and_does_nothing() {
    let database = TestDatabase::create(SCHEMA).await;
    let small = LedgerSettings {
        queue_capacity: 1,
        ..settings()
    };
    // The writer is not run, so nothing leaves the queue.
    let (ledger, _writer) = Writer::new(
        database.options(),
        small,
        leased(SettlementShard::new(0)),
        Arc::new(Notify::new()),
    );
    let waiting = tokio::spawn({
        let ledger = ledger.clone();
        async move { ledger.submit(fund(WalletId::generate(), "1.00")).await }
    });
    let overloaded = shared::testing::eventually("the queue is full", DEADLINE, async || {
        let refused = ledger.submit(fund(WalletId::generate(), "1.00"));
        tokio::time::timeout(Duration::from_millis(50), refused)
            .await
            .ok()
    })
    .await;
    assert_eq!(overloaded, Err(LedgerError::Overloaded));
    waiting.abort();
}

/// Makes every batch with money in it take so many seconds.
async fn slow_down(database: &TestDatabase, seconds: f64) {
    let pause = format!(
        "create function pause() returns trigger language plpgsql \
         as 'begin perform pg_sleep({seconds}); return null; end'; \
         create trigger slow after insert on transactions for each statement execute function pause()"
    );
    let pause = sqlx::raw_sql(AssertSqlSafe(pause));
    pause.execute(database.pool()).await.unwrap();
}

async fn speed_up(database: &TestDatabase) {
    let fast = "drop trigger slow on transactions";
    sqlx::query(fast).execute(database.pool()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_of_slow_batches_is_over_when_batches_are_fast_again() {
    let database = TestDatabase::create(SCHEMA).await;
    let slow = LedgerSettings {
        answer_timeout: Duration::from_secs(2),
        ..settings()
    };
    let instance = Instance::start_with(database.options(), 0, slow);
    let wallet = instance.create_wallet("alice").await;
    slow_down(&database, 0.6).await;
    for _ in 0..6 {
        instance.accept(fund(wallet, "1.00")).await;
    }
    speed_up(&database).await;
    // None of these waits behind another.
    for _ in 0..10 {
        instance.accept(fund(wallet, "1.00")).await;
    }
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_answered_in_time_is_refused_at_once_and_what_is_taken_is_answered() {
    let database = TestDatabase::create(SCHEMA).await;
    let slow = LedgerSettings {
        batch_max: 1,
        answer_timeout: Duration::from_secs(12),
        ..settings()
    };
    let instance = Instance::start_with(database.options(), 0, slow);
    let wallet = instance.create_wallet("alice").await;
    slow_down(&database, 0.3).await;
    for _ in 0..4 {
        instance.accept(fund(wallet, "1.00")).await;
    }
    // It would take 18 seconds.
    let calls = (0..60).map(|_| instance.submit(fund(wallet, "1.00")));
    let outcomes = join_all(calls).await;
    let refused = outcomes
        .iter()
        .filter(|outcome| **outcome == Err(LedgerError::Overloaded))
        .count();
    let taken: Vec<_> = outcomes.into_iter().filter(Result::is_ok).collect();
    assert!(refused > 0 && taken.len() > 4, "{refused}, {}", taken.len());
    assert_eq!(refused + taken.len(), 60, "none is left to time out");
    let funded = i64::try_from(4 + taken.len()).unwrap();
    assert_eq!(balance(&database, wallet).await, funded * 100);
    // Once it is fast again, all are taken.
    speed_up(&database).await;
    for _ in 0..20 {
        instance.accept(fund(wallet, "1.00")).await;
    }
    let calls = (0..60).map(|_| instance.submit(fund(wallet, "1.00")));
    assert!(join_all(calls).await.iter().all(Result::is_ok));
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_give_up_leave_nothing_half_done() {
    let database = TestDatabase::create(SCHEMA).await;
    let instance = Arc::new(Instance::start(database.options(), 0));
    let wallet = instance.funded_wallet("alice", "1000.00").await;
    let other = instance.create_wallet("bob").await;
    let calls = (0..200_u64).map(|call| {
        let instance = Arc::clone(&instance);
        tokio::spawn(async move {
            // Dropped at another point each time, from before the first poll to after the answer.
            let wait = Duration::from_micros(call * 40);
            tokio::time::timeout(wait, instance.submit(transfer(wallet, other, "1.00"))).await
        })
    });
    let outcomes = join_all(calls).await;
    let answered = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Ok(Ok(Ok(_)))))
        .count();
    // The queue is in order: when this is answered, all before it are settled.
    instance.accept(fund(other, "0.01")).await;
    assert!(
        balance(&database, other).await >= i64::try_from(answered).unwrap() * 100,
        "an answered transfer is missing"
    );
    assert_sound(&database).await;
}
