//! Batches that do not go through: lost connections, refused statements, rows locked by another session.

use std::{net::SocketAddr, sync::Arc};

use futures::future::join_all;
use shared::testing::{Looks, become_primary, become_standby, eventually};
use sqlx::{Connection, PgConnection};

use super::{
    cut::{Cut, CuttingProxy},
    *,
};

/// A ledger whose connections to Postgres can be cut.
pub(super) async fn behind_proxy(database: &TestDatabase) -> (CuttingProxy, Instance) {
    behind_proxy_with(database, settings()).await
}

pub(super) async fn behind_proxy_with(
    database: &TestDatabase,
    settings: LedgerSettings,
) -> (CuttingProxy, Instance) {
    let options = database.options();
    let upstream = SocketAddr::from(([127, 0, 0, 1], options.get_port()));
    let proxy = CuttingProxy::start(upstream).await;
    let instance = Instance::start_with(proxy.options(&options), 0, settings);
    (proxy, instance)
}

async fn a_cut_connection(cut: Cut) {
    let database = TestDatabase::create(SCHEMA).await;
    let (proxy, instance) = behind_proxy(&database).await;
    let alice = instance.funded_wallet("alice", "100.00").await;
    let bob = instance.create_wallet("bob").await;
    for turn in 1..=5 {
        proxy.cut_next(cut);
        // No key: only the ledger itself can find out what became of it.
        let receipt = instance.accept(transfer(alice, bob, "1.00")).await;
        assert_eq!(receipt.wallet.balance.minor(), 10_000 - 100 * turn);
        assert_eq!(balance(&database, bob).await, 100 * turn);
    }
    proxy.cut_next(cut);
    let calls = (0..30).map(|_| instance.submit(transfer(alice, bob, "1.00")));
    for outcome in join_all(calls).await {
        assert!(matches!(answer(outcome), Answer::Accepted(_)));
    }
    assert_eq!(proxy.cuts(), 6);
    assert_eq!(balance(&database, bob).await, 3_500);
    assert_sound(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_answer_is_lost_is_found_and_not_done_again() {
    a_cut_connection(Cut::Reply).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_lost_on_the_way_is_done_once() {
    a_cut_connection(Cut::Request).await;
}

/// On one thread, so that both commands are queued before the writer looks, and share a batch.
#[tokio::test]
async fn a_command_is_not_refused_that_a_batch_believed_lost_still_commits() {
    let database = TestDatabase::create(SCHEMA).await;
    let (proxy, instance) = behind_proxy(&database).await;
    // Empty again, and every connection is open.
    let wallet = instance.funded_wallet("alice", "10.00").await;
    instance.accept(withdraw(wallet, "10.00")).await;
    proxy.cut_next(Cut::Late);
    let mut funding = Box::pin(instance.submit(fund(wallet, "10.00")));
    let mut withdrawing = Box::pin(instance.submit(withdraw(wallet, "10.00")));
    assert!(futures::poll!(&mut funding).is_pending());
    assert!(futures::poll!(&mut withdrawing).is_pending());
    proxy.set_away(true);
    let cut = async || (proxy.cuts() == 1).then_some(());
    eventually("the batch is on its way", DEADLINE, cut).await;
    // The withdrawal was decided on this, and its caller still waits.
    drop(funding);
    proxy.set_away(false);
    let answer = answer(withdrawing.await);
    proxy.deliver();
    eventually("the late batch is through", DEADLINE, async || {
        let sql = "select count(*) from pg_stat_activity
                   where datname = current_database() and query like '%with changed%'
                     and pid <> pg_backend_pid()";
        (count(&database, sql).await == 0).then_some(())
    })
    .await;
    let withdrawn = "select count(*) from transactions where kind = 'withdraw'";
    let withdrawn = count(&database, withdrawn).await - 1;
    assert_eq!(withdrawn, i64::from(matches!(answer, Answer::Accepted(_))));
    assert_sound(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_postgres_is_away_callers_are_told_that_nothing_was_done() {
    let database = TestDatabase::create(SCHEMA).await;
    let (proxy, instance) = behind_proxy(&database).await;
    proxy.set_away(true);
    let create = command(Intent::CreateWallet(NewWallet::new(
        "alice".parse().unwrap(),
        WalletCurrency::Named("USD".parse().unwrap()),
    )));
    let (blind, writing) = tokio::join!(
        instance.submit(fund(WalletId::generate(), "1.00")),
        instance.submit(create.clone()),
    );
    assert_eq!(blind, Err(LedgerError::Unavailable), "it needs a read");
    assert_eq!(writing, Err(LedgerError::Unavailable), "it needs a write");
    proxy.set_away(false);
    let wallet = instance.accept(create).await.wallet.id;
    instance.accept(fund(wallet, "1.00")).await;
    assert_eq!(count(&database, "select count(*) from wallets").await, 2);
    assert_sound(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_whose_creation_lost_its_answer_exists_once() {
    for cut in [Cut::Reply, Cut::Request] {
        let database = TestDatabase::create(SCHEMA).await;
        let (proxy, instance) = behind_proxy(&database).await;
        instance.create_wallet("warm").await;
        proxy.cut_next(cut);
        instance.create_wallet("alice").await;
        assert_eq!(proxy.cuts(), 1);
        assert_eq!(
            count(
                &database,
                "select count(*) from wallets where user_id = 'alice'"
            )
            .await,
            1
        );
        assert_sound(&database).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_are_killed_under_load_lose_and_double_nothing() {
    let database = TestDatabase::create(SCHEMA).await;
    let instance = Arc::new(Instance::start(database.options(), 0));
    let alice = instance.funded_wallet("alice", "1000.00").await;
    let bob = instance.create_wallet("bob").await;
    let killer = tokio::spawn({
        let pool = database.pool().clone();
        async move {
            let mut killed = 0;
            let mut looks = Looks::within(DEADLINE);
            while killed < 10 {
                let sql = "select count(*) filter (where pg_terminate_backend(pid)) from pg_stat_activity
                           where datname = current_database() and pid <> pg_backend_pid() and query like '%with changed%'";
                killed += sqlx::query_scalar::<_, i64>(sql)
                    .fetch_one(&pool)
                    .await
                    .unwrap();
                looks.next("ten sessions are killed").await;
            }
        }
    });
    let mut sent = 0;
    while !killer.is_finished() {
        let calls = (0..32).map(|_| instance.submit(transfer(alice, bob, "0.01")));
        for outcome in join_all(calls).await {
            assert!(matches!(answer(outcome), Answer::Accepted(_)));
            sent += 1;
        }
    }
    killer.await.unwrap();
    assert_eq!(balance(&database, bob).await, sent);
    assert_sound(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_the_database_refuses_does_not_fail_its_neighbours() {
    let database = TestDatabase::create(SCHEMA).await;
    let poison =
        "alter table transactions add constraint no_poison check (description <> 'poison')";
    sqlx::query(poison).execute(database.pool()).await.unwrap();
    let instance = Instance::start(database.options(), 0);
    let wallet = instance.create_wallet("alice").await;
    let calls = (0..40).map(|call| {
        let text = if call % 10 == 3 { "poison" } else { "fine" };
        instance.submit(described(text, fund(wallet, "1.00")))
    });
    let outcomes = join_all(calls).await;
    let refused = outcomes
        .iter()
        .filter(|outcome| **outcome == Err(LedgerError::Internal))
        .count();
    let accepted = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!((refused, accepted), (4, 36));
    assert_eq!(balance(&database, wallet).await, 3_600);
    assert_sound(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_that_another_session_keeps_locked_does_not_stop_the_others() {
    let database = TestDatabase::create(SCHEMA).await;
    let instance = Instance::start(database.options(), 0);
    let (stuck, free) = (
        instance.create_wallet("stuck").await,
        instance.create_wallet("free").await,
    );
    let other = instance.funded_wallet("other", "10.00").await;
    let mut other_session = PgConnection::connect_with(&database.options())
        .await
        .unwrap();
    let mut transaction = other_session.begin().await.unwrap();
    let lock = "select 1 from wallets where id = $1 for update";
    sqlx::query(lock)
        .bind(stuck.uuid())
        .execute(&mut *transaction)
        .await
        .unwrap();
    let (blocked, passed) = tokio::join!(
        instance.submit(transfer(other, stuck, "1.00")),
        instance.submit(transfer(other, free, "1.00"))
    );
    assert_eq!(
        blocked,
        Err(LedgerError::Unavailable),
        "and nothing was done"
    );
    assert!(matches!(answer(passed), Answer::Accepted(_)));
    transaction.rollback().await.unwrap();
    instance.accept(transfer(other, stuck, "1.00")).await;
    assert_eq!(balance(&database, stuck).await, 100);
    assert_sound(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_decided_on_what_a_standby_says() {
    let database = TestDatabase::create(SCHEMA).await;
    let alice = Instance::start(database.options(), 0)
        .create_wallet("alice")
        .await;
    become_standby(&database).await;
    // A refusal would be as old as the standby.
    let instance = Instance::start(database.options(), 1);
    let outcome = instance.submit(withdraw(alice, "1.00")).await;
    assert_eq!(outcome, Err(LedgerError::Unavailable));
    become_primary(&database).await;
    let refusal = instance.refuse(withdraw(alice, "1.00")).await;
    assert!(matches!(refusal, Refusal::InsufficientFunds { .. }));
}
