//! Limits again, once for each other value of each of their fields.

use super::Changed;
use crate::{
    Amount, Balance,
    event::LimitsChanged,
    limits::{Cap, Limits, Movements, Period, Window},
};

pub(super) fn changed_limits(changed: &LimitsChanged) -> Changed<LimitsChanged> {
    let mut all = with_each_field_changed!(
        changed,
        LimitsChanged {
            floor: [Balance::new(floor.minor() ^ 1)],
            limits: [limits.clone()],
        }
    );
    all.retain(|(field, _)| *field != "limits");
    let of_wallet = &changed.limits;
    let limits = with_each_field_changed!(
        of_wallet,
        Limits {
            ceiling: [
                Some(Balance::new(ceiling.map_or(1, Balance::minor) ^ 2)),
                // None where there is one.
                ceiling.xor(Some(Balance::new(0))),
            ],
            caps: [
                with_one_more(caps, any_cap()),
                without_last(caps, any_cap())
            ],
            windows: [
                with_one_more(windows, any_window()),
                without_last(windows, any_window()),
            ],
        }
    );
    let with = |limits| LimitsChanged {
        limits,
        ..changed.clone()
    };
    all.extend(
        limits
            .into_iter()
            .map(|(field, limits)| (field, with(limits))),
    );
    for (at, cap) in of_wallet.caps.iter().enumerate() {
        for (field, cap) in changed_cap(cap) {
            let mut limits = of_wallet.clone();
            limits.caps[at] = cap;
            all.push((field, with(limits)));
        }
    }
    for (at, window) in of_wallet.windows.iter().enumerate() {
        for (field, window) in changed_window(window) {
            let mut limits = of_wallet.clone();
            limits.windows[at] = window;
            all.push((field, with(limits)));
        }
    }
    all
}

fn changed_cap(cap: &Cap) -> Changed<Cap> {
    with_each_field_changed!(
        cap,
        Cap {
            of: [other_movements(*of)],
            maximum: [Amount::try_new(maximum.minor() + 1).unwrap()],
        }
    )
}

fn changed_window(window: &Window) -> Changed<Window> {
    let zone = |name: &str| Some(name.parse().unwrap());
    with_each_field_changed!(
        window,
        Window {
            of: [other_movements(*of)],
            period: [match period {
                Period::Hour => Period::Month,
                Period::Day | Period::Week | Period::Month => Period::Hour,
            }],
            time_zone: [
                zone("Asia/Tokyo"),
                // None where there is one.
                if time_zone.is_some() {
                    None
                } else {
                    zone("UTC")
                },
            ],
            maximum: [
                Amount::try_new(maximum.map_or(0, Amount::minor) + 1),
                // None where there is one.
                maximum.xor(Amount::try_new(7)),
            ],
            maximum_count: [
                Some(maximum_count.unwrap_or(0) + 1),
                // None where there is one.
                maximum_count.xor(Some(7)),
            ],
        }
    )
}

const fn other_movements(of: Movements) -> Movements {
    if matches!(of, Movements::Debits) {
        Movements::Credits
    } else {
        Movements::Debits
    }
}

fn any_cap() -> Cap {
    Cap {
        of: Movements::Credits,
        maximum: Amount::try_new(1).unwrap(),
    }
}

fn any_window() -> Window {
    Window {
        of: Movements::Credits,
        period: Period::Month,
        time_zone: None,
        maximum: Amount::try_new(1),
        maximum_count: None,
    }
}

fn with_one_more<T: Clone>(list: &[T], more: T) -> Vec<T> {
    let mut list = list.to_vec();
    list.push(more);
    list
}

/// Of an empty list there is none: then one more, twice.
fn without_last<T: Clone>(list: &[T], more: T) -> Vec<T> {
    match list.split_last() {
        Some((_, rest)) => rest.to_vec(),
        None => vec![more.clone(), more],
    }
}
