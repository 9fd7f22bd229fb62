//! Moments in UTC, cut to the microsecond that Postgres keeps.
//!
//! A clock gives nanoseconds and a `timestamptz` column gives back microseconds, so a value that is hashed,
//! stored and read again would differ unless it is cut once, where it is made.

use std::{fmt, str::FromStr, time::SystemTime};

use chrono::{DateTime, SecondsFormat, SubsecRound, Utc};
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

impl FromStr for Timestamp {
    type Err = chrono::ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        DateTime::parse_from_rfc3339(text).map(|moment| Self::from(moment.to_utc()))
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
    fn a_date_without_a_zone_is_refused() {
        assert!("2026-11-21T08:13:46".parse::<Timestamp>().is_err());
    }
}
