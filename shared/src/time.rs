//! Moments in UTC, cut to the microsecond that Postgres keeps.
//!
//! A clock gives nanoseconds and a `timestamptz` column gives back microseconds, so a value that is hashed,
//! stored and read again would differ unless it is cut once, where it is made.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Datelike, SecondsFormat, SubsecRound, Timelike, Utc};
use serde_with::{DeserializeFromStr, SerializeDisplay};

/// A moment in UTC with microsecond precision. In JSON: RFC 3339 with six decimals and `Z`.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, SerializeDisplay, DeserializeFromStr,
)]
pub struct Timestamp(DateTime<Utc>);

impl Timestamp {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the clock"
    )]
    pub fn now() -> Self {
        Self::from(Utc::now())
    }

    pub const fn utc(self) -> DateTime<Utc> {
        self.0
    }

    /// Microseconds since 1970-01-01T00:00:00Z: the form that is hashed.
    pub fn micros(self) -> i64 {
        self.0.timestamp_micros()
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(moment: DateTime<Utc>) -> Self {
        Self(moment.trunc_subsecs(6))
    }
}

impl FromStr for Timestamp {
    type Err = chrono::ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        DateTime::parse_from_rfc3339(text).map(|moment| Self::from(moment.to_utc()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = self.0.naive_utc();
        let (year, micros) = (moment.year(), moment.nanosecond() / 1_000);
        let leap_second = micros >= 1_000_000;
        if leap_second || !(0..=9_999).contains(&year) {
            return f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Micros, true));
        }
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        put(&mut text[0..4], year.unsigned_abs());
        put(&mut text[5..7], moment.month());
        put(&mut text[8..10], moment.day());
        put(&mut text[11..13], moment.hour());
        put(&mut text[14..16], moment.minute());
        put(&mut text[17..19], moment.second());
        put(&mut text[20..26], micros);
        f.write_str(str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

/// Writes a number over all of `digits`, with zeros before it.
fn put(digits: &mut [u8], mut number: u32) {
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789"[number as usize % 10];
        number /= 10;
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn by_chrono(moment: Timestamp) -> String {
        moment.utc().to_rfc3339_opts(SecondsFormat::Micros, true)
    }

    proptest! {
        #[test]
        fn the_text_form_is_that_of_chrono(micros in -70_000_000_000_000_000..260_000_000_000_000_000_i64) {
            let moment = Timestamp::from(DateTime::from_timestamp_micros(micros).unwrap());
            prop_assert_eq!(moment.to_string(), by_chrono(moment));
        }
    }

    #[test]
    fn rare_moments_have_the_text_form_of_chrono() {
        for (text, expected) in [
            ("2016-12-31T23:59:60.5Z", "2016-12-31T23:59:60.500000Z"),
            ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000000Z"),
            ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00.000000Z"),
            ("0000-01-01T00:00:00+01:00", "-0001-12-31T23:00:00.000000Z"),
            (
                "9999-12-31T23:59:59.999999999Z",
                "9999-12-31T23:59:59.999999Z",
            ),
            ("9999-12-31T23:59:59-01:00", "+10000-01-01T00:59:59.000000Z"),
        ] {
            let moment: Timestamp = text.parse().unwrap();
            assert_eq!(moment.to_string(), expected);
            assert_eq!(moment.to_string(), by_chrono(moment));
        }
    }

    #[test]
    fn nanoseconds_are_cut_and_the_text_form_is_stable() {
        let moment: Timestamp = "2026-11-21T08:13:46.824591999+01:00".parse().unwrap();
        assert_eq!(moment.to_string(), "2026-11-21T07:13:46.824591Z");
        assert_eq!(moment, moment.to_string().parse().unwrap());
    }

    #[test]
    fn a_date_without_a_zone_is_refused() {
        assert!("2026-11-21T08:13:46".parse::<Timestamp>().is_err());
    }
}
