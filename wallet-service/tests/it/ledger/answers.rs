//! Stored answers: given again word for word, and a fault of one for its own command only.

use futures::future::join;
use shared::{event::FreezeDirection, testing::eventually};

use super::{
    cut::Cut,
    freezes::{close, freeze, unfreeze},
    recovery::behind_proxy,
    *,
};

/// A transfer, a withdrawal and their like: whatever an answer may tell of.
async fn every_kind_of_answer(instance: &Instance) -> Vec<Command> {
    let alice = instance.funded_wallet("alice", "100.00").await;
    let savings = instance.create_wallet("alice").await;
    let bob = instance.create_wallet("bob").await;
    let opening = command(Intent::CreateWallet(NewWallet::new(
        "carol".parse().unwrap(),
        WalletCurrency::Named("JPY".parse().unwrap()),
    )));
    vec![
        keyed("open", opening),
        keyed("fund", described("rent", fund(alice, "5.00"))),
        keyed("withdraw", referenced("r-1", withdraw(alice, "6.00"))),
        keyed("to-bob", transfer(alice, bob, "7.00")),
        keyed("to-savings", transfer(alice, savings, "8.00")),
        keyed("too-much", withdraw(alice, "1000.00")),
        keyed("same", transfer(alice, alice, "1.00")),
        keyed("freeze", freeze(bob, FreezeDirection::Debit)),
        keyed("into-frozen", transfer(alice, bob, "1.00")),
        keyed("out-of-frozen", withdraw(bob, "1.00")),
        keyed("unfreeze", unfreeze(bob)),
        keyed("not-frozen", unfreeze(bob)),
        keyed("not-empty", close(savings, None)),
        keyed("close", close(savings, Some(alice))),
        keyed("closed", fund(savings, "1.00")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_given_again_as_it_was_also_after_its_wallets_moved_on() {
    let database = TestDatabase::create(SCHEMA).await;
    let instance = Instance::start(database.options(), 0);
    let commands = every_kind_of_answer(&instance).await;
    let mut first = Vec::new();
    for command in &commands {
        first.push(answer(instance.submit(command.clone()).await));
    }
    for command in &commands {
        let again = Command {
            key: None,
            seed: Uuid::now_v7(),
            ..command.clone()
        };
        instance.submit(again).await.unwrap();
    }
    // Once by the writer that saw them, and once by one that knows nothing of them.
    let other = Instance::start(database.options(), 1);
    for instance in [&instance, &other] {
        for (command, first) in commands.iter().zip(&first) {
            let again = Command {
                seed: Uuid::now_v7(),
                ..command.clone()
            };
            let expected = Outcome::Replayed(Arc::new(first.clone()));
            assert_eq!(instance.submit(again).await.unwrap(), expected);
        }
    }
}

/// On one thread, so that both commands are queued before the writer looks, and share a batch.
#[tokio::test]
async fn a_stored_answer_that_cannot_be_read_fails_its_own_command_and_not_its_batch() {
    let database = TestDatabase::create(SCHEMA).await;
    let instance = Instance::start(database.options(), 0);
    let wallet = instance.funded_wallet("alice", "100.00").await;
    let unreadable = [
        ("of-another-build", "set_byte(answer, 0, 9)"),
        ("cut-off", "substring(answer from 1 for 20)"),
        (
            "of-another-event",
            "set_byte(answer, 26, get_byte(answer, 26) # 1)",
        ),
        (
            "of-no-event",
            "overlay(answer placing int8send(99) from 19)",
        ),
        ("garbage", r"'\x017f'"),
    ];
    for (key, change) in unreadable {
        instance.accept(keyed(key, withdraw(wallet, "1.00"))).await;
        let tamper = format!("update idempotency_keys set answer = {change} where key = $1");
        sqlx::query(sqlx::AssertSqlSafe(tamper))
            .bind(key)
            .execute(database.pool())
            .await
            .unwrap();
        // The first replay breaks its batch and is met on locked rows; the second is looked up before.
        for turn in 0..2 {
            let neighbour = format!("{key}-neighbour-{turn}");
            let (replay, other) = join(
                instance.submit(keyed(key, withdraw(wallet, "1.00"))),
                instance.submit(keyed(&neighbour, withdraw(wallet, "1.00"))),
            )
            .await;
            assert_eq!(replay, Err(LedgerError::Internal), "{key}");
            assert!(matches!(answer(other), Answer::Accepted(_)), "{key}");
        }
    }
    // Each withdrawal once: five first ones and their ten neighbours.
    assert_eq!(balance(&database, wallet).await, 10_000 - 15 * 100);
}

/// On one thread, so that both commands are queued before the writer looks, and share a batch.
#[tokio::test]
async fn a_transaction_that_cannot_be_read_fails_its_own_replay_and_not_its_neighbours() {
    let database = TestDatabase::create(SCHEMA).await;
    let instance = Instance::start(database.options(), 0);
    let wallet = instance.funded_wallet("alice", "100.00").await;
    for key in ["unreadable", "readable"] {
        instance.accept(keyed(key, withdraw(wallet, "1.00"))).await;
    }
    let tamper = format!(
        "alter table transactions disable trigger user;
         update transactions set metadata = 'no JSON'
         where id = (select transaction_id from wallet_events where wallet_id = '{wallet}' and sequence = 3)"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(tamper))
        .execute(database.pool())
        .await
        .unwrap();
    // The first replays break their batch and are met on locked rows; the others are looked up before.
    for _ in 0..2 {
        let (unreadable, readable) = join(
            instance.submit(keyed("unreadable", withdraw(wallet, "1.00"))),
            instance.submit(keyed("readable", withdraw(wallet, "1.00"))),
        )
        .await;
        assert_eq!(unreadable, Err(LedgerError::Internal));
        assert!(matches!(readable, Ok(Outcome::Replayed(_))), "{readable:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_an_answer_that_is_on_its_way_waits_for_it() {
    let database = TestDatabase::create(SCHEMA).await;
    let (proxy, instance) = behind_proxy(&database).await;
    let alice = instance.create_wallet("alice").await;
    let command = keyed("k", fund(alice, "1.00"));
    proxy.cut_next(Cut::Hold);
    let asking = async {
        let held = async || (proxy.cuts() == 1).then_some(());
        eventually("the command is on its way", DEADLINE, held).await;
        let ask = |key| instance.ledger.find_answer(keyed(key, command.clone()));
        // Asked second and answered while the command is held: so the first question was looked at before.
        let second = async {
            let nothing = ask("other").await;
            proxy.deliver();
            nothing
        };
        tokio::join!(ask("k"), second)
    };
    let (carried_out, (found, nothing)) = tokio::join!(instance.submit(command.clone()), asking);
    let carried_out = answer(carried_out);
    assert_eq!(found, Ok(Some(Outcome::Replayed(Arc::new(carried_out)))));
    assert_eq!(nothing, Ok(None));
}
