//! What was moved is taken back, whole or in parts: by who has it, never more than came, and from nobody who has spent it.

use shared::{
    access::{CallerKind, Reach},
    limits::Period,
};

use super::{
    limits::{put, window},
    *,
};
use crate::ledger::model::{answer::TransactionKind, limits::AskedLimits, wallet::Status};

fn amount(minor: i64) -> Amount {
    Amount::try_new(minor).unwrap()
}

/// 100.00 went from 1 to 2.
fn paid() -> (Ledger, Transaction) {
    let mut ledger = ledger([wallet(1, 10_000), wallet(2, 0), wallet(3, 0)]);
    let decision = done(&mut ledger, &transfer(1, 2, "100.00"));
    (ledger, transaction(&decision).clone())
}

fn balances(ledger: &Ledger) -> [i64; 2] {
    [1, 2].map(|number| ledger.wallet(wallet_id(number)).unwrap().balance.minor())
}

#[test]
fn parts_are_taken_back_until_nothing_is_left() {
    let (mut ledger, paid) = paid();
    for (asked, part, so_far, left) in [
        (Some("30.00"), 1, 3_000, 7_000),
        (Some("0.01"), 2, 3_001, 6_999),
        (None, 3, 10_000, 0),
    ] {
        let decision = done(&mut ledger, &reverse(&paid, asked));
        let reversal = transaction(&decision);
        assert_eq!(reversal.kind, TransactionKind::Reversal);
        let reverses = reversal.reverses.as_deref().unwrap();
        assert_eq!(reverses.transaction_id, paid.id);
        assert_eq!(
            (
                reverses.so_far.parts,
                reverses.so_far.amount.minor(),
                reverses.left().minor()
            ),
            (part, so_far, left)
        );
        // Who gives it back is answered with.
        assert_eq!(decision.receipt.wallet.id, wallet_id(2));
        assert_eq!(kinds(&decision), ["transaction.reversed"; 2]);
        assert_eq!(balances(&ledger), [so_far, left]);
    }
    let refusal = Refusal::AlreadyReversed {
        transaction_id: paid.id,
        currency: usd(),
        amount: amount(10_000),
    };
    assert_eq!(refused(&reverse(&paid, None), &ledger), refusal);
    assert_eq!(refused(&reverse(&paid, Some("0.01")), &ledger), refusal);
}

#[test]
fn no_more_is_taken_back_than_is_left() {
    let (mut ledger, paid) = paid();
    let too_large = |reversible| Refusal::ReversalTooLarge {
        currency: usd(),
        required: amount(10_001),
        reversible: Balance::new(reversible),
    };
    let all_and_more = reverse(&paid, Some("100.01"));
    assert_eq!(refused(&all_and_more, &ledger), too_large(10_000));
    done(&mut ledger, &reverse(&paid, Some("60.00")));
    assert_eq!(refused(&all_and_more, &ledger), too_large(4_000));
    let more_than_is_left = Refusal::ReversalTooLarge {
        currency: usd(),
        required: amount(4_001),
        reversible: Balance::new(4_000),
    };
    let command = reverse(&paid, Some("40.01"));
    assert_eq!(refused(&command, &ledger), more_than_is_left);
}

#[test]
fn what_came_from_outside_or_left_goes_the_way_it_came() {
    let mut ledger = ledger([wallet(1, 0)]);
    let funded = done(&mut ledger, &fund(1, "10.00"));
    let withdrawal = Command {
        seed: Uuid::now_v7(),
        ..withdraw(1, "4.00")
    };
    let withdrawn = done(&mut ledger, &withdrawal);
    let decision = done(&mut ledger, &reverse(transaction(&withdrawn), None));
    assert_eq!(decision.receipt.wallet.id, wallet_id(1));
    assert_eq!(decision.receipt.wallet.balance.minor(), 1_000);
    let decision = done(&mut ledger, &reverse(transaction(&funded), None));
    assert_eq!(decision.receipt.wallet.balance.minor(), 0);
    let settlement = ledger.wallet(SHARD.settlement_wallet(usd())).unwrap();
    assert_eq!(settlement.balance, Balance::ZERO);
}

#[test]
fn a_capture_is_taken_back_to_the_wallet_and_not_to_the_hold() {
    let mut ledger = ledger([wallet(1, 10_000), wallet(2, 0)]);
    let placed = done(&mut ledger, &place(1, "50.00", Some(2)));
    let hold = held(&placed);
    let captured = done(&mut ledger, &capture(&hold, Some("20.00"), false, None));
    let captured = transaction(&captured).clone();
    assert_eq!(captured.hold_id, Some(hold.id));
    done(&mut ledger, &reverse(&captured, None));
    let one = ledger.wallet(wallet_id(1)).unwrap();
    assert_eq!((one.balance.minor(), one.held.minor()), (10_000, 3_000));
}

#[test]
fn a_reversal_is_not_taken_back_and_what_is_not_there_neither() {
    let (mut ledger, paid) = paid();
    let back = done(&mut ledger, &reverse(&paid, None));
    let again = reverse(transaction(&back), None);
    assert_eq!(refused(&again, &ledger), Refusal::ReversalOfReversal);
    let mut unknown = reverse(&paid, None);
    unknown.intent.reversal_mut().unwrap().original = None;
    let transaction_id = paid.id;
    let refusal = refused(&unknown, &ledger);
    assert_eq!(refusal, Refusal::TransactionNotFound { transaction_id });
}

#[test]
fn what_was_spent_is_not_taken_back_and_what_can_be_is_said() {
    let (mut ledger, paid) = paid();
    done(&mut ledger, &transfer(2, 3, "75.00"));
    let refusal = Refusal::NotRecoverable {
        wallet_id: wallet_id(2),
        currency: usd(),
        required: amount(10_000),
        recoverable: Balance::new(2_500),
    };
    assert_eq!(refused(&reverse(&paid, None), &ledger), refusal);
    done(&mut ledger, &reverse(&paid, Some("25.00")));
    assert_eq!(balances(&ledger), [2_500, 0]);
}

#[test]
fn an_operator_may_have_a_wallet_overdrawn_which_then_takes_money_and_gives_none() {
    let (mut ledger, paid) = paid();
    done(&mut ledger, &transfer(2, 3, "75.00"));
    let decision = done(&mut ledger, &whatever_is_left(reverse(&paid, None)));
    assert_eq!(balances(&ledger), [10_000, -7_500]);
    let overdrawn = |ledger: &Ledger| ledger.wallet(wallet_id(2)).unwrap().overdrawn.minor();
    assert_eq!(overdrawn(&ledger), 7_500);
    let below: Vec<bool> = decision
        .events
        .iter()
        .map(|event| {
            let EventBody::TransactionReversed(reversed) = &event.body else {
                panic!("{event:?}")
            };
            reversed.below_floor
        })
        .collect();
    assert_eq!(below, [true, false]);
    let refusal = refused(&withdraw(2, "0.01"), &ledger);
    assert!(
        matches!(refusal, Refusal::InsufficientFunds { .. }),
        "{refusal:?}"
    );
    done(&mut ledger, &fund(2, "70.00"));
    assert_eq!(overdrawn(&ledger), 500);
    done(&mut ledger, &fund(2, "10.00"));
    assert_eq!(overdrawn(&ledger), 0);
    done(&mut ledger, &withdraw(2, "5.00"));
    assert_eq!(balances(&ledger), [10_000, 0]);
}

#[test]
fn an_overdrawn_wallet_is_limited_like_any_other_and_owes_no_more_by_it() {
    let (mut ledger, paid) = paid();
    done(&mut ledger, &transfer(2, 3, "75.00"));
    done(&mut ledger, &whatever_is_left(reverse(&paid, None)));
    let with_floor = |floor: &str| AskedLimits {
        floor: floor.parse().ok(),
        windows: vec![window(Period::Day, "5.00")],
        ..AskedLimits::default()
    };
    let raised = refused(&put(2, with_floor("0.01")), &ledger);
    assert!(matches!(raised, Refusal::LimitsUnfit(_)), "{raised:?}");
    for (floor, overdrawn) in [("0", 7_500), ("-50.00", 2_500)] {
        let wallet = done(&mut ledger, &put(2, with_floor(floor))).receipt.wallet;
        assert_eq!(wallet.overdrawn.minor(), overdrawn);
        assert_eq!(wallet.shortfall(), wallet.overdrawn);
    }
    let raised = refused(&put(2, with_floor("0")), &ledger);
    assert!(matches!(raised, Refusal::LimitsUnfit(_)), "{raised:?}");
}

#[test]
fn an_operator_who_need_not_leaves_nothing_overdrawn() {
    let (mut ledger, paid) = paid();
    let decision = done(&mut ledger, &whatever_is_left(reverse(&paid, None)));
    assert_eq!(decision.receipt.wallet.overdrawn, Balance::ZERO);
    assert_eq!(balances(&ledger), [10_000, 0]);
}

#[test]
fn a_freeze_or_the_end_of_a_wallet_stops_it_whoever_asks() {
    let (mut ledger, paid) = paid();
    done(&mut ledger, &freeze(2, FreezeDirection::Debit, None));
    for command in [reverse(&paid, None), whatever_is_left(reverse(&paid, None))] {
        let refusal = refused(&command, &ledger);
        let Refusal::WalletNotActive { status, .. } = refusal else {
            panic!("{refusal:?}")
        };
        assert_eq!(status, Status::Frozen);
    }
    done(&mut ledger, &unfreeze(2));
    done(&mut ledger, &close(1, None));
    let refusal = refused(&reverse(&paid, None), &ledger);
    let Refusal::WalletNotActive { status, .. } = refusal else {
        panic!("{refusal:?}")
    };
    assert_eq!(status, Status::Closed);
}

#[test]
fn a_transaction_of_many_legs_is_taken_back_whole() {
    let mut ledger = ledger([wallet(1, 0), wallet(2, 0)]);
    let legs = vec![outside("USD", "-100.00"), leg(1, "98.00"), leg(2, "2.00")];
    let posted = done(&mut ledger, &post(legs));
    let posted = transaction(&posted).clone();
    let refusal = Refusal::ReversedWholeOnly {
        currency: usd(),
        amount: amount(10_000),
    };
    assert_eq!(refused(&reverse(&posted, Some("50.00")), &ledger), refusal);
    let decision = done(&mut ledger, &reverse(&posted, Some("100.00")));
    assert_eq!(balances(&ledger), [0, 0]);
    assert_eq!(transaction(&decision).legs.len(), 3);
    let refusal = refused(&reverse(&posted, None), &ledger);
    assert!(
        matches!(refusal, Refusal::AlreadyReversed { .. }),
        "{refusal:?}"
    );
}

fn by(kind: CallerKind, user: u8, command: Command) -> Command {
    let caller = Caller {
        actor: format!("u{user}"),
        owner: format!("u{user}"),
        kind,
        reach: Reach::of_user(format!("u{user}").parse().unwrap()),
    };
    Command {
        caller: Arc::new(caller),
        ..command
    }
}

#[test]
fn who_has_the_money_gives_it_back_and_who_sent_it_does_not_take_it() {
    let (ledger, paid) = paid();
    let user = CallerKind::User;
    let refusal = refused(&by(user, 1, reverse(&paid, None)), &ledger);
    assert_eq!(refusal, Refusal::NotTheCallersToGiveBack);
    let refusal = refused(&by(user, 3, reverse(&paid, None)), &ledger);
    let transaction_id = paid.id;
    assert_eq!(refusal, Refusal::TransactionNotFound { transaction_id });
    assert!(decide(&by(user, 2, reverse(&paid, None)), &ledger, RULES).is_ok());
    let mut ledger = ledger;
    let funded = done(&mut ledger, &fund(1, "5.00"));
    let back = reverse(transaction(&funded), None);
    let refusal = refused(&by(user, 1, back.clone()), &ledger);
    assert_eq!(refusal, Refusal::ServiceTokenRequired);
    assert!(decide(&by(CallerKind::Service, 1, back), &ledger, RULES).is_ok());
}

#[test]
fn the_version_that_is_expected_is_that_of_the_wallet_that_gives_it_back() {
    let (ledger, paid) = paid();
    let at = |version: i64| Command {
        if_match: Some(Sequence::try_from(version).unwrap()),
        ..reverse(&paid, None)
    };
    let current = Sequence::try_from(2).unwrap();
    assert_eq!(
        refused(&at(1), &ledger),
        Refusal::VersionMismatch { current }
    );
    assert!(decide(&at(2), &ledger, RULES).is_ok());
}

#[test]
fn who_has_only_a_part_of_it_does_not_give_all_of_it_back() {
    let mut ledger = ledger([wallet(1, 10_000), wallet(2, 0), wallet(3, 0)]);
    let legs = vec![leg(1, "-100.00"), leg(2, "60.00"), leg(3, "40.00")];
    let posted = done(&mut ledger, &post(legs));
    let back = reverse(transaction(&posted), None);
    for user in [1, 2, 3] {
        let refusal = refused(&by(CallerKind::Service, user, back.clone()), &ledger);
        assert_eq!(refusal, Refusal::NotTheCallersToGiveBack);
    }
    let both = Caller {
        reach: Reach::of_users([2, 3].map(|user| format!("u{user}").parse().unwrap())),
        ..Caller::clone(&by(CallerKind::Service, 2, back.clone()).caller)
    };
    let caller = both.into();
    assert!(decide(&Command { caller, ..back }, &ledger, RULES).is_ok());
}

#[test]
fn what_is_taken_back_counts_towards_no_limit_and_none_stops_it() {
    let (mut ledger, paid) = paid();
    done(&mut ledger, &fund(2, "5.00"));
    let spendable = AskedLimits {
        windows: vec![window(Period::Day, "5.00")],
        ..AskedLimits::default()
    };
    done(&mut ledger, &put(2, spendable));
    let nothing_more = AskedLimits {
        ceiling: "1.00".parse().ok(),
        ..AskedLimits::default()
    };
    done(&mut ledger, &put(1, nothing_more));
    done(&mut ledger, &reverse(&paid, None));
    assert_eq!(balances(&ledger), [10_000, 500]);
    done(&mut ledger, &withdraw(2, "5.00"));
}
