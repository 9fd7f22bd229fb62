//! The ledger's events and hashes: each promise is broken in the database, by exactly the rows that break it, and has to be named.

use shared::event::EventBody;
use walletctl::verify::{Fault, fault::Database::Wallet};

use super::{
    databases::{Databases, found, found_at, only, write_ledger_event},
    scenario::{Scenario, ordinary},
};

#[tokio::test]
async fn a_lost_event_is_a_gap_and_a_missing_leg() {
    let (databases, cast) = Databases::ordinary().await;
    let sql = format!(
        "delete from wallet_events where wallet_id = '{}' and sequence = 2",
        cast.bob
    );
    databases.tamper_ledger(&sql).await;
    let report = databases.verify().await;
    found_at(&report, Fault::Gap, Wallet, cast.bob, 3);
    found_at(&report, Fault::LegMissing, Wallet, cast.bob, 2);
    assert_eq!(
        found(&report, Fault::LegMissing, Wallet)
            .first
            .transaction_id,
        Some(cast.transfer)
    );
}

#[tokio::test]
async fn a_lost_last_event_leaves_the_version_ahead() {
    let (databases, cast) = Databases::ordinary().await;
    let sql = format!(
        "delete from wallet_events where wallet_id = '{}' and sequence = 5",
        cast.alice
    );
    databases.tamper_ledger(&sql).await;
    let report = databases.verify().await;
    found_at(&report, Fault::VersionDisagrees, Wallet, cast.alice, 5);
    found_at(&report, Fault::LegMissing, Wallet, cast.alice, 5);
}

#[tokio::test]
async fn a_version_that_no_event_has_is_named() {
    let (databases, cast) = Databases::ordinary().await;
    let sql = format!("update wallets set version = 4 where id = '{}'", cast.alice);
    databases.tamper_ledger(&sql).await;
    let report = databases.verify().await;
    let tally = found(&report, Fault::VersionDisagrees, Wallet);
    assert_eq!(tally.first.wallet_id, Some(cast.alice));
    assert_eq!(
        tally.first.detail,
        "the wallet is at 4, its last event is 5"
    );
}

#[tokio::test]
async fn events_without_their_wallet_are_named() {
    let (databases, cast) = Databases::ordinary().await;
    databases
        .tamper_ledger(&format!("delete from wallets where id = '{}'", cast.yuki))
        .await;
    let report = databases.verify().await;
    let tally = found(&report, Fault::StateMissing, Wallet);
    assert_eq!((tally.count, tally.first.wallet_id), (2, Some(cast.yuki)));
}

#[tokio::test]
async fn an_event_cannot_stand_twice() {
    let (databases, cast) = Databases::ordinary().await;
    let columns = "sequence, event_id, schema_version, kind, transaction_id, amount, balance_after, occurred_at, \
                   actor, subject, correlation_id, data, hash";
    let doubled = format!(
        "insert into wallet_events (wallet_id, {columns}) \
         select wallet_id, {columns} from wallet_events where wallet_id = '{}' and sequence = 2",
        cast.bob
    );
    let error = sqlx::query(sqlx::AssertSqlSafe(doubled))
        .execute(databases.wallet.pool())
        .await
        .unwrap_err();
    assert_eq!(
        error.as_database_error().unwrap().constraint(),
        Some("wallet_events_pkey")
    );
}

#[tokio::test]
async fn swapped_hashes_are_wrong_at_both_places() {
    let (databases, cast) = Databases::ordinary().await;
    let swap = format!(
        "update wallet_events e set hash = o.hash from wallet_events o \
         where e.wallet_id = '{alice}' and o.wallet_id = '{alice}' \
           and (e.sequence, o.sequence) in ((2, 3), (3, 2))",
        alice = cast.alice
    );
    assert_eq!(databases.tamper_ledger(&swap).await, 2);
    let report = databases.verify().await;
    let tally = found(&report, Fault::HashWrong, Wallet);
    assert_eq!(
        (tally.first.wallet_id, tally.first.sequence),
        (Some(cast.alice), Some(2))
    );
    // 2 and 3 themselves, and 4, which follows the wrong one.
    assert_eq!(tally.count, 3);
}

#[tokio::test]
async fn every_hashed_column_is_covered() {
    let (scenario, cast) = ordinary();
    let databases = Databases::of(&scenario).await;
    let event = scenario
        .events
        .iter()
        .find(|event| event.wallet_id == cast.bob && event.sequence.get() == 3)
        .unwrap();
    let at = format!("where wallet_id = '{}' and sequence = 3", cast.bob);
    for change in [
        "event_id = gen_random_uuid()",
        "schema_version = 2",
        "kind = 'transfer.sent'",
        "occurred_at = occurred_at + interval '1 microsecond'",
        "actor = 'mallory'",
        "subject = 'mallory'",
        "correlation_id = null",
        "data = replace(data, 'Röstkaffee', 'Rostkaffee')",
        "data = replace(data, ',', ', ')",
        "hash = decode(repeat('00', 32), 'hex')",
    ] {
        databases
            .tamper_ledger(&format!("update wallet_events set {change} {at}"))
            .await;
        let report = databases.verify().await;
        let named = report
            .findings
            .of(walletctl::verify::Promise::TamperEvidence)
            .any(|(_, _, tally)| {
                tally.first.wallet_id == Some(cast.bob) && tally.first.sequence == Some(3)
            });
        assert!(named, "{change}\n{report}");
        databases
            .tamper_ledger(&format!("delete from wallet_events {at}"))
            .await;
        write_ledger_event(databases.wallet.pool(), event).await;
    }
    assert!(databases.verify().await.is_clean());
}

#[tokio::test]
async fn another_owner_breaks_every_hash_of_a_wallet() {
    let (databases, cast) = Databases::ordinary().await;
    let sql = format!(
        "update wallets set user_id = 'mallory' where id = '{}'",
        cast.alice
    );
    databases.tamper_ledger(&sql).await;
    let tally = found(&databases.verify().await, Fault::HashWrong, Wallet);
    assert_eq!((tally.count, tally.first.sequence), (5, Some(1)));
}

#[tokio::test]
async fn columns_that_are_no_event_are_named_and_not_guessed() {
    let (databases, cast) = Databases::ordinary().await;
    let sql = format!(
        "update wallet_events set kind = 'wallet.painted' where wallet_id = '{}' and sequence = 2",
        cast.yuki
    );
    databases.tamper_ledger(&sql).await;
    let report = databases.verify().await;
    found_at(&report, Fault::EventUnreadable, Wallet, cast.yuki, 2);
    assert!(report.to_string().contains("wallet.painted"), "{report}");
}

#[tokio::test]
async fn a_stale_head_is_named() {
    let (databases, cast) = Databases::ordinary().await;
    let sql = format!(
        "update wallets set head_hash = (select hash from wallet_events where wallet_id = '{alice}' and sequence = 4) \
         where id = '{alice}'",
        alice = cast.alice
    );
    databases.tamper_ledger(&sql).await;
    let report = databases.verify().await;
    found_at(&report, Fault::HeadStale, Wallet, cast.alice, 5);
    only(&report, &[(Fault::HeadStale, Wallet)]);
}

#[tokio::test]
async fn a_wallet_that_changed_at_another_time_than_its_last_event_is_named() {
    let (databases, cast) = Databases::ordinary().await;
    let sql = format!(
        "update wallets set updated_at = updated_at + interval '1 microsecond' where id = '{}'",
        cast.alice
    );
    databases.tamper_ledger(&sql).await;
    let report = databases.verify().await;
    found_at(&report, Fault::HeadStale, Wallet, cast.alice, 5);
    only(&report, &[(Fault::HeadStale, Wallet)]);
}

#[tokio::test]
async fn time_that_goes_back_along_a_wallet_is_found_though_every_hash_is_right() {
    let mut scenario = Scenario::default();
    let alice = scenario.create("alice", "USD");
    let early = "2026-01-01T00:00:00Z".parse().unwrap();
    scenario.append(alice, None, None, EventBody::created(), early, |_| ());
    let report = Databases::of(&scenario).await.verify().await;
    found_at(&report, Fault::TimeWentBack, Wallet, alice, 2);
}
