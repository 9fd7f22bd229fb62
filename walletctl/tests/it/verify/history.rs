//! History against itself and against the ledger: lost, extra, different, late, set aside.

use std::time::Duration;

use shared::{Sequence, event::WalletEvent};
use sqlx::Executor;
use walletctl::verify::{
    Fault, HistoryState,
    fault::Database::{History, Wallet},
};

use super::{
    databases::{
        Databases, found, found_at, only, write_history_event, write_ledger_event,
        write_transaction, write_wallet,
    },
    scenario::ordinary,
};

#[tokio::test]
async fn a_lost_row_is_missing_and_leaves_a_gap() {
    let (databases, cast) = Databases::ordinary().await;
    let sql = format!(
        "delete from events where wallet_id = '{}' and sequence = 3",
        cast.alice
    );
    databases.tamper_history(&sql).await;
    let report = databases.verify().await;
    found_at(&report, Fault::MissingInHistory, History, cast.alice, 3);
    found_at(&report, Fault::Gap, History, cast.alice, 4);
    only(
        &report,
        &[(Fault::MissingInHistory, History), (Fault::Gap, History)],
    );
}

#[tokio::test]
async fn a_hole_is_no_delay_even_when_nobody_waits() {
    let (databases, cast) = Databases::ordinary().await;
    let sql = format!(
        "delete from events where wallet_id = '{}' and sequence = 3",
        cast.alice
    );
    databases.tamper_history(&sql).await;
    let report = databases.verify_waiting(Duration::ZERO).await;
    found_at(&report, Fault::MissingInHistory, History, cast.alice, 3);
}

#[tokio::test]
async fn what_is_not_yet_applied_is_in_flight_until_the_wait_has_run_out() {
    let (scenario, cast) = ordinary();
    let databases = Databases::empty().await;
    databases.write_ledger(&scenario).await;
    let mut short = scenario.clone();
    let last = short.events.pop().unwrap();
    assert_eq!(last.wallet_id, cast.yuki);
    let state = short.wallets.get_mut(&cast.yuki).unwrap();
    (state.version, state.balance, state.hash) = (1, 0, last.prev_hash);
    state.occurred_at = short
        .events
        .iter()
        .rfind(|event| event.wallet_id == cast.yuki)
        .unwrap()
        .occurred_at;
    databases.write_history(&short).await;

    let report = databases.verify_waiting(Duration::ZERO).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(
        (report.counts.in_flight, report.history),
        (1, HistoryState::NotAwaited)
    );
    assert!(
        report.to_string().contains("1 event is in flight"),
        "{report}"
    );

    let report = databases.verify().await;
    assert_eq!(report.history, HistoryState::Behind);
    found_at(&report, Fault::MissingInHistory, History, cast.yuki, 2);
    only(&report, &[(Fault::MissingInHistory, History)]);

    let late = async {
        databases.verify_waits_for_history().await;
        write_history_event(databases.history.pool(), &last)
            .await
            .unwrap();
    };
    let (report, ()) = tokio::join!(databases.verify_waiting(Duration::from_secs(20)), late);
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.history, HistoryState::CaughtUp);
}

#[tokio::test]
async fn a_wallet_that_history_never_heard_of_is_missing_whole() {
    let (databases, cast) = Databases::ordinary().await;
    let sql = format!("delete from events where wallet_id = '{}'", cast.yuki);
    databases.tamper_history(&sql).await;
    let sql = format!("delete from wallets where wallet_id = '{}'", cast.yuki);
    databases.tamper_history(&sql).await;
    let report = databases.verify().await;
    let tally = found(&report, Fault::MissingInHistory, History);
    assert_eq!(
        (tally.count, tally.first.wallet_id, tally.first.sequence),
        (2, Some(cast.yuki), Some(1))
    );
}

#[tokio::test]
async fn what_comes_while_history_is_read_is_looked_up_and_not_taken_for_extra() {
    let (scenario, cast) = ordinary();
    let databases = Databases::empty().await;
    databases.write_ledger(&scenario).await;
    let mut late = scenario.clone();
    late.events.retain(|event| event.wallet_id != cast.yuki);
    databases.write_history(&late).await;

    // While yuki's wallet is waited for, alice's moves on, on both sides.
    let meanwhile = async {
        databases.verify_waits_for_history().await;
        let mut more = scenario.clone();
        more.transfer(cast.alice, cast.bob, 100);
        for event in &more.events[scenario.events.len()..] {
            write_ledger_event(databases.wallet.pool(), event).await;
            write_history_event(databases.history.pool(), event)
                .await
                .unwrap();
        }
        write_transaction(databases.wallet.pool(), more.transactions.last().unwrap()).await;
        for id in [cast.alice, cast.bob] {
            write_wallet(databases.wallet.pool(), id, &more.wallets[&id]).await;
        }
        for event in scenario
            .events
            .iter()
            .filter(|event| event.wallet_id == cast.yuki)
        {
            write_history_event(databases.history.pool(), event)
                .await
                .unwrap();
        }
    };
    let (report, ()) = tokio::join!(databases.verify_waiting(Duration::from_secs(20)), meanwhile);
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.history, HistoryState::CaughtUp);
}

/// An event that follows rightly from the last one, and never happened.
fn forged(events: &[WalletEvent], like: &WalletEvent) -> WalletEvent {
    let last = events
        .iter()
        .rfind(|event| event.wallet_id == like.wallet_id)
        .unwrap();
    let amount = like.amount.unwrap();
    WalletEvent {
        sequence: last.sequence.next(),
        balance_after: last.balance_after.after(amount).unwrap(),
        occurred_at: last.occurred_at,
        prev_hash: last.hash,
        ..like.clone()
    }
    .sealed()
}

#[tokio::test]
async fn an_extra_row_is_found_though_it_continues_the_chain() {
    let (scenario, cast) = ordinary();
    let databases = Databases::of(&scenario).await;
    let like = scenario
        .events
        .iter()
        .find(|event| event.wallet_id == cast.bob && event.sequence.get() == 2)
        .unwrap();
    let extra = forged(&scenario.events, like);
    write_history_event(databases.history.pool(), &extra)
        .await
        .unwrap();
    let report = databases.verify().await;
    found_at(&report, Fault::ExtraInHistory, History, cast.bob, 5);
    only(&report, &[(Fault::ExtraInHistory, History)]);
}

#[tokio::test]
async fn a_row_the_ledger_lost_is_extra() {
    let (databases, cast) = Databases::ordinary().await;
    let sql = format!(
        "delete from wallet_events where wallet_id = '{}' and sequence = 2",
        cast.bob
    );
    databases.tamper_ledger(&sql).await;
    found_at(
        &databases.verify().await,
        Fault::ExtraInHistory,
        History,
        cast.bob,
        2,
    );
}

#[tokio::test]
async fn a_row_cannot_stand_twice() {
    let (scenario, cast) = ordinary();
    let databases = Databases::of(&scenario).await;
    let event = scenario
        .events
        .iter()
        .find(|event| event.wallet_id == cast.bob)
        .unwrap();
    let error = write_history_event(databases.history.pool(), event)
        .await
        .unwrap_err();
    assert_eq!(
        error.as_database_error().unwrap().constraint(),
        Some("events_pkey")
    );
}

#[tokio::test]
async fn a_changed_amount_in_history_is_named() {
    let (databases, cast) = Databases::ordinary().await;
    let sql = format!(
        "update events set amount = amount + 1000 where wallet_id = '{}' and sequence = 2",
        cast.bob
    );
    databases.tamper_history(&sql).await;
    let report = databases.verify().await;
    found_at(&report, Fault::BalanceBroken, History, cast.bob, 2);
    found_at(&report, Fault::HashWrong, History, cast.bob, 2);
    only(
        &report,
        &[(Fault::BalanceBroken, History), (Fault::HashWrong, History)],
    );
}

#[tokio::test]
async fn a_history_that_was_rewritten_and_sealed_again_is_different() {
    let (scenario, cast) = ordinary();
    let databases = Databases::of(&scenario).await;
    let mut prev_hash = shared::Hash::ZERO;
    let rewritten = scenario
        .events
        .iter()
        .filter(|event| event.wallet_id == cast.bob);
    for event in rewritten {
        let mut event = WalletEvent {
            prev_hash,
            ..event.clone()
        };
        if event.sequence == Sequence::try_from(3).unwrap() {
            event.actor = "somebody else".to_owned();
        }
        let event = event.sealed();
        prev_hash = event.hash;
        let sql = format!(
            "update events set actor = '{}', hash = decode('{}', 'hex') where wallet_id = '{}' and sequence = {}",
            event.actor, event.hash, event.wallet_id, event.sequence
        );
        databases.tamper_history(&sql).await;
    }
    let report = databases.verify().await;
    let tally = found(&report, Fault::DifferentInHistory, History);
    assert_eq!(
        (tally.count, tally.first.wallet_id, tally.first.sequence),
        (2, Some(cast.bob), Some(3))
    );
    only(&report, &[(Fault::DifferentInHistory, History)]);
}

#[tokio::test]
async fn columns_that_history_repeats_are_compared_with_the_event() {
    let (databases, cast) = Databases::ordinary().await;
    let sql = format!(
        "update events set counterparty_wallet_id = '{}' where wallet_id = '{}' and sequence = 2",
        cast.yuki, cast.bob
    );
    databases.tamper_history(&sql).await;
    let report = databases.verify().await;
    found_at(&report, Fault::CopyDisagrees, History, cast.bob, 2);
    only(&report, &[(Fault::CopyDisagrees, History)]);

    let (databases, cast) = Databases::ordinary().await;
    let sql = format!(
        "update wallets set user_id = 'mallory' where wallet_id = '{}'",
        cast.bob
    );
    databases.tamper_history(&sql).await;
    let report = databases.verify().await;
    assert_eq!(found(&report, Fault::CopyDisagrees, History).count, 4);
    only(&report, &[(Fault::CopyDisagrees, History)]);
}

fn park(event: &WalletEvent) -> String {
    format!(
        "insert into parked_events (wallet_id, sequence, hash, topic, partition, \"offset\", value, headers) \
         values ('{}', {}, decode('{}', 'hex'), 'wallet-events', 0, 7, '', '[]')",
        event.wallet_id, event.sequence, event.hash
    )
}

#[tokio::test]
async fn a_parked_event_that_nobody_will_take_up_is_named() {
    let (scenario, cast) = ordinary();
    // Its number is taken.
    let databases = Databases::of(&scenario).await;
    let stored = scenario
        .events
        .iter()
        .rfind(|event| event.wallet_id == cast.bob)
        .unwrap();
    databases.tamper_history(&park(stored)).await;
    let report = databases.verify().await;
    found_at(&report, Fault::Parked, History, cast.bob, 4);
    only(&report, &[(Fault::Parked, History)]);

    // The ledger does not have it.
    let databases = Databases::of(&scenario).await;
    let like = scenario
        .events
        .iter()
        .rfind(|event| event.amount.is_some() && event.wallet_id == cast.bob)
        .unwrap();
    databases
        .tamper_history(&park(&forged(&scenario.events, like)))
        .await;
    let report = databases.verify().await;
    found_at(&report, Fault::Parked, History, cast.bob, 5);
    assert!(
        report.to_string().contains("the ledger has no such event"),
        "{report}"
    );
}

#[tokio::test]
async fn a_quarantined_message_is_named_with_its_place_and_reason() {
    let (databases, cast) = Databases::ordinary().await;
    let sql = format!(
        "insert into quarantine \
         (topic, partition, \"offset\", headers, reason, detail, wallet_id, sequence, content_hash) \
         values ('wallet-events', 3, 41, '[]', 'chain_broken', 'it does not follow', '{}', 9, decode(repeat('00', 32), 'hex'))",
        cast.bob
    );
    databases.tamper_history(&sql).await;
    let report = databases.verify().await;
    found_at(&report, Fault::Quarantined, History, cast.bob, 9);
    assert!(
        report.to_string().contains(
            "the message at wallet-events/3/41 was refused: chain_broken (it does not follow)"
        ),
        "{report}"
    );
    only(&report, &[(Fault::Quarantined, History)]);

    databases
        .tamper_history(
            "insert into quarantine_resolutions (quarantine_id, resolution, reason, actor) \
             select id, 'discarded', 'a test message', 'alice' from quarantine",
        )
        .await;
    let report = databases.verify().await;
    assert!(
        report.is_clean(),
        "what was settled counts no more: {report}"
    );
}

#[tokio::test]
async fn an_event_that_waits_for_another_build_is_named() {
    let (databases, cast) = Databases::ordinary().await;
    let sql = format!(
        "insert into waiting_events \
         (topic, partition, \"offset\", value, headers, schema_version, kind, wallet_id, sequence, content_hash) \
         values ('wallet-events', 3, 41, '{{}}', '[]', 1, 'wallet.painted', '{}', 9, sha256('x'))",
        cast.bob
    );
    databases.tamper_history(&sql).await;
    let report = databases.verify().await;
    found_at(&report, Fault::Waiting, History, cast.bob, 9);
    assert!(
        report
            .to_string()
            .contains("waits for a build that knows it: wallet.painted of schema version 1"),
        "{report}"
    );
    only(&report, &[(Fault::Waiting, History)]);
}

#[tokio::test]
async fn what_was_set_aside_and_what_is_sent_again_is_told_and_is_no_fault() {
    let (databases, _) = Databases::ordinary().await;
    let report = databases.verify().await;
    assert!(!report.to_string().contains("set aside"), "{report}");
    databases
        .tamper_history(
            "insert into set_aside_events \
             select e.*, now(), 'a test', 'alice' from events e where sequence = 2",
        )
        .await;
    databases
        .tamper_ledger(
            "insert into republications (id, target, actor, events_per_second, faulty_wallets, finished_at) \
             values (gen_random_uuid(), 'all', 'alice', 1, 0, null), (gen_random_uuid(), 'all', 'alice', 1, 2, now())",
        )
        .await;
    let report = databases.verify().await;
    assert!(report.is_clean(), "{report}");
    let said = report.to_string();
    for note in [
        "events of history were set aside for the ledger's",
        "1 republication is under way",
        "1 republication's events could not all be sent",
    ] {
        assert!(said.contains(note), "{said}");
    }
    assert!(report.counts.set_aside_events > 1, "{said}");
}

#[tokio::test]
async fn several_faults_at_once_are_all_named() {
    let (databases, cast) = Databases::ordinary().await;
    databases
        .tamper_ledger(&format!(
            "update wallets set balance = balance + 1 where id = '{}'",
            cast.alice
        ))
        .await;
    databases
        .tamper_history(&format!(
            "delete from events where wallet_id = '{}' and sequence = 2",
            cast.bob
        ))
        .await;
    let report = databases.verify().await;
    only(
        &report,
        &[
            (Fault::BalancesNotZero, Wallet),
            (Fault::LastBalanceDisagrees, Wallet),
            (Fault::MissingInHistory, History),
            (Fault::Gap, History),
        ],
    );
}

#[tokio::test]
async fn a_database_that_is_not_there_is_an_error_and_not_a_clean_report() {
    let (databases, _) = Databases::ordinary().await;
    databases
        .history
        .pool()
        .execute("drop table events cascade")
        .await
        .unwrap();
    let error = walletctl::verify::run(&databases.settings(Duration::ZERO))
        .await
        .unwrap_err();
    assert!(format!("{error:#}").contains("events"), "{error:#}");
}
