//! Holds: what each command does to the hold and to its wallet, and what stands in its way.

use chrono::TimeDelta;
use shared::testing::callers;

use super::*;
use crate::ledger::model::{
    answer::{Role, TransactionKind},
    hold::{HoldEnd, HoldStatus},
    wallet::Status,
};

/// What is left to spend, what is held, and what is there of a wallet.
fn figures(wallet: &Wallet) -> [i64; 3] {
    [wallet.available(), wallet.held, wallet.balance].map(Balance::minor)
}

/// What is authorised, captured, released and left of a hold.
fn parts(hold: &Hold) -> [i64; 4] {
    let amount = hold.amount.minor();
    let [captured, released, left] =
        [hold.captured, hold.released, hold.remaining()].map(Balance::minor);
    [amount, captured, released, left]
}

/// A ledger in which wallet 1 has 100.00 and a hold of that much, and the hold.
fn with_hold(amount: &str) -> (Ledger, Hold) {
    let mut ledger = ledger([wallet(1, 10_000), wallet(2, 0)]);
    let decision = done(&mut ledger, &place(1, amount, None));
    (ledger, held(&decision))
}

#[test]
fn money_that_is_set_aside_is_there_and_cannot_be_spent() {
    let mut ledger = ledger([wallet(1, 10_000), wallet(2, 0)]);
    let decision = done(&mut ledger, &place(1, "63.20", Some(2)));
    assert_eq!(kinds(&decision), ["hold.placed"]);
    let [event] = &decision.events[..] else {
        panic!("one event")
    };
    assert_eq!((event.amount, event.transaction_id), (None, None));
    assert_eq!(event.held_after.minor(), 6_320);
    let hold = held(&decision);
    assert_eq!(hold.status, HoldStatus::Open);
    assert_eq!(hold.to_wallet_id, Some(wallet_id(2)));
    assert_eq!(hold.expires_at, moment(10 + 7 * 24 * 3600));
    assert_eq!(parts(&hold), [6_320, 0, 0, 6_320]);
    assert_eq!(figures(&decision.receipt.wallet), [3_680, 6_320, 10_000]);
    assert!(decision.receipt.transaction.is_none());
    for too_much in [
        withdraw(1, "36.81"),
        transfer(1, 2, "36.81"),
        place(1, "36.81", None),
    ] {
        let refusal = refused(&too_much, &ledger);
        let expected = Refusal::InsufficientFunds {
            currency: usd(),
            required: Amount::try_new(3_681).unwrap(),
            available: Balance::new(3_680),
            floor: Balance::ZERO,
        };
        assert_eq!(refusal, expected);
    }
    let decision = done(&mut ledger, &withdraw(1, "36.80"));
    assert_eq!(decision.events[0].held_after.minor(), 6_320);
    assert_eq!(figures(&decision.receipt.wallet), [0, 6_320, 6_320]);
    for close in [close(1, None), close(1, Some(2))] {
        let refusal = refused(&close, &ledger);
        let expected = Refusal::WalletNotEmpty {
            currency: usd(),
            balance: Balance::new(6_320),
            held: Balance::new(6_320),
        };
        assert_eq!(refusal, expected);
    }
}

#[test]
fn what_is_captured_leaves_and_the_rest_of_a_final_capture_is_free() {
    let (mut ledger, hold) = with_hold("100.00");
    let decision = done(&mut ledger, &capture(&hold, Some("63.20"), true, None));
    assert_eq!(
        kinds(&decision),
        ["hold.captured", "wallet.created", "transfer.received"]
    );
    let event = &decision.events[0];
    assert_eq!(event.amount.unwrap().minor(), -6_320);
    assert_eq!(event.held_after, Balance::ZERO);
    let EventBody::HoldCaptured(said) = &event.body else {
        panic!("{event:?}")
    };
    assert_eq!((said.released.minor(), said.remaining.minor()), (3_680, 0));
    let hold = held(&decision);
    assert_eq!(hold.status, HoldStatus::Captured);
    assert_eq!(parts(&hold), [10_000, 6_320, 3_680, 0]);
    assert_eq!(figures(&decision.receipt.wallet), [3_680, 0, 3_680]);
    let transaction = decision.receipt.transaction.unwrap();
    assert_eq!(transaction.kind, TransactionKind::Capture);
    assert_eq!(transaction.amount.minor(), 6_320);
    assert_eq!(transaction.legs.len(), 2);
}

#[test]
fn captures_in_parts_go_where_the_hold_says_and_never_above_it() {
    let mut ledger = ledger([wallet(1, 10_000), wallet(2, 0), wallet(3, 0)]);
    let decision = done(&mut ledger, &place(1, "50.00", Some(2)));
    let hold = held(&decision);
    let elsewhere = capture(&hold, None, true, Some(3));
    let expected = Refusal::HoldDestination {
        to_wallet_id: wallet_id(2),
    };
    assert_eq!(refused(&elsewhere, &ledger), expected);
    for (amount, left, status) in [
        ("20.00", 3_000, HoldStatus::Open),
        ("30.00", 0, HoldStatus::Captured),
    ] {
        let above = format!("{}.01", if left == 0 { "30" } else { "50" });
        let refusal = refused(&capture(&hold, Some(&above), false, None), &ledger);
        assert!(
            matches!(refusal, Refusal::InsufficientHold { .. }),
            "{refusal:?}"
        );
        let decision = done(&mut ledger, &capture(&hold, Some(amount), false, Some(2)));
        let hold = held(&decision);
        assert_eq!((hold.status, hold.remaining().minor()), (status, left));
    }
    let to = ledger.wallet(wallet_id(2)).unwrap();
    assert_eq!(figures(to), [5_000, 0, 5_000]);
    let again = refused(&capture(&hold, None, true, None), &ledger);
    let expected = Refusal::HoldClosed {
        hold_id: hold.id,
        status: HoldStatus::Captured,
    };
    assert_eq!(again, expected);
}

#[test]
fn a_capture_may_say_where_money_goes_when_the_hold_does_not() {
    let (mut ledger, hold) = with_hold("100.00");
    done(&mut ledger, &capture(&hold, None, true, Some(2)));
    assert_eq!(ledger.wallet(wallet_id(2)).unwrap().balance.minor(), 10_000);
    let (ledger, hold) = with_hold("100.00");
    let to_itself = capture(&hold, None, true, Some(1));
    assert_eq!(refused(&to_itself, &ledger), Refusal::SameWallet);
    let to_itself = place(1, "1.00", Some(1));
    assert_eq!(refused(&to_itself, &ledger), Refusal::SameWallet);
}

#[test]
fn what_is_released_in_parts_can_be_spent_again() {
    let (mut ledger, hold) = with_hold("100.00");
    let decision = done(&mut ledger, &release(&hold, Some("40.00")));
    assert_eq!(kinds(&decision), ["hold.released"]);
    assert_eq!(held(&decision).status, HoldStatus::Open);
    assert_eq!(figures(&decision.receipt.wallet), [4_000, 6_000, 10_000]);
    let refusal = refused(&release(&hold, Some("60.01")), &ledger);
    let expected = Refusal::InsufficientHold {
        currency: usd(),
        required: Balance::new(6_001),
        remaining: Balance::new(6_000),
    };
    assert_eq!(refusal, expected);
    let decision = done(&mut ledger, &release(&hold, None));
    let hold = held(&decision);
    assert_eq!(hold.status, HoldStatus::Released);
    assert_eq!(parts(&hold), [10_000, 0, 10_000, 0]);
    assert_eq!(figures(&decision.receipt.wallet), [10_000, 0, 10_000]);
    done(&mut ledger, &close(1, Some(2)));
}

#[test]
fn more_is_set_aside_only_while_it_is_available_and_allowed() {
    let (mut ledger, hold) = with_hold("60.00");
    let decision = done(&mut ledger, &increase(&hold, "30.00"));
    assert_eq!(kinds(&decision), ["hold.increased"]);
    assert_eq!(parts(&held(&decision)), [9_000, 0, 0, 9_000]);
    assert_eq!(figures(&decision.receipt.wallet), [1_000, 9_000, 10_000]);
    let refusal = refused(&increase(&hold, "10.01"), &ledger);
    assert!(
        matches!(refusal, Refusal::InsufficientFunds { available, .. } if available.minor() == 1_000),
        "{refusal:?}"
    );
    let tight = Rules {
        amount_max: Amount::try_new(9_500).unwrap(),
        ..RULES
    };
    let refusal = decide(&increase(&hold, "5.01"), &ledger, tight).unwrap_err();
    assert!(
        matches!(
            refusal,
            NotDone::Refused(Refusal::AmountAboveMaximum { .. })
        ),
        "{refusal:?}"
    );
    assert!(decide(&increase(&hold, "5.00"), &ledger, tight).is_ok());
}

#[test]
fn a_hold_is_extended_to_a_later_end_and_to_no_other() {
    let (mut ledger, hold) = with_hold("60.00");
    let end = hold.expires_at;
    let at = |moment| HoldEnd::At { expires_at: moment };
    let later: Timestamp = (end.utc() + TimeDelta::seconds(1)).into();
    for end in [at(end), at(moment(0)), HoldEnd::In { expires_in: 1 }] {
        let refusal = refused(&extend(&hold, end), &ledger);
        let expected = Refusal::HoldEndNotLater {
            expires_at: hold.expires_at,
            is_in_seconds: matches!(end, HoldEnd::In { .. }),
        };
        assert_eq!(refusal, expected);
    }
    let decision = done(&mut ledger, &extend(&hold, at(later)));
    assert_eq!(kinds(&decision), ["hold.extended"]);
    let hold = held(&decision);
    assert_eq!(hold.expires_at, later);
    let told: Timestamp = (later.utc() - TimeDelta::seconds(3600)).into();
    assert_eq!(hold.due_at, Some(told));
}

#[test]
fn the_end_is_told_once_then_comes_and_only_the_first_who_asks_does_it() {
    let mut ledger = ledger([wallet(1, 10_000), wallet(2, 0)]);
    let command = until(place(1, "60.00", None), 10_000);
    let hold = held(&done(&mut ledger, &command));
    let done_part = done(&mut ledger, &capture(&hold, Some("20.00"), false, Some(2)));
    assert_eq!(held(&done_part).due_at, Some(moment(6_400)));
    let due = |second| at(second, due(&hold));
    assert_eq!(refused(&due(6_399), &ledger), Refusal::HoldNotDue);
    let decision = done(&mut ledger, &due(6_400));
    assert_eq!(kinds(&decision), ["hold.expiring"]);
    assert_eq!(decision.events[0].actor, "@system");
    assert_eq!(decision.events[0].held_after.minor(), 4_000);
    assert_eq!(refused(&due(9_999), &ledger), Refusal::HoldNotDue);
    let decision = done(&mut ledger, &due(10_000));
    assert_eq!(kinds(&decision), ["hold.expired"]);
    let ended = held(&decision);
    assert_eq!((ended.status, ended.due_at), (HoldStatus::Expired, None));
    assert_eq!(parts(&ended), [6_000, 2_000, 4_000, 0]);
    assert_eq!(figures(&decision.receipt.wallet), [8_000, 0, 8_000]);
    assert_eq!(refused(&due(10_001), &ledger), Refusal::HoldNotDue);
}

#[test]
fn nothing_is_done_to_a_hold_at_its_end_whether_or_not_that_was_written_down() {
    let mut ledger = ledger([wallet(1, 10_000), wallet(2, 0)]);
    let command = until(place(1, "60.00", None), 100);
    let hold = held(&done(&mut ledger, &command));
    let late = HoldEnd::In { expires_in: 1_000 };
    let commands = || {
        [
            capture(&hold, None, true, Some(2)),
            release(&hold, None),
            increase(&hold, "1.00"),
            extend(&hold, late),
        ]
    };
    let expected = Refusal::HoldExpired {
        hold_id: hold.id,
        expires_at: moment(100),
    };
    for command in commands() {
        assert!(decide(&at(99, command.clone()), &ledger, RULES).is_ok());
        assert_eq!(refused(&at(100, command), &ledger), expected);
    }
    done(&mut ledger, &at(100, due(&hold)));
    for command in commands() {
        assert_eq!(refused(&at(101, command), &ledger), expected);
    }
    let past = until(place(1, "1.00", None), 10);
    let now = moment(100);
    assert_eq!(
        refused(&at(100, past), &ledger),
        Refusal::HoldEndPassed { now }
    );
}

#[test]
fn a_freeze_of_what_leaves_stops_what_sets_aside_and_captures_and_nothing_else() {
    for (direction, stops) in [
        (FreezeDirection::Debit, true),
        (FreezeDirection::All, true),
        (FreezeDirection::Credit, false),
    ] {
        let (mut ledger, hold) = with_hold("60.00");
        done(&mut ledger, &freeze(1, direction, None));
        for command in [
            place(1, "1.00", None),
            increase(&hold, "1.00"),
            capture(&hold, None, true, Some(2)),
        ] {
            if stops {
                let refusal = refused(&command, &ledger);
                assert!(
                    matches!(
                        refusal,
                        Refusal::WalletNotActive {
                            role: Role::Wallet,
                            status: Status::Frozen,
                            ..
                        }
                    ),
                    "{refusal:?}"
                );
            } else {
                assert!(decide(&command, &ledger, RULES).is_ok());
            }
        }
        let late = HoldEnd::In {
            expires_in: 30 * 24 * 3600,
        };
        done(&mut ledger, &extend(&hold, late));
        done(&mut ledger, &release(&hold, None));
    }
    let (mut ledger, hold) = with_hold("60.00");
    done(&mut ledger, &freeze(2, FreezeDirection::Credit, None));
    let refusal = refused(&capture(&hold, None, true, Some(2)), &ledger);
    assert!(
        matches!(
            refusal,
            Refusal::WalletNotActive {
                role: Role::Destination,
                ..
            }
        ),
        "{refusal:?}"
    );
}

/// Freezes that have ended are said to be over first, whatever a command does to a hold.
#[test]
fn a_freeze_that_has_ended_is_lifted_before_money_is_set_aside() {
    let (mut ledger, hold) = with_hold("60.00");
    done(&mut ledger, &freeze(1, FreezeDirection::All, Some(20)));
    let decision = done(&mut ledger, &at(30, capture(&hold, None, true, Some(2))));
    let expected = ["wallet.unfrozen", "hold.captured", "transfer.received"];
    assert_eq!(kinds(&decision), expected);
    let held_after: Vec<i64> = decision
        .events
        .iter()
        .map(|event| event.held_after.minor())
        .collect();
    assert_eq!(held_after, [6_000, 0, 0]);
}

fn as_user(name: &str, command: Command) -> Command {
    Command {
        caller: callers::user(name).into(),
        ..command
    }
}

#[test]
fn a_hold_beyond_reach_is_none_and_a_user_pays_no_hold_out_alone() {
    let (ledger, hold) = with_hold("60.00");
    let none = Refusal::HoldNotFound { hold_id: hold.id };
    let commands = || {
        [
            capture(&hold, None, true, Some(2)),
            release(&hold, None),
            increase(&hold, "1.00"),
            extend(
                &hold,
                HoldEnd::In {
                    expires_in: 9_999_999,
                },
            ),
        ]
    };
    for command in commands() {
        assert_eq!(refused(&as_user("u2", command.clone()), &ledger), none);
        assert!(decide(&as_user("u1", command), &ledger, RULES).is_ok());
    }
    let payout = as_user("u1", capture(&hold, None, true, None));
    assert_eq!(refused(&payout, &ledger), Refusal::ServiceTokenRequired);
    let unknown = Hold {
        id: HoldId::from_uuid(Uuid::max()),
        ..hold.clone()
    };
    let none = Refusal::HoldNotFound {
        hold_id: unknown.id,
    };
    assert_eq!(refused(&release(&unknown, None), &ledger), none);
}

#[test]
fn a_command_about_a_hold_asks_for_the_version_of_its_wallet() {
    let (ledger, hold) = with_hold("60.00");
    let current = ledger.wallet(hold.wallet_id).unwrap().version;
    let expecting = |version| Command {
        if_match: Some(version),
        ..release(&hold, None)
    };
    assert!(decide(&expecting(current), &ledger, RULES).is_ok());
    let stale = refused(&expecting(Sequence::FIRST), &ledger);
    assert_eq!(stale, Refusal::VersionMismatch { current });
}

#[test]
fn a_hold_is_for_a_wallet_that_is_open_and_captured_into_none_that_was_closed_since() {
    let is_closed = Refusal::WalletNotActive {
        role: Role::Destination,
        status: Status::Closed,
        freeze: None,
    };
    let mut ledger = ledger([wallet(1, 10_000), wallet(2, 0)]);
    let hold = held(&done(&mut ledger, &place(1, "60.00", Some(2))));
    done(&mut ledger, &close(2, None));
    assert_eq!(refused(&place(1, "1.00", Some(2)), &ledger), is_closed);
    assert_eq!(
        refused(&capture(&hold, None, true, None), &ledger),
        is_closed
    );
    // Nothing is lost by it: the money is there, and is given back.
    let decision = done(&mut ledger, &release(&hold, None));
    assert_eq!(figures(&decision.receipt.wallet), [10_000, 0, 10_000]);
}
