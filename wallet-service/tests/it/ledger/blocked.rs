//! What another session keeps locked stops the commands that need it, and no others.

use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join_all;
use shared::{
    server::{health::Health, http::HttpLimits, metrics::Metrics},
    testing::eventually,
};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::time::Instant;

use super::*;

/// What the documentation promises to callers.
const TOLD_WITHIN: Duration = Duration::from_secs(3);

/// A session outside of the ledger, in an open transaction.
struct OtherSession(PgConnection);

impl OtherSession {
    /// Runs `sql` in a transaction that stays open.
    async fn holding(database: &TestDatabase, sql: &str) -> Self {
        let mut connection = PgConnection::connect_with(&database.owners_options())
            .await
            .unwrap();
        let sql = format!("begin; {sql}");
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut connection)
            .await
            .unwrap();
        Self(connection)
    }

    async fn locking(database: &TestDatabase, wallet: WalletId) -> Self {
        let sql = format!("select 1 from wallets where id = '{wallet}' for update");
        Self::holding(database, &sql).await
    }

    async fn give_up(mut self) {
        sqlx::raw_sql("rollback")
            .execute(&mut self.0)
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_wallet_holds_up_its_own_commands_and_no_others() {
    let database = TestDatabase::create(SCHEMA).await;
    let instance = Arc::new(Instance::start(database.options(), 0));
    let locked = instance.funded_wallet("locked", "100.00").await;
    let alice = instance.funded_wallet("alice", "100.00").await;
    let bob = instance.create_wallet("bob").await;
    let other = OtherSession::locking(&database, locked).await;
    let stuck: Vec<_> = (0..12)
        .map(|call| {
            let instance = Arc::clone(&instance);
            tokio::spawn(async move {
                let command = match call % 3 {
                    0 => transfer(locked, bob, "1.00"),
                    1 => transfer(alice, locked, "1.00"),
                    _ => withdraw(locked, "1.00"),
                };
                instance.submit(command).await
            })
        })
        .collect();
    // All of these are answered while the lock is held and the stuck ones wait; some hundreds on a machine with nothing
    // else to do.
    let (began, mut longest, mut turns) = (Instant::now(), Duration::ZERO, 0);
    while stuck.iter().all(|call| !call.is_finished()) {
        let turn = Instant::now();
        instance.accept(transfer(alice, bob, "0.01")).await;
        instance.accept(fund(bob, "0.01")).await;
        longest = longest.max(turn.elapsed());
        turns += 1;
        assert_eq!(balance(&database, bob).await, 2 * turns);
    }
    let waited = began.elapsed();
    assert!(longest * 2 < waited, "{longest:?} of {waited:?}");
    for call in join_all(stuck).await {
        // And not that the outcome is unknown, which callers hear when they have waited for long.
        assert_eq!(
            call.unwrap(),
            Err(LedgerError::Unavailable),
            "nothing was done"
        );
    }
    other.give_up().await;
    instance.accept(transfer(locked, bob, "1.00")).await;
    assert_eq!(balance(&database, locked).await, 9_900);
    assert_sound(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_waited_for_a_lock_go_on_in_their_order_when_it_is_gone() {
    let database = TestDatabase::create(SCHEMA).await;
    let instance = Instance::start(database.options(), 0);
    let wallet = instance.create_wallet("alice").await;
    let bob = instance.create_wallet("bob").await;
    let other = OtherSession::locking(&database, wallet).await;
    // Each can be carried out only after the one before it; the last one is the twin of the first.
    let commands = vec![
        keyed("first", fund(wallet, "2.00")),
        transfer(wallet, bob, "1.00"),
        withdraw(wallet, "1.00"),
        keyed("first", fund(wallet, "2.00")),
    ];
    let since = Instant::now();
    let submitted = instance.ledger.submit_all(commands, since);
    let releasing = async {
        eventually("the commands wait", DEADLINE, async || {
            // A command of others still passes.
            instance.accept(fund(bob, "5.00")).await;
            (balance(&database, bob).await >= 1500).then_some(())
        })
        .await;
        other.give_up().await;
    };
    let (outcomes, ()) = tokio::join!(submitted, releasing);
    assert!(
        matches!(outcomes[0], Ok(Outcome::Decided(_))),
        "{outcomes:?}"
    );
    for outcome in &outcomes[..3] {
        let answer = answer(outcome.clone());
        assert!(matches!(answer, Answer::Accepted(_)), "{answer:?}");
    }
    assert!(
        matches!(outcomes[3], Ok(Outcome::Replayed(_))),
        "{outcomes:?}"
    );
    assert_eq!(balance(&database, wallet).await, 0);
    assert_sound(&database).await;
}

/// Writes the wallet again and again in transactions that keep it locked for a moment each.
async fn write_in_turns(database: &TestDatabase, wallet: WalletId, stop: &AtomicBool) {
    let mut connection = PgConnection::connect_with(&database.owners_options())
        .await
        .unwrap();
    let turn = format!(
        "begin; update wallets set held = held where id = '{wallet}'; select pg_sleep(0.01); commit"
    );
    while !stop.load(Ordering::Relaxed) {
        sqlx::raw_sql(AssertSqlSafe(turn.as_str()))
            .execute(&mut connection)
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_that_others_write_in_turns_is_not_taken_for_one_that_stays_locked() {
    let database = TestDatabase::create(SCHEMA).await;
    let instance = Instance::start(database.options(), 0);
    let alice = instance.funded_wallet("alice", "100.00").await;
    let bob = instance.create_wallet("bob").await;
    let other = OtherSession::locking(&database, alice).await;
    let metrics = Metrics::new();
    instance.ledger.tell(&metrics);
    let stop = AtomicBool::new(false);
    let writers = join_all([(); 2].map(|()| write_in_turns(&database, alice, &stop)));
    let command = async {
        let sent = instance.submit(transfer(alice, bob, "1.00"));
        let give_up = async {
            eventually("the command is set aside", DEADLINE, async || {
                let text = metrics.text();
                text.contains("ledger_blocked_commands 1").then_some(())
            })
            .await;
            other.give_up().await;
        };
        let (outcome, ()) = tokio::join!(sent, give_up);
        stop.store(true, Ordering::Relaxed);
        outcome
    };
    let (_, outcome) = tokio::join!(writers, command);
    assert!(matches!(answer(outcome), Answer::Accepted(_)));
    assert_sound(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_settlement_wallet_holds_up_funds_of_its_currency_and_no_transfers() {
    let database = TestDatabase::create(SCHEMA).await;
    let instance = Instance::start(database.options(), 0);
    let alice = instance.funded_wallet("alice", "100.00").await;
    let bob = instance.create_wallet("bob").await;
    let settlement =
        SettlementShard::new(0).settlement_wallet("USD".parse::<shared::Currency>().unwrap());
    let other = OtherSession::locking(&database, settlement).await;
    let transfers = async {
        for _ in 0..20 {
            instance.accept(transfer(alice, bob, "1.00")).await;
        }
    };
    let (funded, withdrawn, ()) = tokio::join!(
        instance.submit(fund(alice, "1.00")),
        instance.submit(withdraw(alice, "1.00")),
        transfers,
    );
    assert_eq!(
        [funded, withdrawn],
        [const { Err(LedgerError::Unavailable) }; 2]
    );
    other.give_up().await;
    instance.accept(fund(alice, "1.00")).await;
    assert_sound(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_or_reference_that_another_session_inserts_holds_up_only_its_own_command() {
    let database = TestDatabase::create(SCHEMA).await;
    let instance = Instance::start(database.options(), 0);
    let alice = instance.funded_wallet("alice", "100.00").await;
    let bob = instance.create_wallet("bob").await;
    let key = OtherSession::holding(
        &database,
        "insert into idempotency_keys (owner, key, fingerprint, answer, expires_at)
         values ('anonymous', 'taken', decode(repeat('00', 32), 'hex'), '', now())",
    )
    .await;
    let reference = OtherSession::holding(
        &database,
        "insert into transaction_references (owner, reference, transaction_id, intent, answer)
         values ('anonymous', 'order-7', gen_random_uuid(), decode(repeat('00', 32), 'hex'), '')",
    )
    .await;
    let others = (0..40).map(|number| {
        let command = referenced(&format!("r{number}"), transfer(alice, bob, "1.00"));
        instance.submit(keyed(&format!("k{number}"), command))
    });
    let (by_key, twin, by_reference, others) = tokio::join!(
        instance.submit(keyed("taken", transfer(alice, bob, "1.00"))),
        instance.submit(keyed("taken", transfer(alice, bob, "1.00"))),
        instance.submit(referenced("order-7", transfer(alice, bob, "1.00"))),
        join_all(others),
    );
    assert_eq!(
        [by_key, twin, by_reference],
        [const { Err(LedgerError::Unavailable) }; 3]
    );
    for other in others {
        assert!(matches!(answer(other), Answer::Accepted(_)));
    }
    key.give_up().await;
    reference.give_up().await;
    instance
        .accept(keyed("taken", transfer(alice, bob, "1.00")))
        .await;
    instance
        .accept(referenced("order-7", transfer(alice, bob, "1.00")))
        .await;
    assert_eq!(balance(&database, bob).await, 4_200);
    assert_sound(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_table_holds_up_everybody_who_is_told_and_heals() {
    for lock in [
        "lock table wallets in exclusive mode",
        "lock table wallets in access exclusive mode",
        "lock table transactions in share mode",
    ] {
        let database = TestDatabase::create(SCHEMA).await;
        let instance = Instance::start(database.options(), 0);
        let health = Health::new();
        instance.ledger.report_to(health.component("ledger"));
        let said = || {
            let report = serde_json::to_value(health.last_report()).unwrap();
            report["components"]["ledger"]["status"].clone()
        };
        let alice = instance.funded_wallet("alice", "100.00").await;
        let bob = instance.create_wallet("bob").await;
        assert_eq!(said(), "ok");
        let other = OtherSession::holding(&database, lock).await;
        let calls = (0..10).map(|_| instance.submit(transfer(alice, bob, "1.00")));
        let unknown = instance.submit(fund(WalletId::generate(), "1.00"));
        let (outcomes, _) = tokio::join!(join_all(calls), unknown);
        for outcome in outcomes {
            assert_eq!(outcome, Err(LedgerError::Unavailable), "{lock}");
        }
        assert_eq!(said(), "degraded", "{lock}");
        other.give_up().await;
        eventually("commands pass again", DEADLINE, async || {
            let outcome = instance.submit(transfer(alice, bob, "1.00")).await;
            outcome.is_ok().then_some(())
        })
        .await;
        assert_eq!(said(), "ok", "{lock}");
        assert_eq!(balance(&database, bob).await, 100, "{lock}");
        assert_sound(&database).await;
    }
}

#[test]
fn callers_of_locked_wallets_hear_before_their_requests_time_out() {
    let limits = HttpLimits::default();
    assert!(TOLD_WITHIN * 2 < limits.request_timeout);
}
