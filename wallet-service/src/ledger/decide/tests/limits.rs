//! Limits: what they let pass, what they object to, and what they count.

use shared::{
    access::{CallerKind, Reach},
    limits::{Movements, Period},
};

use super::*;
use crate::ledger::model::limits::{AskedCap, AskedLimits, AskedWindow, LimitTold, LimitsUnfit};

pub(super) fn put(number: u8, limits: AskedLimits) -> Command {
    command(Intent::SetLimits {
        wallet_id: wallet_id(number),
        limits,
    })
}

/// A sum of debits in the last so long.
pub(super) fn window(period: Period, maximum: &str) -> AskedWindow {
    AskedWindow {
        of: Movements::Debits,
        period,
        time_zone: None,
        maximum: maximum.parse().ok(),
        maximum_count: None,
    }
}

fn by_windows(windows: Vec<AskedWindow>) -> AskedLimits {
    AskedLimits {
        windows,
        ..AskedLimits::default()
    }
}

fn floor(floor: &str) -> AskedLimits {
    AskedLimits {
        floor: floor.parse().ok(),
        ..AskedLimits::default()
    }
}

fn ceiling(ceiling: &str) -> AskedLimits {
    AskedLimits {
        ceiling: ceiling.parse().ok(),
        ..AskedLimits::default()
    }
}

fn cap(of: Movements, maximum: &str) -> AskedLimits {
    AskedLimits {
        caps: vec![AskedCap {
            of,
            maximum: maximum.parse().unwrap(),
        }],
        ..AskedLimits::default()
    }
}

fn told(command: &Command, ledger: &Ledger) -> LimitTold {
    let refusal = refused(command, ledger);
    let Refusal::LimitExceeded { limit, .. } = refusal else {
        panic!("a limit should object: {refusal:?}");
    };
    *limit
}

/// Which limit objects, and what is left of it in minor units.
fn met(command: &Command, ledger: &Ledger) -> (&'static str, Option<i64>) {
    match told(command, ledger) {
        LimitTold::Ceiling { left, .. } => ("ceiling", Some(left.minor())),
        LimitTold::Cap { maximum, .. } => ("cap", Some(maximum.minor())),
        LimitTold::Window {
            left, left_count, ..
        } => {
            let left = left.map(Balance::minor);
            ("window", left.or(left_count.map(i64::from)))
        }
        LimitTold::Untold => ("untold", None),
    }
}

#[test]
fn an_overdraft_may_be_used_to_its_floor_and_not_further() {
    let mut ledger = ledger([wallet(1, 1_000)]);
    let changed = done(&mut ledger, &put(1, floor("-50.00")));
    assert_eq!(kinds(&changed), ["limits.changed"]);
    done(&mut ledger, &withdraw(1, "60.00"));
    let Refusal::InsufficientFunds {
        available,
        floor: lowest,
        ..
    } = refused(&withdraw(1, "0.01"), &ledger)
    else {
        panic!("the floor is reached");
    };
    assert_eq!((available.minor(), lowest.minor()), (-5_000, -5_000));
    // It cannot be taken back while it is used.
    let Refusal::LimitsUnfit(LimitsUnfit::FloorAboveAvailable {
        floor: asked,
        available,
        ..
    }) = refused(&put(1, floor("0")), &ledger)
    else {
        panic!("less is available than that");
    };
    assert_eq!((asked.minor(), available.minor()), (0, -5_000));
    done(&mut ledger, &fund(1, "50.00"));
    done(&mut ledger, &put(1, AskedLimits::default()));
    let wallet = ledger.wallet(wallet_id(1)).unwrap();
    assert_eq!((wallet.floor, &wallet.limits), (Some(Balance::ZERO), &None));
}

#[test]
fn what_would_leave_more_than_the_ceiling_does_not_come_in() {
    let mut ledger = ledger([wallet(1, 900), wallet(2, 5_000)]);
    done(&mut ledger, &put(1, ceiling("10.00")));
    assert_eq!(met(&fund(1, "1.01"), &ledger), ("ceiling", Some(100)));
    assert_eq!(
        met(&transfer(2, 1, "1.01"), &ledger),
        ("ceiling", Some(100))
    );
    done(&mut ledger, &transfer(2, 1, "1.00"));
    assert_eq!(met(&fund(1, "0.01"), &ledger), ("ceiling", Some(0)));
    // A ceiling below what is there is no reason to refuse it: nothing comes in until there is less.
    done(&mut ledger, &put(2, ceiling("0.50")));
    assert_eq!(met(&fund(2, "0.01"), &ledger), ("ceiling", Some(0)));
    done(&mut ledger, &withdraw(2, "1.00"));
    let both = AskedLimits {
        floor: "5".parse().ok(),
        ..ceiling("4.99")
    };
    let refusal = refused(&put(2, both), &ledger);
    assert!(matches!(
        refusal,
        Refusal::LimitsUnfit(LimitsUnfit::CeilingBelowFloor { .. })
    ));
}

#[test]
fn a_cap_is_on_one_movement_of_its_kind() {
    let mut ledger = ledger([wallet(1, 10_000), wallet(2, 10_000)]);
    done(&mut ledger, &put(1, cap(Movements::Sent, "20.00")));
    assert_eq!(met(&transfer(1, 2, "20.01"), &ledger), ("cap", Some(2_000)));
    done(&mut ledger, &transfer(1, 2, "20.00"));
    done(&mut ledger, &withdraw(1, "50.00"));
    done(&mut ledger, &put(1, cap(Movements::Debits, "1.00")));
    for debit in [
        transfer(1, 2, "1.01"),
        withdraw(1, "1.01"),
        place(1, "1.01", None),
    ] {
        assert_eq!(met(&debit, &ledger), ("cap", Some(100)));
    }
    done(&mut ledger, &fund(1, "50.00"));
    done(&mut ledger, &put(1, cap(Movements::Credits, "1.00")));
    assert_eq!(met(&fund(1, "1.01"), &ledger), ("cap", Some(100)));
    assert_eq!(met(&transfer(2, 1, "1.01"), &ledger), ("cap", Some(100)));
}

#[test]
fn a_window_counts_sums_and_movements_until_they_are_over() {
    let twice = AskedWindow {
        of: Movements::Withdrawn,
        maximum: None,
        maximum_count: Some(2),
        ..window(Period::Hour, "1")
    };
    let mut ledger = ledger([wallet(1, 100_000), wallet(2, 0)]);
    done(
        &mut ledger,
        &put(1, by_windows(vec![window(Period::Day, "100.00"), twice])),
    );
    done(&mut ledger, &at(20, withdraw(1, "40.00")));
    done(&mut ledger, &at(30, transfer(1, 2, "50.00")));
    assert_eq!(
        met(&at(40, transfer(1, 2, "10.01")), &ledger),
        ("window", Some(1_000))
    );
    done(&mut ledger, &at(40, withdraw(1, "1.00")));
    assert_eq!(
        met(&at(50, withdraw(1, "1.00")), &ledger),
        ("window", Some(0))
    );
    done(&mut ledger, &at(50, transfer(1, 2, "9.00")));
    assert_eq!(
        met(&at(60, transfer(1, 2, "0.01")), &ledger),
        ("window", Some(0))
    );
    // An hour and a part of it later it may be withdrawn again, but for the day.
    let later = 60 * 62 + 60;
    assert_eq!(
        met(&at(later, withdraw(1, "0.01")), &ledger),
        ("window", Some(0))
    );
    done(&mut ledger, &at(60 * 60 * 26, withdraw(1, "100.00")));
}

#[test]
fn what_is_told_of_a_window_is_when_the_movement_would_pass() {
    let mut ledger = ledger([wallet(1, 100_000)]);
    let day = AskedWindow {
        time_zone: "Asia/Tokyo".parse().ok(),
        ..window(Period::Day, "100.00")
    };
    done(&mut ledger, &put(1, by_windows(vec![day])));
    done(&mut ledger, &at(20, withdraw(1, "60.00")));
    let until = |amount: &str| {
        let told = told(&at(30, withdraw(1, amount)), &ledger);
        let LimitTold::Window { until, .. } = told else {
            panic!("{told:?}");
        };
        until.map(|until| until.to_string())
    };
    // It is 2027-01-15 08:00 there.
    assert_eq!(moment(0).to_string(), "2027-01-15T08:00:00.000000Z");
    assert_eq!(
        until("50.00").as_deref(),
        Some("2027-01-15T15:00:00.000000Z")
    );
    assert_eq!(until("100.01"), None);
}

#[test]
fn a_hold_counts_when_it_is_placed_and_gives_back_what_is_released() {
    let mut ledger = ledger([wallet(1, 100_000), wallet(2, 0)]);
    done(
        &mut ledger,
        &put(1, by_windows(vec![window(Period::Day, "100.00")])),
    );
    let hold = held(&done(
        &mut ledger,
        &at(20, until(place(1, "80.00", Some(2)), 9_000)),
    ));
    let increased = done(&mut ledger, &at(21, increase(&hold, "15.00")));
    assert_eq!(
        met(&at(22, withdraw(1, "5.01")), &ledger),
        ("window", Some(500))
    );
    assert_eq!(
        met(&at(22, increase(&hold, "5.01")), &ledger),
        ("window", Some(500))
    );
    // What is captured was counted; the rest is free again.
    let hold = held(&increased);
    done(
        &mut ledger,
        &at(23, capture(&hold, Some("60.00"), true, None)),
    );
    assert_eq!(
        met(&at(24, withdraw(1, "40.01")), &ledger),
        ("window", Some(4_000))
    );
    let hold = held(&done(
        &mut ledger,
        &at(25, until(place(1, "40.00", None), 9_000)),
    ));
    assert_eq!(
        met(&at(26, withdraw(1, "0.01")), &ledger),
        ("window", Some(0))
    );
    done(&mut ledger, &at(9_000, due(&hold)));
    assert_eq!(
        met(&at(9_001, withdraw(1, "40.01")), &ledger),
        ("window", Some(4_000))
    );
}

#[test]
fn what_a_hold_was_increased_by_later_is_given_back_too() {
    let mut ledger = ledger([wallet(1, 100_000)]);
    done(
        &mut ledger,
        &put(1, by_windows(vec![window(Period::Hour, "50.00")])),
    );
    let placed = at(20, until(place(1, "10.00", None), 9_000));
    let hold = held(&done(&mut ledger, &placed));
    done(&mut ledger, &at(40, increase(&hold, "1.00")));
    done(&mut ledger, &at(150, increase(&hold, "30.00")));
    assert_eq!(
        met(&at(160, withdraw(1, "9.01")), &ledger),
        ("window", Some(900))
    );
    done(&mut ledger, &at(170, release(&hold, None)));
    assert_eq!(
        met(&at(180, withdraw(1, "50.01")), &ledger),
        ("window", Some(5_000))
    );
    done(&mut ledger, &at(180, withdraw(1, "50.00")));
}

/// What may leave in a day as one kind.
fn daily(of: Movements, maximum: &str) -> AskedLimits {
    by_windows(vec![AskedWindow {
        of,
        ..window(Period::Day, maximum)
    }])
}

#[test]
fn what_is_set_aside_counts_as_what_it_is_to_become() {
    let mut ledger = ledger([wallet(1, 100_000), wallet(2, 0)]);
    done(&mut ledger, &put(1, daily(Movements::Withdrawn, "100.00")));
    let payout = held(&done(
        &mut ledger,
        &at(20, until(place(1, "60.00", None), 9_000)),
    ));
    let transfer_to_be = at(20, until(place(1, "500.00", Some(2)), 9_000));
    done(&mut ledger, &transfer_to_be);
    done(&mut ledger, &at(21, transfer(1, 2, "50.00")));
    for passes in [
        withdraw(1, "40.01"),
        place(1, "40.01", None),
        increase(&payout, "40.01"),
    ] {
        assert_eq!(
            met(&at(22, passes), &ledger),
            ("window", Some(4_000)),
            "nothing leaves by a hold that may not be withdrawn"
        );
    }
    let payout = held(&done(&mut ledger, &at(23, increase(&payout, "40.00"))));
    // It was counted: the capture is not refused.
    done(&mut ledger, &at(24, capture(&payout, None, true, None)));
    assert_eq!(
        met(&at(25, withdraw(1, "0.01")), &ledger),
        ("window", Some(0))
    );
}

#[test]
fn a_payout_that_goes_to_a_wallet_after_all_is_a_transfer_and_no_withdrawal() {
    let mut ledger = ledger([wallet(1, 100_000), wallet(2, 0)]);
    let both = by_windows(vec![
        AskedWindow {
            of: Movements::Withdrawn,
            ..window(Period::Day, "100.00")
        },
        AskedWindow {
            of: Movements::Sent,
            ..window(Period::Day, "50.00")
        },
    ]);
    done(&mut ledger, &put(1, both));
    let hold = held(&done(
        &mut ledger,
        &at(20, until(place(1, "100.00", None), 9_000)),
    ));
    done(&mut ledger, &at(21, transfer(1, 2, "10.00")));
    // It may go out, or to a wallet as far as transfers may.
    assert_eq!(
        met(
            &at(22, capture(&hold, Some("40.01"), false, Some(2))),
            &ledger
        ),
        ("window", Some(4_000))
    );
    let sent = at(22, capture(&hold, Some("40.00"), false, Some(2)));
    let hold = held(&done(&mut ledger, &sent));
    assert_eq!(
        met(&at(23, withdraw(1, "40.01")), &ledger),
        ("window", Some(4_000))
    );
    done(
        &mut ledger,
        &at(24, capture(&hold, Some("60.00"), true, None)),
    );
    assert_eq!(
        met(&at(25, withdraw(1, "40.01")), &ledger),
        ("window", Some(4_000))
    );
    assert_eq!(
        met(&at(25, transfer(1, 2, "0.01")), &ledger),
        ("window", Some(0))
    );
}

#[test]
fn what_a_hold_that_names_its_destination_takes_there_counts_once() {
    let mut ledger = ledger([wallet(1, 100_000), wallet(2, 0)]);
    done(&mut ledger, &put(1, daily(Movements::Sent, "100.00")));
    let hold = held(&done(
        &mut ledger,
        &at(20, until(place(1, "100.00", Some(2)), 9_000)),
    ));
    assert_eq!(
        met(&at(21, transfer(1, 2, "0.01")), &ledger),
        ("window", Some(0))
    );
    done(
        &mut ledger,
        &at(22, capture(&hold, Some("70.00"), true, Some(2))),
    );
    assert_eq!(
        met(&at(23, transfer(1, 2, "30.01")), &ledger),
        ("window", Some(3_000))
    );
}

#[test]
fn a_cap_is_on_all_that_may_leave_by_a_hold() {
    let mut ledger = ledger([wallet(1, 100_000)]);
    done(&mut ledger, &put(1, cap(Movements::Withdrawn, "20.00")));
    let hold = held(&done(
        &mut ledger,
        &at(20, until(place(1, "15.00", None), 9_000)),
    ));
    let Refusal::LimitExceeded { required, .. } =
        refused(&at(22, increase(&hold, "5.01")), &ledger)
    else {
        panic!("the cap is passed");
    };
    assert_eq!(required.minor(), 2_001);
    let hold = held(&done(&mut ledger, &at(22, increase(&hold, "5.00"))));
    // What was released may not leave by it any more.
    let hold = held(&done(&mut ledger, &at(23, release(&hold, Some("8.00")))));
    assert_eq!(
        met(&at(24, increase(&hold, "8.01")), &ledger),
        ("cap", Some(2_000))
    );
    let taken = at(24, capture(&hold, Some("10.00"), false, None));
    let hold = held(&done(&mut ledger, &taken));
    assert_eq!(
        met(&at(25, increase(&hold, "8.01")), &ledger),
        ("cap", Some(2_000))
    );
    done(&mut ledger, &at(25, increase(&hold, "8.00")));
}

#[test]
fn a_stranger_is_told_of_no_limit_but_that_there_is_one() {
    let mut ledger = ledger([wallet(1, 10_000), wallet(2, 900)]);
    done(&mut ledger, &put(2, ceiling("10.00")));
    let caller = Caller {
        actor: "u1".to_owned(),
        owner: "u1".to_owned(),
        kind: CallerKind::User,
        reach: Reach::of_users(["u1".parse().unwrap()]),
    };
    let stranger = Command {
        caller: caller.into(),
        ..transfer(1, 2, "1.01")
    };
    assert_eq!(met(&stranger, &ledger), ("untold", None));
    assert_eq!(
        met(&transfer(1, 2, "1.01"), &ledger),
        ("ceiling", Some(100))
    );
}

#[test]
fn limits_are_not_put_on_settlement_wallets_nor_on_closed_ones() {
    let mut ledger = ledger([wallet(1, 0)]);
    let settlement = SHARD.settlement_wallet(usd());
    done(&mut ledger, &fund(1, "1.00"));
    let on_settlement = command(Intent::SetLimits {
        wallet_id: settlement,
        limits: floor("0"),
    });
    let refusal = refused(&on_settlement, &ledger);
    assert!(
        matches!(refusal, Refusal::SettlementWallet { .. }),
        "{refusal:?}"
    );
    done(&mut ledger, &withdraw(1, "1.00"));
    done(&mut ledger, &close(1, None));
    let refusal = refused(&put(1, floor("0")), &ledger);
    assert!(
        matches!(refusal, Refusal::WalletNotActive { .. }),
        "{refusal:?}"
    );
}

#[test]
fn an_amount_that_is_none_in_the_wallets_currency_is_named() {
    let ledger = ledger([wallet(1, 0)]);
    let capped = |maximum| put(1, cap(Movements::Debits, maximum));
    let by_window = put(1, by_windows(vec![window(Period::Day, "1.001")]));
    for (command, named, too_precise) in [
        (put(1, floor("-0.001")), "floor", true),
        (put(1, floor("-10000000000000000.01")), "floor", false),
        (put(1, ceiling("0.001")), "ceiling", true),
        (put(1, ceiling("9999999999999999999")), "ceiling", false),
        (capped("0.001"), "caps[0].maximum", true),
        (by_window, "windows[0].maximum", true),
    ] {
        let Refusal::LimitsUnfit(LimitsUnfit::Amount {
            field,
            is_too_precise,
            ..
        }) = refused(&command, &ledger)
        else {
            panic!("{named} is no amount");
        };
        assert_eq!((field.as_str(), is_too_precise), (named, too_precise));
    }
}
