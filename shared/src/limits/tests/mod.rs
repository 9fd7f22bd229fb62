//! What counts in windows, and what objects.

mod kinds;
mod releases;
mod several;
mod windows;

use proptest::prelude::*;

use super::*;
use crate::{
    Change, Timestamp,
    event::{Details, EventBody, HoldCaptured, HoldChanged, HoldPlaced, Movement},
};

fn movement() -> Movement {
    Movement {
        counterparty_wallet_id: "01990000-0000-7000-8000-00000000000b".parse().unwrap(),
        leg_count: 2,
        details: Details::default(),
    }
}

fn hold_placed() -> HoldPlaced {
    HoldPlaced {
        hold_id: "01990000-0000-7000-8000-00000000000c".parse().unwrap(),
        amount: Balance::new(10_000),
        to_wallet_id: None,
        expires_at: at("2026-12-01T00:00:00Z"),
        details: Details::default(),
    }
}

fn hold_changed() -> HoldChanged {
    HoldChanged {
        hold_id: hold_placed().hold_id,
        amount: Some(Balance::new(2_500)),
        remaining: Balance::new(12_500),
        expires_at: at("2026-12-01T00:00:00Z"),
    }
}

fn hold_captured() -> HoldCaptured {
    HoldCaptured {
        hold_id: hold_placed().hold_id,
        released: Balance::new(3_680),
        remaining: Balance::ZERO,
        movement: movement(),
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn window(period: Period, zone: Option<&str>) -> Window {
    Window {
        of: Movements::Debits,
        period,
        time_zone: zone.map(|zone| zone.parse().unwrap()),
        maximum: Amount::try_new(1_000),
        maximum_count: None,
    }
}

fn limits(windows: Vec<Window>) -> Limits {
    Limits {
        windows,
        ..Limits::default()
    }
}

fn in_force(windows: Vec<Window>, since: &str) -> WalletLimits {
    WalletLimits::put(&limits(windows), None, at(since)).unwrap()
}

/// Of an event that is about no hold.
fn happened(body: &EventBody, amount: i64) -> Effect {
    effect(body, Change::try_new(amount), None, false)
}

fn sent(amount: i64) -> Effect {
    happened(&EventBody::TransferSent(movement()), -amount)
}

fn moved(effect: Effect) -> Moved {
    effect.moves.expect("it counts")
}

fn used(limits: &WalletLimits, moment: &str) -> Vec<(i64, u32)> {
    let windows = limits.windows_at(at(moment));
    windows.map(|it| (it.used.minor(), it.used_count)).collect()
}

#[test]
fn a_movement_counts_until_its_window_is_over_and_not_longer() {
    let windows = vec![
        window(Period::Day, Some("UTC")),
        window(Period::Hour, None),
        Window {
            of: Movements::Credits,
            ..window(Period::Day, None)
        },
    ];
    let mut limits = in_force(windows, "2026-01-15T00:00:00Z");
    limits.after(sent(400), None, at("2026-01-15T12:20:30Z"));
    limits.after(sent(100), None, at("2026-01-15T13:00:00Z"));
    for (moment, expected) in [
        ("2026-01-15T13:00:00Z", [(500, 2), (500, 2), (0, 0)]),
        ("2026-01-15T13:21:59Z", [(500, 2), (500, 2), (0, 0)]),
        ("2026-01-15T13:22:00Z", [(500, 2), (100, 1), (0, 0)]),
        ("2026-01-15T23:59:59Z", [(500, 2), (0, 0), (0, 0)]),
        ("2026-01-16T00:00:00Z", [(0, 0), (0, 0), (0, 0)]),
    ] {
        assert_eq!(used(&limits, moment), expected, "{moment}");
    }
}

#[test]
fn the_first_limit_that_is_passed_objects_with_what_is_left_and_until_when() {
    let cap = Cap {
        of: Movements::Sent,
        maximum: Amount::try_new(600).unwrap(),
    };
    let counted = Window {
        maximum: None,
        maximum_count: Some(2),
        ..window(Period::Hour, None)
    };
    let all = Limits {
        ceiling: Some(Balance::new(5_000)),
        caps: vec![cap.clone()],
        windows: vec![window(Period::Day, Some("UTC")), counted],
    };
    let since = at("2026-01-15T00:00:00Z");
    let mut limits = WalletLimits::put(&all, None, since).unwrap();
    assert_eq!(limits.limits(), all);
    let objects = |limits: &WalletLimits, effect, balance, moment: &str| {
        limits.objects_to(&moved(effect), Balance::new(balance), at(moment))
    };
    let now = "2026-01-15T12:00:00Z";
    let received = |amount| happened(&EventBody::TransferReceived(movement()), amount);
    assert_eq!(objects(&limits, received(1), 5_000, now), None);
    let ceiling = Balance::new(5_000);
    assert_eq!(
        objects(&limits, received(1), 5_001, now),
        Some(Exceeded::Ceiling { ceiling })
    );
    assert_eq!(objects(&limits, sent(600), 9_000, now), None);
    assert_eq!(
        objects(&limits, sent(601), 0, now),
        Some(Exceeded::Cap(cap))
    );

    limits.after(sent(600), None, at(now));
    let Some(Exceeded::Window(day)) = objects(&limits, sent(401), 0, now) else {
        panic!("the day's sum is passed");
    };
    assert_eq!(day.left(), Some(Balance::new(400)));
    assert_eq!(day.until, Some(at("2026-01-16T00:00:00Z")));
    assert_eq!(objects(&limits, sent(400), 0, now), None);

    limits.after(sent(300), None, at("2026-01-15T12:30:00Z"));
    let Some(Exceeded::Window(hour)) = objects(&limits, sent(1), 0, "2026-01-15T12:45:00Z") else {
        panic!("the hour's count is passed");
    };
    assert_eq!((hour.left(), hour.left_count()), (None, Some(0)));
    assert_eq!(
        hour.until,
        Some(at("2026-01-15T13:02:00Z")),
        "when the first is free again"
    );
    assert_eq!(objects(&limits, sent(1), 0, "2026-01-15T13:02:00Z"), None);
}

#[test]
fn what_is_more_than_the_whole_window_never_passes() {
    let limits = in_force(
        vec![window(Period::Day, Some("UTC"))],
        "2026-01-15T00:00:00Z",
    );
    let now = at("2026-01-15T12:00:00Z");
    let Some(Exceeded::Window(day)) = limits.objects_to(&moved(sent(1_001)), Balance::ZERO, now)
    else {
        panic!("the day's sum is passed");
    };
    assert_eq!((day.left(), day.until), (Some(Balance::new(1_000)), None));
}

#[test]
fn a_hold_counts_once_and_gives_back_what_is_released() {
    let windows = vec![window(Period::Day, Some("UTC")), window(Period::Week, None)];
    let mut limits = in_force(windows, "2026-01-14T00:00:00Z");
    let hold = |was_captured| HoldSoFar {
        placed_at: at("2026-01-15T12:00:00Z"),
        has_destination: false,
        whole: 10_000,
        was_captured,
    };
    let placed = happened(&EventBody::HoldPlaced(hold_placed()), 0);
    limits.after(placed, None, at("2026-01-15T12:00:00Z"));
    assert_eq!(
        used(&limits, "2026-01-15T12:00:00Z"),
        [(10_000, 1), (10_000, 1)]
    );
    let increased = EventBody::HoldIncreased(hold_changed());
    let increased = effect(&increased, None, Some(&hold(false)), false);
    assert_eq!(moved(increased).whole, 12_500);
    limits.after(increased, None, at("2026-01-15T19:00:00Z"));
    assert_eq!(
        used(&limits, "2026-01-15T19:00:00Z"),
        [(12_500, 1), (12_500, 1)]
    );
    // 88.20 are captured, and 36.80 released with it.
    let captured = EventBody::HoldCaptured(hold_captured());
    let captured = effect(&captured, Change::try_new(-8_820), Some(&hold(false)), true);
    let mut by_capture = limits.clone();
    by_capture.after(captured, Some(hold(false)), at("2026-01-15T20:00:00Z"));
    assert_eq!(
        used(&by_capture, "2026-01-15T20:00:00Z"),
        [(8_820, 1), (8_820, 1)]
    );

    let released = HoldChanged {
        amount: Some(Balance::new(12_500)),
        remaining: Balance::ZERO,
        ..hold_changed()
    };
    let released = happened(&EventBody::HoldReleased(released), 0);
    // A day later the day is another, and of the week all is given back, in whichever part it was counted.
    let mut late = limits.clone();
    late.after(released, Some(hold(false)), at("2026-01-16T12:00:00Z"));
    assert_eq!(used(&late, "2026-01-16T12:00:00Z"), [(0, 0), (0, 0)]);
    limits.after(released, Some(hold(true)), at("2026-01-15T21:00:00Z"));
    assert_eq!(used(&limits, "2026-01-15T21:00:00Z"), [(0, 1), (0, 1)]);
}

#[test]
fn a_hold_from_before_the_window_gives_nothing_back() {
    let windows = vec![window(Period::Day, Some("UTC"))];
    let mut limits = in_force(windows, "2026-01-15T12:00:00Z");
    limits.after(sent(700), None, at("2026-01-15T13:00:00Z"));
    let released = happened(&EventBody::HoldReleased(hold_changed()), 0);
    let hold = HoldSoFar {
        placed_at: at("2026-01-15T12:00:00Z"),
        has_destination: false,
        whole: 10_000,
        was_captured: false,
    };
    limits.after(released, Some(hold), at("2026-01-15T14:00:00Z"));
    assert_eq!(used(&limits, "2026-01-15T14:00:00Z"), [(700, 1)]);
    limits.after(released, None, at("2026-01-15T14:00:00Z"));
    assert_eq!(used(&limits, "2026-01-15T14:00:00Z"), [(700, 1)]);
}

#[test]
fn a_window_keeps_its_count_when_only_its_maximum_changes() {
    let day = window(Period::Day, Some("UTC"));
    let mut before = in_force(vec![day.clone()], "2026-01-15T00:00:00Z");
    before.after(sent(900), None, at("2026-01-15T12:00:00Z"));
    let lower = Window {
        maximum: Amount::try_new(500),
        ..day
    };
    let other_zone = window(Period::Day, Some("Asia/Tokyo"));
    let asked = limits(vec![lower, other_zone]);
    let now = at("2026-01-15T13:00:00Z");
    let after = WalletLimits::put(&asked, Some(&before), now).unwrap();
    assert_eq!(used(&after, "2026-01-15T13:00:00Z"), [(900, 1), (0, 0)]);
    assert!(
        after
            .objects_to(&moved(sent(1)), Balance::ZERO, now)
            .is_some()
    );
    assert_eq!(
        WalletLimits::put(&limits(Vec::new()), Some(&before), now),
        None
    );
}

#[test]
fn the_row_of_limits_is_pinned() {
    let cap = Cap {
        of: Movements::Held,
        maximum: Amount::try_new(600).unwrap(),
    };
    let all = Limits {
        ceiling: Some(Balance::new(5_000)),
        caps: vec![cap],
        windows: vec![window(Period::Day, Some("UTC"))],
    };
    let mut limits = WalletLimits::put(&all, None, at("2026-01-15T00:00:00Z")).unwrap();
    limits.after(sent(600), None, at("2026-01-15T12:00:00Z"));
    let json = serde_json::to_string(&limits).unwrap();
    let expected = r#"{"ceiling":5000,"caps":[{"of":"hold.placed","maximum":600}],"windows":[{"of":"debits","period":"day","time_zone":"UTC","maximum":1000,"since":"2026-01-15T00:00:00.000000Z","parts":[[1768435200,1768521600,600,1]]}]}"#;
    assert_eq!(json, expected);
    assert_eq!(serde_json::from_str::<WalletLimits>(&json).unwrap(), limits);
}

/// An exact account of a rolling window: what moved within its length is never counted as less.
fn exact(moves: &[(i64, i64)], now: i64, length: i64) -> i64 {
    let within = moves.iter().filter(|(second, _)| *second > now - length);
    within.map(|(_, amount)| amount).sum()
}

proptest! {
    #[test]
    fn a_rolling_window_never_lets_more_pass_than_an_exact_one(
        moves in prop::collection::vec((0..4_000_i64, 1..400_i64), 1..200),
    ) {
        let start = at("2026-01-15T12:00:00Z").seconds();
        let mut limits = in_force(vec![window(Period::Hour, None)], "2026-01-15T12:00:00Z");
        let (mut now, mut passed) = (start, Vec::new());
        for (pause, amount) in moves {
            now += pause / 10;
            let moment = Timestamp::from_seconds(now).unwrap();
            let effect = sent(amount);
            if limits.objects_to(&moved(effect), Balance::ZERO, moment).is_none() {
                limits.after(effect, None, moment);
                passed.push((now, amount));
            }
            prop_assert!(exact(&passed, now, 3_600) <= 1_000);
            let counted: i64 = limits.windows_at(moment).map(|it| it.used.minor()).sum();
            prop_assert!(counted >= exact(&passed, now, 3_600));
            prop_assert!(counted <= exact(&passed, now, 3_600 + 120));
        }
    }
}
