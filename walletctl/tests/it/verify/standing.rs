//! Frozen and closed wallets: money that passed a freeze, what came after an end, and rows that say something else.

use shared::{
    WalletId,
    event::{Closed, EventBody, FreezeDirection, Frozen, UnfreezeCause, Unfrozen, WalletEvent},
};
use walletctl::verify::{
    Fault,
    fault::Database::{History, Wallet},
};

use super::{
    databases::{Databases, found, found_at, only},
    scenario::{Scenario, ordinary},
};

fn happens(scenario: &mut Scenario, wallet: WalletId, body: EventBody) {
    let occurred_at = scenario.now();
    scenario.append(
        wallet,
        None,
        None,
        body,
        occurred_at,
        |_: &mut WalletEvent| (),
    );
}

fn freeze(direction: FreezeDirection, until: Option<&str>) -> EventBody {
    EventBody::WalletFrozen(Frozen {
        direction,
        reason: "stolen".to_owned(),
        until: until.map(|until| until.parse().unwrap()),
    })
}

fn unfreeze(cause: UnfreezeCause) -> EventBody {
    let reason = None;
    EventBody::WalletUnfrozen(Unfrozen { cause, reason })
}

fn close() -> EventBody {
    EventBody::WalletClosed(Closed {
        reason: "left".to_owned(),
        drained_to: None,
    })
}

/// Has the row of a wallet say what its last freeze does.
async fn row_is_frozen(databases: &Databases, wallet: WalletId) {
    let sql = format!(
        "update wallets w set status = 'frozen', freeze_direction = e.data::json ->> 'direction', \
             freeze_reason = e.data::json ->> 'reason', freeze_actor = e.actor, frozen_at = e.occurred_at, \
             frozen_until = (e.data::json ->> 'until')::timestamptz \
         from wallet_events e where e.wallet_id = w.id and w.id = '{wallet}' and e.sequence = \
             (select max(sequence) from wallet_events where wallet_id = w.id and kind = 'wallet.frozen')"
    );
    databases.tamper_ledger(&sql).await;
}

async fn row_is_closed(databases: &Databases, wallet: WalletId) {
    let sql = format!("update wallets set status = 'closed' where id = '{wallet}'");
    databases.tamper_ledger(&sql).await;
}

#[tokio::test]
async fn freezes_and_ends_as_they_should_be_are_clean() {
    let (mut scenario, cast) = ordinary();
    happens(
        &mut scenario,
        cast.alice,
        freeze(FreezeDirection::Debit, None),
    );
    scenario.fund(cast.alice, 100);
    let end = "2026-11-21T08:00:30Z";
    happens(
        &mut scenario,
        cast.alice,
        freeze(FreezeDirection::Credit, Some(end)),
    );
    scenario.withdraw(cast.alice, 100);
    happens(&mut scenario, cast.bob, freeze(FreezeDirection::All, None));
    happens(&mut scenario, cast.bob, unfreeze(UnfreezeCause::Request));
    scenario.withdraw(cast.bob, 100);
    happens(&mut scenario, cast.yuki, freeze(FreezeDirection::All, None));
    let empty = scenario.create("zoe", "USD");
    happens(&mut scenario, empty, freeze(FreezeDirection::All, None));
    happens(&mut scenario, empty, close());
    let databases = Databases::of(&scenario).await;
    row_is_frozen(&databases, cast.alice).await;
    row_is_frozen(&databases, cast.yuki).await;
    row_is_closed(&databases, empty).await;
    let report = databases.verify().await;
    assert!(report.is_clean(), "{report}");
}

#[tokio::test]
async fn money_that_passed_a_freeze_is_named_in_both_databases() {
    for direction in [FreezeDirection::Debit, FreezeDirection::All] {
        let (mut scenario, cast) = ordinary();
        happens(&mut scenario, cast.alice, freeze(direction, None));
        scenario.withdraw(cast.alice, 100);
        let databases = Databases::of(&scenario).await;
        row_is_frozen(&databases, cast.alice).await;
        let report = databases.verify().await;
        only(
            &report,
            &[
                (Fault::MovedWhileFrozen, Wallet),
                (Fault::MovedWhileFrozen, History),
            ],
        );
        found_at(&report, Fault::MovedWhileFrozen, Wallet, cast.alice, 7);
        found_at(&report, Fault::MovedWhileFrozen, History, cast.alice, 7);
    }
}

#[tokio::test]
async fn what_comes_after_the_end_of_a_freeze_without_a_word_is_named() {
    let (mut scenario, cast) = ordinary();
    let end = "2026-11-21T08:00:01Z";
    happens(
        &mut scenario,
        cast.alice,
        freeze(FreezeDirection::Debit, Some(end)),
    );
    scenario.fund(cast.alice, 100);
    happens(&mut scenario, cast.alice, unfreeze(UnfreezeCause::Expiry));
    let databases = Databases::of(&scenario).await;
    let report = databases.verify().await;
    found_at(&report, Fault::FreezeOutlived, Wallet, cast.alice, 7);
    found_at(&report, Fault::FreezeOutlived, History, cast.alice, 7);
}

#[tokio::test]
async fn what_comes_after_a_wallet_was_closed_is_named() {
    let (mut scenario, cast) = ordinary();
    happens(&mut scenario, cast.alice, close());
    scenario.fund(cast.alice, 100);
    let databases = Databases::of(&scenario).await;
    row_is_closed(&databases, cast.alice).await;
    let report = databases.verify().await;
    found_at(&report, Fault::ChangedAfterClose, Wallet, cast.alice, 7);
    found_at(&report, Fault::ChangedAfterClose, History, cast.alice, 7);
}

#[tokio::test]
async fn a_row_that_stands_otherwise_than_its_events_say_is_named() {
    let (mut scenario, cast) = ordinary();
    let end = Some("2026-12-21T08:00:01Z");
    happens(
        &mut scenario,
        cast.alice,
        freeze(FreezeDirection::Debit, end),
    );
    let databases = Databases::of(&scenario).await;
    row_is_frozen(&databases, cast.alice).await;
    assert!(databases.verify().await.is_clean());
    let none = "freeze_direction = null, freeze_reason = null, freeze_actor = null, frozen_at = null, frozen_until = null";
    for change in [
        "freeze_direction = 'credit'",
        "freeze_reason = 'other'",
        "freeze_actor = 'mallory'",
        "frozen_at = frozen_at + interval '1 s'",
        "frozen_until = null",
        &format!("status = 'active', {none}"),
        &format!("status = 'closed', {none}"),
        none,
    ] {
        let sql = format!("update wallets set {change} where id = '{}'", cast.alice);
        databases.tamper_ledger(&sql).await;
        let report = databases.verify().await;
        only(&report, &[(Fault::StatusDisagrees, Wallet)]);
        found_at(&report, Fault::StatusDisagrees, Wallet, cast.alice, 6);
        row_is_frozen(&databases, cast.alice).await;
    }
    let by_hand = format!(
        "update wallets set status = 'frozen' where id = '{}'",
        cast.bob
    );
    databases.tamper_ledger(&by_hand).await;
    let report = databases.verify().await;
    let detail = found(&report, Fault::StatusDisagrees, Wallet).first.detail;
    assert_eq!(detail, "the wallet is frozen by hand, expected active");
}
