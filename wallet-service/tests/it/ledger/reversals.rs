//! What is taken back by several callers at once, over two instances: never more than came.

use futures::future::join_all;
use wallet_service::ledger::{AskedAmount, NewReversal, Transaction};

use super::*;

/// So much of a transaction, or all that is left.
fn reverse(original: &Arc<Transaction>, amount: Option<&str>) -> Command {
    let amount = amount.map(|amount| AskedAmount::Decimal(amount.parse().unwrap()));
    command(Intent::Reverse(NewReversal {
        transaction_id: original.id,
        original: Some(Arc::clone(original)),
        amount,
        reason: "a mistake".to_owned(),
        allow_negative: false,
        details: Details::default(),
    }))
}

/// Bob has 100.00 of his own, and 30.00 from Alice, which are taken back by twenty callers at once. How many did.
async fn taken_back(part: Option<&str>) -> usize {
    let database = TestDatabase::create(SCHEMA).await;
    let instances = [0, 1].map(|shard| Instance::start(database.options(), shard));
    let alice = instances[0].funded_wallet("alice", "30.00").await;
    let bob = instances[1].funded_wallet("bob", "100.00").await;
    let paid = instances[0].accept(transfer(alice, bob, "30.00")).await;
    let paid = Arc::new(paid.transaction.unwrap());
    let calls = (0..20).map(|call| instances[call % 2].submit(reverse(&paid, part)));
    let answers = join_all(calls).await.into_iter().map(answer);
    let mut accepted = 0;
    for answer in answers {
        match answer {
            Answer::Accepted(_) => accepted += 1,
            Answer::Refused(Refusal::AlreadyReversed { .. } | Refusal::ReversalTooLarge { .. }) => {
            }
            other @ Answer::Refused(_) => panic!("{other:?}"),
        }
    }
    let balances = (
        balance(&database, alice).await,
        balance(&database, bob).await,
    );
    assert_eq!(balances, (3_000, 10_000), "all of it, and nothing more");
    let sum = "select sum(amount)::bigint from transaction_reversals";
    assert_eq!(count(&database, sum).await, 3_000);
    assert_sound(&database).await;
    accepted
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_that_two_instances_take_back_at_once_come_to_the_whole_and_no_more() {
    assert_eq!(taken_back(Some("2.00")).await, 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_is_taken_back_whole_by_one_of_many_callers_on_two_instances() {
    assert_eq!(taken_back(None).await, 1);
}
