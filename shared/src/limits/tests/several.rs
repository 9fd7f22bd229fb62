//! Several windows in the way of one movement, and windows with nothing in them.

use super::*;

fn hourly(maximum: i64, maximum_count: Option<u32>) -> Window {
    Window {
        maximum: Amount::try_new(maximum),
        maximum_count,
        ..window(Period::Hour, Some("UTC"))
    }
}

fn daily(maximum: i64, of: Movements) -> Window {
    Window {
        of,
        maximum: Amount::try_new(maximum),
        ..window(Period::Day, Some("UTC"))
    }
}

/// Period, what is left of its sum, and until when; after 6.00 were sent at noon.
fn told(windows: Vec<Window>, amount: i64) -> (Period, Option<i64>, Option<String>) {
    let mut limits = in_force(windows, "2026-01-15T00:00:00Z");
    limits.after(sent(600), None, at("2026-01-15T12:00:00Z"));
    let now = at("2026-01-15T12:10:00Z");
    let objects = limits.objects_to(&moved(sent(amount)), Balance::ZERO, now);
    let Some(Exceeded::Window(found)) = objects else {
        panic!("a window is passed: {objects:?}");
    };
    let until = found.until.map(|until| until.to_string());
    let until = until.map(|until| until.replace(":00.000000Z", ""));
    (found.window.period, found.left().map(Balance::minor), until)
}

#[test]
fn of_several_windows_that_with_the_least_left_is_named_and_the_last_that_lets_it_pass() {
    use Movements::{Debits, Sent};
    let hour_end = || Some("2026-01-15T13:00".to_owned());
    let day_end = || Some("2026-01-16T00:00".to_owned());
    // Only the hour is in the way, wherever it stands.
    let open = daily(9_000, Debits);
    for windows in [
        vec![hourly(700, None), open.clone()],
        vec![open, hourly(700, None)],
    ] {
        assert_eq!(told(windows, 200), (Period::Hour, Some(100), hour_end()));
    }
    // Both are: the order in the list says nothing.
    let (hour, day) = (hourly(700, None), daily(750, Debits));
    for windows in [vec![hour.clone(), day.clone()], vec![day, hour.clone()]] {
        assert_eq!(told(windows, 200), (Period::Hour, Some(100), day_end()));
    }
    let less = daily(610, Sent);
    for windows in [vec![hour.clone(), less.clone()], vec![less, hour.clone()]] {
        assert_eq!(told(windows, 200), (Period::Day, Some(10), day_end()));
    }
    // As much is left of both: the one that stands in the way for longer is named.
    let as_much = daily(700, Debits);
    for windows in [vec![hour.clone(), as_much.clone()], vec![as_much, hour]] {
        assert_eq!(told(windows, 200), (Period::Day, Some(100), day_end()));
    }
}

#[test]
fn what_one_of_several_windows_never_lets_pass_has_no_time() {
    let (hour, day) = (hourly(1_000, None), daily(700, Movements::Debits));
    for windows in [vec![hour.clone(), day.clone()], vec![day, hour]] {
        assert_eq!(told(windows, 701), (Period::Day, Some(100), None));
    }
    let (hour, day) = (hourly(610, None), daily(1_400, Movements::Debits));
    for windows in [vec![hour.clone(), day.clone()], vec![day, hour]] {
        assert_eq!(told(windows, 900), (Period::Hour, Some(10), None));
    }
}

#[test]
fn where_no_more_movements_are_left_nothing_is() {
    let hour = hourly(9_000, Some(1));
    let day = daily(610, Movements::Debits);
    for windows in [vec![hour.clone(), day.clone()], vec![day, hour]] {
        let (period, left, until) = told(windows, 200);
        assert_eq!((period, left), (Period::Hour, Some(8_400)));
        assert_eq!(until.as_deref(), Some("2026-01-16T00:00"));
    }
}

#[test]
fn a_rolling_window_in_which_nothing_counts_has_no_end() {
    let mut limits = in_force(vec![window(Period::Hour, None)], "2026-01-15T00:00:00Z");
    let until = |limits: &WalletLimits, moment: &str| {
        let found = limits.windows_at(at(moment)).next().unwrap();
        found.until.map(|until| until.to_string())
    };
    let placed = happened(&EventBody::HoldPlaced(hold_placed()), 0);
    limits.after(placed, None, at("2026-01-15T12:00:00Z"));
    let end = Some("2026-01-15T13:02:00.000000Z".to_owned());
    assert_eq!(until(&limits, "2026-01-15T12:01:00Z"), end);
    let released = EventBody::HoldReleased(HoldChanged {
        amount: Some(hold_placed().amount),
        remaining: Balance::ZERO,
        ..hold_changed()
    });
    let hold = HoldSoFar {
        placed_at: at("2026-01-15T12:00:00Z"),
        has_destination: false,
        whole: 10_000,
        was_captured: false,
    };
    limits.after(
        happened(&released, 0),
        Some(hold),
        at("2026-01-15T12:01:00Z"),
    );
    assert_eq!(used(&limits, "2026-01-15T12:01:00Z"), [(0, 0)]);
    assert_eq!(until(&limits, "2026-01-15T12:01:00Z"), None);
    // The next movement has the say, and not the part that is empty.
    limits.after(sent(100), None, at("2026-01-15T12:20:00Z"));
    let end = Some("2026-01-15T13:22:00.000000Z".to_owned());
    assert_eq!(until(&limits, "2026-01-15T12:20:00Z"), end);
}
