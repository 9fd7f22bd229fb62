//! Many commands at a time: in order, in turns with everybody else, and each with an answer of its own.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::{join, join_all, join3};
use tokio::time::Instant;

use super::*;

/// Of a queue with eight places, two are for commands that come many at a time.
fn small_queue() -> LedgerSettings {
    LedgerSettings {
        queue_capacity: 8,
        batch_max: 16,
        ..settings()
    }
}

async fn submit_all(ledger: &Ledger, commands: Vec<Command>) -> Vec<Result<Outcome, LedgerError>> {
    ledger.submit_all(commands, Instant::now()).await
}

fn accepted(outcomes: &[Result<Outcome, LedgerError>]) -> usize {
    let answers = outcomes.iter().map(|outcome| answer(outcome.clone()));
    answers
        .filter(|answer| matches!(answer, Answer::Accepted(_)))
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_commands_pass_a_queue_with_few_places_in_their_order() {
    let database = TestDatabase::create(SCHEMA).await;
    let instance = Instance::start_with(database.options(), 0, small_queue());
    let wallets = [
        instance.create_wallet("alice").await,
        instance.create_wallet("bob").await,
    ];
    // Every withdrawal takes what the fund before it brought, so any other order would refuse one.
    let commands = |wallet| {
        (0..200)
            .map(|index| match index % 2 {
                0 => fund(wallet, "1.00"),
                _ => withdraw(wallet, "1.00"),
            })
            .collect()
    };
    let (first, second) = join(
        submit_all(&instance.ledger, commands(wallets[0])),
        submit_all(&instance.ledger, commands(wallets[1])),
    )
    .await;
    assert_eq!((accepted(&first), accepted(&second)), (200, 200));
    assert_sound(&database).await;
}

/// A fund on which its caller wrote much.
fn large_fund(wallet: WalletId) -> Command {
    let mut command = fund(wallet, "1.00");
    if let Intent::Fund { payment, .. } = &mut command.intent {
        let value = "x".repeat(480);
        let metadata = (0..100).map(|place| (format!("key {place}"), value.clone()));
        payment.details.metadata = metadata.collect();
    }
    command
}

/// On one thread, so that all are queued before the writer looks.
#[tokio::test]
async fn a_batch_ends_with_the_command_that_makes_it_large() {
    let database = TestDatabase::create(SCHEMA).await;
    let instance = Instance::start(database.options(), 0);
    let wallet = instance.create_wallet("alice").await;
    let large = (0..100).map(|_| instance.submit(large_fund(wallet)));
    assert_eq!(accepted(&join_all(large).await), 100);
    let largest =
        "select max(bytes) from (select sum(length(metadata))::bigint as bytes from transactions
                   group by xmin::text) as batch";
    let (limit, one) = (1024 * 1024, 60 * 1024);
    let largest = count(&database, largest).await;
    assert!(
        largest < limit + one,
        "{largest} bytes were written at once"
    );
    assert_sound(&database).await;
}

/// On one thread, so that the small command comes after all the large ones that have a place.
#[tokio::test]
async fn a_small_command_does_not_wait_for_all_of_many_large_ones() {
    let database = TestDatabase::create(SCHEMA).await;
    let instance = Instance::start(database.options(), 0);
    let wallet = instance.create_wallet("alice").await;
    let small = async {
        // The large ones come in pieces: a task does not run for long at a time.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        instance.accept(fund(wallet, "1.00")).await.wallet.version
    };
    let large = (0..200).map(|_| large_fund(wallet)).collect();
    let (large, version) = join(submit_all(&instance.ledger, large), small).await;
    assert_eq!(accepted(&large), 200);
    assert!(version.get() < 150, "it came after {version} others");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_find_no_place_in_time_are_the_last_ones_and_leave_places_for_single_ones() {
    let database = TestDatabase::create(SCHEMA).await;
    let settings = LedgerSettings {
        answer_timeout: Duration::from_millis(500),
        ..small_queue()
    };
    // The writer is not run, so nothing leaves the queue.
    let (ledger, _writer) = Writer::new(
        database.options(),
        settings,
        leased(SettlementShard::new(0)),
        Arc::new(Notify::new()),
    );
    let wallet = WalletId::generate();
    let many = (0..10).map(|_| fund(wallet, "1.00")).collect();
    let (many, one, two) = join3(
        submit_all(&ledger, many),
        ledger.submit(fund(wallet, "1.00")),
        ledger.submit(fund(wallet, "1.00")),
    )
    .await;
    let (queued, others) = many.split_at(2);
    assert_eq!(queued, vec![Err(LedgerError::OutcomeUnknown); 2]);
    assert_eq!(others, vec![Err(LedgerError::Overloaded); 8]);
    assert_eq!(
        [one, two],
        [
            Err(LedgerError::OutcomeUnknown),
            Err(LedgerError::OutcomeUnknown)
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_commands_of_a_caller_that_gives_up_are_done_once_when_they_are_sent_again() {
    let database = TestDatabase::create(SCHEMA).await;
    let instance = Instance::start_with(database.options(), 0, small_queue());
    let wallet = instance.create_wallet("alice").await;
    let commands = || -> Vec<_> {
        (0..300)
            .map(|index| keyed(&format!("k-{index}"), fund(wallet, "1.00")))
            .collect()
    };
    // A single command does not wait behind three hundred: when it is answered, most of them are still to come.
    tokio::select! {
        biased;
        _ = submit_all(&instance.ledger, commands()) => panic!("the single command came last"),
        funded = instance.submit(fund(wallet, "5.00")) => drop(funded.unwrap()),
    }
    let outcomes = submit_all(&instance.ledger, commands()).await;
    assert_eq!(accepted(&outcomes), 300);
    assert_eq!(balance(&database, wallet).await, 30_500);
    assert_sound(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_wait_for_one_key_hold_up_no_other() {
    const TWINS: usize = 400;
    let database = TestDatabase::create(SCHEMA).await;
    let settings = LedgerSettings {
        batch_max: 16,
        ..settings()
    };
    let instance = Instance::start_with(database.options(), 0, settings);
    let wallet = instance.create_wallet("alice").await;
    let twin = || keyed("once", fund(wallet, "1.00"));
    instance.accept(twin()).await;
    let answered = AtomicUsize::new(0);
    let twins = (0..TWINS).map(|_| async {
        instance.accept(twin()).await;
        answered.fetch_add(1, Ordering::Relaxed);
    });
    // It is queued behind all of the twins, of which one after the other is answered.
    let single = async {
        instance.accept(fund(wallet, "5.00")).await;
        answered.load(Ordering::Relaxed)
    };
    let (_, before) = join(join_all(twins), single).await;
    assert!(before < TWINS / 2, "{before} twins were answered first");
    assert_eq!(balance(&database, wallet).await, 600);
}
