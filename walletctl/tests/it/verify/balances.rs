//! The ledger's balances and sums: each promise is broken in the database, by exactly the rows that break it, and has to be named.

use shared::event::{EventBody, Movement};
use walletctl::verify::{Fault, HistoryState, VerifySettings, fault::Database::Wallet};

use super::{
    databases::{Databases, found, found_at, only},
    scenario::{Scenario, ordinary},
};

#[tokio::test]
async fn a_right_ledger_with_its_history_is_clean() {
    let (databases, _) = Databases::ordinary().await;
    let report = databases.verify().await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.history, HistoryState::CaughtUp);
    assert_eq!(report.counts.currencies, 2);
    assert_eq!(report.counts.wallets, 5);
    assert_eq!(report.counts.transactions, 6);
    assert_eq!(report.counts.answers, 6);
    assert_eq!(report.counts.references, 1);
    assert_eq!(report.counts.events, 17);
    assert_eq!(report.counts.matched, 17);
    assert_eq!(report.counts.outbox_events, 2);
    let text = report.to_string();
    assert!(text.contains("ok   I1"), "{text}");
    assert!(
        text.contains("2 currencies, 5 wallets, 6 transactions"),
        "{text}"
    );
    assert_eq!(report.to_json()["clean"], true);
}

#[tokio::test]
async fn an_empty_system_is_clean() {
    let report = Databases::empty().await.verify().await;
    assert!(report.is_clean(), "{report}");
}

#[tokio::test]
async fn the_ledger_is_proved_without_history() {
    let (databases, cast) = Databases::ordinary().await;
    let settings = VerifySettings {
        history_database_url: None,
        ..databases.settings(std::time::Duration::ZERO)
    };
    let report = walletctl::verify::run(&settings).await.unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.history, HistoryState::NotRead);
    assert!(report.to_string().contains("skip I3"), "{report}");

    databases
        .tamper_ledger(&format!(
            "update wallets set balance = 9 where id = '{}'",
            cast.yuki
        ))
        .await;
    let report = walletctl::verify::run(&settings).await.unwrap();
    found_at(&report, Fault::LastBalanceDisagrees, Wallet, cast.yuki, 2);
}

#[tokio::test]
async fn a_changed_amount_breaks_the_balance_the_hash_and_the_sum_of_the_legs() {
    let (databases, cast) = Databases::ordinary().await;
    let sql = format!(
        "update wallet_events set amount = amount + 1 where wallet_id = '{}' and sequence = 2",
        cast.bob
    );
    databases.tamper_ledger(&sql).await;
    let report = databases.verify().await;
    found_at(&report, Fault::BalanceBroken, Wallet, cast.bob, 2);
    found_at(&report, Fault::HashWrong, Wallet, cast.bob, 2);
    let legs = found(&report, Fault::LegsNotZero, Wallet);
    assert_eq!(legs.first.transaction_id, Some(cast.transfer));
    assert!(legs.first.detail.contains("sum to 0.01"), "{report}");
    only(
        &report,
        &[
            (Fault::BalanceBroken, Wallet),
            (Fault::HashWrong, Wallet),
            (Fault::LegsNotZero, Wallet),
        ],
    );
}

#[tokio::test]
async fn a_changed_running_balance_is_named_with_what_it_should_be() {
    let (databases, cast) = Databases::ordinary().await;
    let sql = format!(
        "update wallet_events set balance_after = 7100 where wallet_id = '{}' and sequence = 3",
        cast.alice
    );
    databases.tamper_ledger(&sql).await;
    let report = databases.verify().await;
    let tally = found(&report, Fault::BalanceBroken, Wallet);
    assert_eq!(tally.first.detail, "balance_after 71.00, expected 70.00");
    assert_eq!(
        (tally.first.wallet_id, tally.first.sequence),
        (Some(cast.alice), Some(3))
    );
    // The event after it no longer follows from it either.
    assert_eq!(tally.count, 2);
    found_at(&report, Fault::HashWrong, Wallet, cast.alice, 3);
}

#[tokio::test]
async fn a_changed_balance_is_not_conserved_and_not_the_last_running_balance() {
    let (databases, cast) = Databases::ordinary().await;
    let sql = format!(
        "update wallets set balance = balance + 500 where id = '{}'",
        cast.alice
    );
    databases.tamper_ledger(&sql).await;
    let report = databases.verify().await;
    found_at(&report, Fault::LastBalanceDisagrees, Wallet, cast.alice, 5);
    let total = found(&report, Fault::BalancesNotZero, Wallet);
    assert_eq!(
        total.first.detail,
        "the balances of 3 wallets in USD sum to 5.00, not to zero"
    );
    only(
        &report,
        &[
            (Fault::LastBalanceDisagrees, Wallet),
            (Fault::BalancesNotZero, Wallet),
        ],
    );
}

#[tokio::test]
async fn money_from_nothing_is_found_though_every_hash_is_right() {
    let (mut scenario, cast) = ordinary();
    let conjured = EventBody::WalletFunded(Movement {
        counterparty_wallet_id: cast.settlement,
        leg_count: 2,
        details: shared::event::Details::default(),
    });
    let now = scenario.wallets[&cast.alice].occurred_at;
    let transaction = shared::TransactionId::generate();
    scenario.append(
        cast.alice,
        Some(1_000_000),
        Some(transaction),
        conjured,
        now,
        |_| (),
    );
    let report = Databases::of(&scenario).await.verify().await;
    let total = found(&report, Fault::BalancesNotZero, Wallet);
    assert!(
        total.first.detail.contains("USD sum to 10000.00"),
        "{report}"
    );
    found_at(&report, Fault::LegUnlisted, Wallet, cast.alice, 6);
    only(
        &report,
        &[
            (Fault::BalancesNotZero, Wallet),
            (Fault::LegUnlisted, Wallet),
        ],
    );
}

#[tokio::test]
async fn a_wallet_below_its_floor_is_named_though_every_hash_is_right() {
    let mut scenario = Scenario::default();
    let alice = scenario.create("alice", "USD");
    scenario.fund(alice, 1_000);
    scenario.withdraw(alice, 1_500);
    let report = Databases::of(&scenario).await.verify().await;
    let tally = found(&report, Fault::BelowFloor, Wallet);
    assert_eq!(
        (tally.first.wallet_id, tally.first.sequence),
        (Some(alice), Some(3))
    );
    only(&report, &[(Fault::BelowFloor, Wallet)]);
}

#[tokio::test]
async fn a_debit_below_the_floor_is_found_after_the_money_came_back() {
    let mut scenario = Scenario::default();
    let alice = scenario.create("alice", "USD");
    scenario.withdraw(alice, 500);
    scenario.fund(alice, 1_000);
    let report = Databases::of(&scenario).await.verify().await;
    found_at(&report, Fault::BelowFloor, Wallet, alice, 2);
    only(&report, &[(Fault::BelowFloor, Wallet)]);
}

#[tokio::test]
async fn held_money_counts_towards_the_floor() {
    let (databases, cast) = Databases::ordinary().await;
    let sql = format!(
        "update wallets set held = balance + 1 where id = '{}'",
        cast.bob
    );
    databases.tamper_ledger(&sql).await;
    let report = databases.verify().await;
    found_at(&report, Fault::BelowFloor, Wallet, cast.bob, 4);
    only(
        &report,
        &[(Fault::BelowFloor, Wallet), (Fault::HeldDisagrees, Wallet)],
    );
}

#[tokio::test]
async fn a_users_wallet_without_a_floor_is_named() {
    let (databases, cast) = Databases::ordinary().await;
    let sql = format!("update wallets set floor = null where id = '{}'", cast.bob);
    databases.tamper_ledger(&sql).await;
    found_at(
        &databases.verify().await,
        Fault::FloorMisplaced,
        Wallet,
        cast.bob,
        4,
    );
}

#[tokio::test]
async fn a_kind_with_the_wrong_sign_is_named_though_every_hash_is_right() {
    let mut scenario = Scenario::default();
    let (alice, bob) = (
        scenario.create("alice", "USD"),
        scenario.create("bob", "USD"),
    );
    scenario.fund(alice, 1_000);
    scenario.fund(bob, 1_000);
    // Money goes from bob to alice under the name of a transfer from alice to bob.
    scenario.transfer(alice, bob, -300);
    let databases = Databases::empty().await;
    scenario.transactions.pop();
    databases.write_ledger(&scenario).await;
    databases.write_history(&scenario).await;
    let report = databases.verify().await;
    assert_eq!(found(&report, Fault::DirectionWrong, Wallet).count, 2);
}
