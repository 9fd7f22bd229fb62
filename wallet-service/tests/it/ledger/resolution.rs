//! Outcomes that have to be found out: what is told is what happened, and nothing is guessed.

use shared::testing::eventually;

use super::{
    cut::{Cut, CuttingProxy},
    recovery::behind_proxy,
    *,
};

/// Carries out `command` behind the proxy: its batch does not arrive, and before it is decided again `other` does its own.
async fn decided_again(
    proxy: &CuttingProxy,
    instance: &Instance,
    command: Command,
    other: impl Future<Output = Receipt>,
) -> Result<Outcome, LedgerError> {
    let before = proxy.cuts();
    proxy.cut_next(Cut::Request);
    proxy.set_away(true);
    let meanwhile = async {
        let cut = async || (proxy.cuts() > before).then_some(());
        eventually("the batch is lost", DEADLINE, cut).await;
        other.await;
        proxy.set_away(false);
    };
    tokio::join!(instance.submit(command), meanwhile).0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_whose_own_commit_loses_its_answer_is_looked_up() {
    let database = TestDatabase::create(SCHEMA).await;
    let (proxy, instance) = behind_proxy(&database).await;
    let other = Instance::start(database.options(), 1);
    let alice = instance.funded_wallet("alice", "100.00").await;
    let bob = instance.create_wallet("bob").await;
    for turn in 1..=3 {
        proxy.cut_commit();
        // No key, so nothing but the journal can tell that it was done. The other payment makes it another event than
        // the one that was lost first.
        let paying = transfer(alice, bob, "1.00");
        let theirs = other.accept(transfer(alice, bob, "1.00"));
        let outcome = decided_again(&proxy, &instance, paying, theirs).await;
        assert!(matches!(answer(outcome), Answer::Accepted(_)));
        assert_eq!(balance(&database, bob).await, 200 * turn);
    }
    assert_eq!(proxy.cuts(), 6, "the batch and the commit, each time");
    assert_sound(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_another_instance_with_the_same_number_is_not_taken_for_ones_own() {
    let database = TestDatabase::create(SCHEMA).await;
    let (proxy, instance) = behind_proxy(&database).await;
    let other = Instance::start(database.options(), 1);
    let alice = instance.funded_wallet("alice", "100.00").await;
    let bob = instance.create_wallet("bob").await;
    // The event that the lost batch would have been.
    let theirs = other.accept(transfer(alice, bob, "2.00"));
    let mine = decided_again(&proxy, &instance, transfer(alice, bob, "1.00"), theirs).await;
    let Answer::Accepted(mine) = answer(mine) else {
        panic!("it was refused");
    };
    assert_eq!(mine.wallet.balance.minor(), 9_700, "after the other one");
    assert_eq!(balance(&database, bob).await, 300, "both happened");
    assert_sound(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_that_is_not_known_is_never_told_as_nothing_done() {
    let database = TestDatabase::create(SCHEMA).await;
    let warm = Instance::start(database.options(), 1);
    let alice = warm.funded_wallet("alice", "100.00").await;
    let bob = warm.create_wallet("bob").await;
    // Longer than a database is looked for before callers are told that nothing was done.
    let patient = LedgerSettings {
        answer_timeout: Duration::from_secs(5),
        ..settings()
    };
    let (proxy, instance) = super::recovery::behind_proxy_with(&database, patient).await;
    instance.accept(transfer(alice, bob, "1.00")).await;
    // The connection that is there passes the batch; no other can be made to look what became of it.
    proxy.set_away(true);
    proxy.cut_next(Cut::Reply);
    let outcome = instance.submit(transfer(alice, bob, "1.00")).await;
    assert_eq!(proxy.cuts(), 1);
    assert_eq!(outcome, Err(LedgerError::OutcomeUnknown));
    assert_eq!(balance(&database, bob).await, 200, "it was done");
    proxy.set_away(false);
    instance.accept(transfer(alice, bob, "1.00")).await;
    assert_eq!(balance(&database, bob).await, 300);
    assert_sound(&database).await;
}

/// Sessions that begin from now on find a server that follows another one and takes no writes.
async fn follow_another_server(database: &TestDatabase) {
    let name = database.name();
    for sql in [
        "create schema standby; grant usage on schema standby to public".to_owned(),
        "create function standby.pg_is_in_recovery() returns boolean language sql as 'select true'"
            .to_owned(),
        format!("alter database {name} set search_path = standby, pg_catalog, public"),
        format!("alter database {name} set default_transaction_read_only = on"),
    ] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(database.pool())
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_lost_primary_did_is_neither_read_from_a_standby_nor_told_as_nothing_done() {
    let database = TestDatabase::create(SCHEMA).await;
    let (proxy, instance) = behind_proxy(&database).await;
    let alice = instance.funded_wallet("alice", "100.00").await;
    let bob = instance.create_wallet("bob").await;
    follow_another_server(&database).await;
    // The session that is there is still one of the primary.
    proxy.cut_next(Cut::Reply);
    let outcome = instance.submit(transfer(alice, bob, "1.00")).await;
    assert_eq!(proxy.cuts(), 1);
    assert_eq!(outcome, Err(LedgerError::OutcomeUnknown));
    assert_eq!(balance(&database, bob).await, 100, "it was done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_is_decided_in_a_recovery_is_stored_under_its_key() {
    let database = TestDatabase::create(SCHEMA).await;
    let (proxy, instance) = behind_proxy(&database).await;
    let other = Instance::start(database.options(), 1);
    let alice = instance.funded_wallet("alice", "10.00").await;
    let theirs = other.accept(withdraw(alice, "10.00"));
    let mine = keyed("pay", withdraw(alice, "10.00"));
    let first = decided_again(&proxy, &instance, mine, theirs).await;
    let first = answer(first);
    assert!(
        matches!(&first, Answer::Refused(Refusal::InsufficientFunds { .. })),
        "{first:?}"
    );
    other.accept(fund(alice, "50.00")).await;
    for instance in [&instance, &other] {
        let again = instance
            .submit(keyed("pay", withdraw(alice, "10.00")))
            .await;
        assert_eq!(again, Ok(Outcome::Replayed(Arc::new(first.clone()))));
    }
    assert_eq!(balance(&database, alice).await, 5_000);
    assert_sound(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_decides_while_it_holds_the_wallets() {
    let database = TestDatabase::create(SCHEMA).await;
    let (proxy, instance) = behind_proxy(&database).await;
    let alice = instance.funded_wallet("alice", "100.00").await;
    let bob = instance.create_wallet("bob").await;
    let free = async || {
        let sql = "select count(*) from (select 1 from wallets where user_id in ('alice', 'bob')
                   for no key update skip locked) as free";
        count(&database, sql).await
    };
    assert_eq!(free().await, 2);
    // The first attempt is lost, what the second has decided is kept on its way.
    proxy.cut_next_two(Cut::Request, Cut::Hold);
    let moving = instance.accept(transfer(alice, bob, "1.00"));
    let looking = async {
        let held = async || (proxy.cuts() == 2).then_some(());
        eventually("the second attempt is decided", DEADLINE, held).await;
        let free = free().await;
        proxy.deliver();
        free
    };
    let (_, free) = tokio::join!(moving, looking);
    assert_eq!(
        free, 0,
        "another session could write between reading and writing"
    );
    assert_eq!(balance(&database, bob).await, 100);
    assert_sound(&database).await;
}
