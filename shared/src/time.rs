//! Moments in UTC, cut to the microsecond that Postgres keeps.
//!
//! A clock gives nanoseconds and a `timestamptz` column gives back microseconds, so a value that is hashed,
//! stored and read again would differ unless it is cut once, where it is made.

use std::{fmt, str::FromStr, time::SystemTime};

use chrono::{DateTime, Datelike, SecondsFormat, SubsecRound, Timelike, Utc};
use serde_with::{DeserializeFromStr, SerializeDisplay};

/// A moment in UTC with microsecond precision. In JSON: RFC 3339 with six decimals and `Z`.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, SerializeDisplay, DeserializeFromStr,
)]
pub struct Timestamp(DateTime<Utc>);

impl Timestamp {
    /// Also when the clock is before 1970.
    pub fn now() -> Self {
        Self::from(SystemTime::now())
    }

    pub const fn utc(self) -> DateTime<Utc> {
        self.0
    }

    /// Microseconds since 1970-01-01T00:00:00Z: the form that is hashed.
    pub fn micros(self) -> i64 {
        self.0.timestamp_micros()
    }

    /// The moment that [`Self::micros`] says, if there is a calendar for it.
    pub fn from_micros(micros: i64) -> Option<Self> {
        DateTime::from_timestamp_micros(micros).map(Self)
    }

    /// Whole seconds since 1970-01-01T00:00:00Z, as tokens count them.
    pub const fn seconds(self) -> i64 {
        self.0.timestamp()
    }

    /// The moment that [`Self::seconds`] says, if there is a calendar for it.
    pub fn from_seconds(seconds: i64) -> Option<Self> {
        DateTime::from_timestamp(seconds, 0).map(Self)
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(moment: DateTime<Utc>) -> Self {
        Self(moment.trunc_subsecs(6))
    }
}

impl From<SystemTime> for Timestamp {
    fn from(moment: SystemTime) -> Self {
        Self::from(DateTime::<Utc>::from(moment))
    }
}

/// A text that is no moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "must be a moment of the years 1 to 9999 with a zone, such as 2026-11-21T08:00:00Z, and no leap second"
)]
pub struct InvalidMoment;

/// Nanoseconds of a leap second go on from here.
const NANOS_OF_A_SECOND: u32 = 1_000_000_000;

impl FromStr for Timestamp {
    type Err = InvalidMoment;

    /// Only what is written again as it was read: a leap second is a second that microseconds do not count, and RFC 3339 has
    /// no year of five digits, which the zone may lead to.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let moment = DateTime::parse_from_rfc3339(text).map_err(|_| InvalidMoment)?;
        let moment = moment.to_utc();
        let is_leap = moment.nanosecond() >= NANOS_OF_A_SECOND;
        if is_leap || !(1..=9999).contains(&moment.year()) {
            return Err(InvalidMoment);
        }
        Ok(Self::from(moment))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nanoseconds_are_cut_and_the_text_form_is_stable() {
        let moment: Timestamp = "2026-11-21T08:13:46.824591999+01:00".parse().unwrap();
        assert_eq!(moment.to_string(), "2026-11-21T07:13:46.824591Z");
        assert_eq!(moment, moment.to_string().parse().unwrap());
    }

    #[test]
    fn a_clock_before_1970_gives_a_moment_like_any_other() {
        let clock = SystemTime::UNIX_EPOCH - std::time::Duration::from_millis(1_500);
        let moment = Timestamp::from(clock);
        assert_eq!(moment.to_string(), "1969-12-31T23:59:58.500000Z");
        assert_eq!(moment.micros(), -1_500_000);
    }

    #[test]
    fn what_would_not_be_written_as_it_was_read_is_refused() {
        for text in [
            "2026-11-21T08:13:46",
            "2026-11-28T23:30:60Z",
            "2026-11-28T23:40:60.5+01:00",
            "2016-12-31T23:59:60Z",
            "9999-12-31T23:59:59-23:59",
            "0001-01-01T00:00:00+00:01",
            "0000-06-01T00:00:00Z",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(InvalidMoment), "{text}");
        }
        for text in ["9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00.000000Z"] {
            let moment: Timestamp = text.parse().unwrap();
            assert_eq!(moment.to_string(), text);
            assert_eq!(Timestamp::from_micros(moment.micros()), Some(moment));
        }
    }
}
