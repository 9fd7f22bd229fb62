//! Freezes: which way no money moves, until when, and what lifts them.

use FreezeDirection::{All, Credit, Debit};
use shared::testing::callers;

use super::*;
use crate::ledger::model::{
    answer::Role,
    freeze::{Freeze, FreezeTold},
    wallet::Status,
};

/// Wallets 1 and 2 with money; 1 frozen that way.
fn frozen(direction: FreezeDirection, until: Option<i64>) -> Ledger {
    let mut ledger = ledger([wallet(1, 1_000), wallet(2, 1_000)]);
    done(&mut ledger, &at(5, freeze(1, direction, until)));
    ledger
}

fn is_frozen(role: Role, freeze: FreezeTold) -> Refusal {
    Refusal::WalletNotActive {
        role,
        status: Status::Frozen,
        freeze: Some(freeze.into()),
    }
}

fn told(direction: FreezeDirection, until: Option<i64>) -> FreezeTold {
    FreezeTold {
        direction,
        reason: Some("stolen".to_owned()),
        until: until.map(moment),
    }
}

#[test]
fn a_freeze_says_how_it_is_by_whom_and_since_when() {
    let mut ledger = ledger([wallet(1, 1_000)]);
    let decision = done(&mut ledger, &freeze(1, Debit, Some(60)));
    assert_eq!(kinds(&decision), ["wallet.frozen"]);
    let wallet = &decision.receipt.wallet;
    let expected = Freeze {
        direction: Debit,
        reason: "stolen".to_owned(),
        actor: "anonymous".to_owned(),
        since: moment(10),
        until: Some(moment(60)),
    };
    assert_eq!(wallet.status, Status::Frozen);
    assert_eq!(wallet.freeze.as_deref(), Some(&expected));
    assert_eq!((wallet.version.get(), wallet.balance.minor()), (2, 1_000));
    assert_eq!(decision.receipt.transaction, None);
    let [event] = &decision.events[..] else {
        panic!("{:?}", decision.events)
    };
    assert_eq!((event.amount, event.transaction_id), (None, None));
}

#[test]
fn a_freeze_keeps_money_from_moving_that_way_and_no_other() {
    let (role, to) = (Role::Wallet, Role::Destination);
    for (direction, debit, credit) in [
        (Debit, true, false),
        (Credit, false, true),
        (All, true, true),
    ] {
        let ledger = frozen(direction, None);
        for (command, is_kept, role) in [
            (withdraw(1, "1"), debit, role),
            (transfer(1, 2, "1"), debit, role),
            (fund(1, "1"), credit, role),
            (transfer(2, 1, "1"), credit, to),
            (withdraw(2, "1"), false, role),
        ] {
            let decided = decide(&command, &ledger, RULES);
            let expected = is_kept.then(|| is_frozen(role, told(direction, None)).into());
            assert_eq!(decided.err(), expected, "{direction} {command:?}");
        }
    }
}

#[test]
fn why_and_until_when_is_told_only_to_those_who_reach_the_wallet() {
    let ledger = frozen(All, Some(60));
    let asked = Command {
        caller: callers::user("u2").into(),
        ..transfer(2, 1, "1")
    };
    let no_more = FreezeTold {
        direction: All,
        reason: None,
        until: None,
    };
    assert_eq!(
        refused(&asked, &ledger),
        is_frozen(Role::Destination, no_more)
    );
    let both = is_frozen(Role::Destination, told(All, Some(60)));
    assert_eq!(refused(&transfer(2, 1, "1"), &ledger), both);
}

#[test]
fn a_wallet_that_was_frozen_by_hand_moves_no_money_and_is_unfrozen_like_any_other() {
    let by_hand = Wallet {
        status: Status::Frozen,
        ..wallet(1, 1_000)
    };
    let mut ledger = ledger([by_hand]);
    for command in [fund(1, "1"), withdraw(1, "1")] {
        let expected = Refusal::WalletNotActive {
            role: Role::Wallet,
            status: Status::Frozen,
            freeze: None,
        };
        assert_eq!(refused(&command, &ledger), expected);
    }
    assert_eq!(refused(&expire(1), &ledger), Refusal::NotFrozen);
    done(&mut ledger, &unfreeze(1));
    done(&mut ledger, &withdraw(1, "1"));
}

#[test]
fn freezing_a_frozen_wallet_replaces_the_freeze() {
    let mut ledger = frozen(Debit, Some(60));
    let decision = done(&mut ledger, &at(20, freeze(1, Credit, None)));
    assert_eq!(kinds(&decision), ["wallet.frozen"]);
    let freeze = decision.receipt.wallet.freeze.as_deref().unwrap();
    let stands = (freeze.direction, freeze.since, freeze.until);
    assert_eq!(stands, (Credit, moment(20), None));
    done(&mut ledger, &at(20, withdraw(1, "1")));
    // The end of the one before means nothing any more.
    assert_eq!(refused(&at(61, expire(1)), &ledger), Refusal::NotFrozen);
}

#[test]
fn unfreezing_lets_money_move_again_and_needs_a_freeze() {
    let mut ledger = frozen(All, None);
    let decision = done(&mut ledger, &unfreeze(1));
    assert_eq!(kinds(&decision), ["wallet.unfrozen"]);
    let wallet = &decision.receipt.wallet;
    assert_eq!((wallet.status, &wallet.freeze), (Status::Active, &None));
    let by_request = EventBody::WalletUnfrozen(Unfrozen {
        cause: UnfreezeCause::Request,
        reason: Some("found".to_owned()),
    });
    assert_eq!(decision.events[0].body, by_request);
    assert_eq!(refused(&unfreeze(1), &ledger), Refusal::NotFrozen);
    done(&mut ledger, &withdraw(1, "1"));
}

/// By the clock of the command, not by what was written down.
#[test]
fn a_freeze_that_has_ended_is_lifted_by_what_comes_next_and_refuses_nothing() {
    for (command, expected) in [
        (
            withdraw(1, "1"),
            vec!["wallet.unfrozen", "wallet.withdrawn"],
        ),
        (fund(1, "1"), vec!["wallet.unfrozen", "wallet.funded"]),
        (
            transfer(1, 2, "1"),
            vec!["wallet.unfrozen", "transfer.sent"],
        ),
        (
            transfer(2, 1, "1"),
            vec!["wallet.unfrozen", "transfer.received"],
        ),
        (
            freeze(1, Credit, None),
            vec!["wallet.unfrozen", "wallet.frozen"],
        ),
        (expire(1), vec!["wallet.unfrozen"]),
    ] {
        for (second, has_ended) in [(59, false), (60, true), (61, true)] {
            let command = at(second, command.clone());
            let decided = decide(&command, &frozen(All, Some(60)), RULES);
            let is_freeze = matches!(command.intent, Intent::Freeze { .. });
            assert_eq!(decided.is_ok(), has_ended || is_freeze, "{command:?}");
            let Ok(decision) = decided.map_err(drop) else {
                continue;
            };
            let events = decision.events.iter();
            let on_it: Vec<_> = events
                .filter(|event| event.wallet_id == wallet_id(1))
                .collect();
            let kinds: Vec<_> = on_it
                .iter()
                .map(|event| event.body.kind().as_str())
                .collect();
            let expected = if has_ended {
                &expected[..]
            } else {
                &expected[1..]
            };
            assert_eq!(kinds, expected);
            if has_ended {
                // By the service, whoever asked.
                assert_eq!((&on_it[0].actor[..], &on_it[0].subject), ("@system", &None));
                assert_eq!(on_it[0].occurred_at, moment(second));
            }
        }
    }
}

#[test]
fn there_is_nothing_to_lift_of_a_freeze_that_has_ended() {
    let ledger = frozen(All, Some(60));
    assert_eq!(refused(&at(60, unfreeze(1)), &ledger), Refusal::NotFrozen);
    assert!(decide(&at(59, unfreeze(1)), &ledger, RULES).is_ok());
}

#[test]
fn an_end_that_has_come_counts_from_the_moment_of_the_event_when_the_clock_steps_back() {
    let mut ledger = frozen(Debit, Some(60));
    done(&mut ledger, &at(59, fund(1, "1")));
    let later = ledger.wallets.get_mut(&wallet_id(1)).unwrap();
    later.updated_at = moment(70);
    // The event would be said to have occurred at 70, and the freeze ended at 60.
    let decision = done(&mut ledger, &at(30, withdraw(1, "1")));
    assert!(
        decision
            .events
            .iter()
            .all(|event| event.occurred_at == moment(70))
    );
}

#[test]
fn a_freeze_ends_after_it_begins() {
    let mut ledger = ledger([wallet(1, 0)]);
    for until in [0, 9, 10] {
        let now = moment(10);
        let refusal = refused(&freeze(1, All, Some(until)), &ledger);
        assert_eq!(refusal, Refusal::FreezeEndPassed { now });
    }
    done(&mut ledger, &freeze(1, All, Some(11)));
}

#[test]
fn the_version_that_the_caller_saw_is_the_one_before_the_freeze_is_lifted() {
    let ledger = frozen(All, Some(60));
    let asked = |version: i64| Command {
        if_match: Some(Sequence::try_from(version).unwrap()),
        ..at(60, withdraw(1, "1"))
    };
    assert!(decide(&asked(2), &ledger, RULES).is_ok());
    let current = Sequence::try_from(2).unwrap();
    let mismatch = Refusal::VersionMismatch { current };
    assert_eq!(refused(&asked(3), &ledger), mismatch);
}

#[test]
fn what_changes_the_status_of_a_wallet_needs_one_that_can_be_changed() {
    let settlement = Wallet {
        floor: None,
        ..wallet(7, -500)
    };
    let closed = Wallet {
        status: Status::Closed,
        ..wallet(8, 0)
    };
    let ledger = ledger([wallet(1, 0), settlement, closed]);
    let role = Role::Wallet;
    for order in [
        |number| freeze(number, All, None),
        unfreeze,
        |number| close(number, None),
        |number| close(number, Some(1)),
        expire,
    ] {
        let missing = Refusal::WalletNotFound {
            wallet_id: wallet_id(9),
            role,
        };
        assert_eq!(refused(&order(9), &ledger), missing);
        let of_the_system = Refusal::SettlementWallet { role };
        assert_eq!(refused(&order(7), &ledger), of_the_system);
        let is_closed = Refusal::WalletNotActive {
            role,
            status: Status::Closed,
            freeze: None,
        };
        assert_eq!(refused(&order(8), &ledger), is_closed);
        let stale = Command {
            if_match: Some(Sequence::ZERO),
            ..order(8)
        };
        let current = Sequence::FIRST;
        assert_eq!(
            refused(&stale, &ledger),
            Refusal::VersionMismatch { current }
        );
    }
}
