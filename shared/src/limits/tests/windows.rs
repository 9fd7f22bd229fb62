//! Windows by the calendar and by the clock.

use proptest::prelude::*;

use super::*;
use crate::limits::{UnknownTimeZone, window::Stretch};

/// From when until when something counts that moves at that moment.
fn stretch(period: Period, zone: Option<&str>, moment: &str) -> (String, String) {
    let Stretch { from, until } = window(period, zone).stretch(at(moment).seconds());
    let text = |seconds| {
        let text = Timestamp::from_seconds(seconds).unwrap().to_string();
        text.replace(":00.000000Z", "")
    };
    (text(from), text(until))
}

const BERLIN: Option<&str> = Some("Europe/Berlin");

/// Period, zone, moment, and from when until when it counts.
const CALENDAR: &[(Period, Option<&str>, &str, &str, &str)] = &[
    // An ordinary day in winter, and one in summer.
    (
        Period::Day,
        BERLIN,
        "2026-01-15T12:00:00Z",
        "2026-01-14T23:00",
        "2026-01-15T23:00",
    ),
    (
        Period::Day,
        BERLIN,
        "2026-07-15T23:30:00Z",
        "2026-07-15T22:00",
        "2026-07-16T22:00",
    ),
    // 23 hours when the clocks go forward, 25 when they go back.
    (
        Period::Day,
        BERLIN,
        "2026-03-29T12:00:00Z",
        "2026-03-28T23:00",
        "2026-03-29T22:00",
    ),
    (
        Period::Day,
        BERLIN,
        "2026-10-25T12:00:00Z",
        "2026-10-24T22:00",
        "2026-10-25T23:00",
    ),
    (
        Period::Week,
        BERLIN,
        "2026-03-29T21:59:59Z",
        "2026-03-22T23:00",
        "2026-03-29T22:00",
    ),
    (
        Period::Month,
        BERLIN,
        "2026-03-29T12:00:00Z",
        "2026-02-28T23:00",
        "2026-03-31T22:00",
    ),
    // Months of 28, 29 and 31 days, and a year's end.
    (
        Period::Month,
        Some("UTC"),
        "2026-02-28T23:59:59Z",
        "2026-02-01T00:00",
        "2026-03-01T00:00",
    ),
    (
        Period::Month,
        Some("UTC"),
        "2028-02-29T00:00:00Z",
        "2028-02-01T00:00",
        "2028-03-01T00:00",
    ),
    (
        Period::Month,
        Some("UTC"),
        "2026-12-31T23:59:59Z",
        "2026-12-01T00:00",
        "2027-01-01T00:00",
    ),
    (
        Period::Week,
        Some("UTC"),
        "2026-11-23T00:00:00Z",
        "2026-11-23T00:00",
        "2026-11-30T00:00",
    ),
    (
        Period::Week,
        Some("UTC"),
        "2026-11-22T23:59:59Z",
        "2026-11-16T00:00",
        "2026-11-23T00:00",
    ),
    // Zones of a quarter of an hour, and the ones that see a day first and last.
    (
        Period::Hour,
        Some("Asia/Kathmandu"),
        "2026-01-15T12:20:00Z",
        "2026-01-15T12:15",
        "2026-01-15T13:15",
    ),
    (
        Period::Day,
        Some("Pacific/Kiritimati"),
        "2026-01-15T12:00:00Z",
        "2026-01-15T10:00",
        "2026-01-16T10:00",
    ),
    (
        Period::Day,
        Some("Pacific/Pago_Pago"),
        "2026-01-15T10:59:59Z",
        "2026-01-14T11:00",
        "2026-01-15T11:00",
    ),
    // There was no 30 December 2011: the day after the 29th is the 31st.
    (
        Period::Day,
        Some("Pacific/Apia"),
        "2011-12-30T09:59:59Z",
        "2011-12-29T10:00",
        "2011-12-30T10:00",
    ),
    (
        Period::Day,
        Some("Pacific/Apia"),
        "2011-12-30T10:00:00Z",
        "2011-12-30T10:00",
        "2011-12-31T10:00",
    ),
    // Clocks go forward at midnight: the day begins at one o'clock.
    (
        Period::Day,
        Some("Africa/Cairo"),
        "2026-04-24T12:00:00Z",
        "2026-04-23T22:00",
        "2026-04-24T21:00",
    ),
    // Clocks go back over midnight, to the day before: the new day has begun, and stays.
    (
        Period::Day,
        Some("America/St_Johns"),
        "2010-11-07T02:30:30Z",
        "2010-11-07T02:30",
        "2010-11-08T03:30",
    ),
    (
        Period::Day,
        Some("America/St_Johns"),
        "2010-11-07T03:00:00Z",
        "2010-11-07T02:30",
        "2010-11-08T03:30",
    ),
];

#[test]
fn a_calendar_window_is_as_long_as_the_clocks_of_its_zone_make_it() {
    for (period, zone, moment, from, until) in CALENDAR {
        let expected = ((*from).to_owned(), (*until).to_owned());
        assert_eq!(
            stretch(*period, *zone, moment),
            expected,
            "{period} {zone:?} {moment}"
        );
    }
}

#[test]
fn what_moves_in_a_rolling_window_counts_as_long_as_it_and_one_part_more_at_most() {
    for (period, from, until) in [
        (Period::Hour, "2026-01-15T12:20", "2026-01-15T13:22"),
        (Period::Day, "2026-01-15T12:00", "2026-01-16T13:00"),
        (Period::Week, "2026-01-15T12:00", "2026-01-22T18:00"),
        (Period::Month, "2026-01-15T00:00", "2026-02-15T00:00"),
    ] {
        let expected = (from.to_owned(), until.to_owned());
        let found = stretch(period, None, "2026-01-15T12:20:30Z");
        assert_eq!(found, expected, "{period}");
    }
}

#[test]
fn a_zone_is_known_by_the_name_that_the_database_has() {
    for (asked, known) in [
        ("europe/BERLIN", "Europe/Berlin"),
        ("Europe/berlin", "Europe/Berlin"),
        ("UTC", "UTC"),
        ("utc", "UTC"),
        ("Utc", "UTC"),
        ("america/new_york", "America/New_York"),
    ] {
        let zone: Zone = asked.parse().unwrap();
        assert_eq!(zone.as_str(), known, "{asked}");
    }
    for wrong in [
        "",
        "Mars/Olympus",
        "CET-1CEST",
        "+02:00",
        "Europe",
        "../etc/passwd",
    ] {
        assert_eq!(wrong.parse::<Zone>(), Err(UnknownTimeZone), "{wrong}");
    }
    assert_eq!("utc".parse(), Ok(Zone::default()), "where none is named");
}

const ZONES: [&str; 10] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "America/Sao_Paulo",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "Pacific/Apia",
    "Africa/Casablanca",
];

proptest! {
    /// Without a gap, without an overlap: what a limit forgets begins when what it remembers ends.
    #[test]
    fn a_moment_is_in_its_window_and_the_next_one_begins_where_it_ends(
        second in 0..4_000_000_000_i64,
        zone in prop::sample::select(&ZONES[..]),
        period in prop::sample::select(&[Period::Day, Period::Week, Period::Month][..]),
    ) {
        let window = window(period, Some(zone));
        let found = window.stretch(second);
        prop_assert!(found.from <= second && second < found.until);
        prop_assert_eq!(window.stretch(found.from), found);
        prop_assert_eq!(window.stretch(found.until - 1), found);
        prop_assert_eq!(window.stretch(found.until).from, found.until);
        prop_assert_eq!(window.stretch(found.from - 1).until, found.from);
    }

    /// An hour may overlap the next where clocks go back by half of one, and still no moment is without.
    #[test]
    fn an_hour_holds_its_moment_and_never_goes_back(
        second in 0..4_000_000_000_i64,
        later in 0..20_000_i64,
        zone in prop::sample::select(&ZONES[..]),
    ) {
        let window = window(Period::Hour, Some(zone));
        let (found, next) = (window.stretch(second), window.stretch(second + later));
        prop_assert!(found.from <= second && second < found.until);
        prop_assert!(found.from <= next.from && found.until <= next.until);
    }
}
