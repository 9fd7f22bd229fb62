//! Windows: which stretch of time a movement counts in.
//!
//! A calendar window is an hour, day, week (from Monday) or month of a named time zone, as long as the clocks there make it:
//! a day has 23 or 25 hours when they change. Its bounds are the moments at which the calendar turns; where clocks go back
//! over midnight the new day has begun at the first of the two.
//!
//! A rolling window reaches back from now by its length; a month is 30 days. It is counted in parts, so that what is kept of
//! it is bounded: what moved in a part counts until the whole part is older than the window. So it may count a little longer
//! than the window is long, by one part at most, and never shorter.

use std::{fmt, str::FromStr};

use jiff::{
    Timestamp as Instant, ToSpan,
    civil::Date,
    tz::{TimeZone, TimeZoneDatabase},
};
use serde::{Deserialize, Serialize};
use serde_with::{DeserializeFromStr, SerializeDisplay};

use super::Movements;
use crate::{Amount, money::as_minor};

/// How long a window is.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str, parse_err_ty = UnknownPeriod, parse_err_fn = UnknownPeriod::of)]
pub enum Period {
    Hour,
    Day,
    Week,
    Month,
}

impl Period {
    pub const ALL: &'static [Self] = <Self as strum::VariantArray>::VARIANTS;

    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }

    /// Of a rolling window, in seconds.
    const fn length(self) -> i64 {
        match self {
            Self::Hour => HOUR,
            Self::Day => DAY,
            Self::Week => 7 * DAY,
            Self::Month => 30 * DAY,
        }
    }

    /// Of one part of a rolling window, in seconds. About thirty to a window: each that is not empty is in the wallet's row.
    const fn part(self) -> i64 {
        match self {
            Self::Hour => 2 * 60,
            Self::Day => HOUR,
            Self::Week => 6 * HOUR,
            Self::Month => DAY,
        }
    }
}

const HOUR: i64 = 60 * 60;
const DAY: i64 = 24 * HOUR;

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("must be hour, day, week or month")]
pub struct UnknownPeriod;

impl UnknownPeriod {
    const fn of(_: &str) -> Self {
        Self
    }
}

/// A time zone of the IANA database that is built in: every instance of a build has the same.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, SerializeDisplay, DeserializeFromStr)]
pub struct Zone(String);

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("must be the name of a time zone, such as Europe/Berlin or UTC")]
pub struct UnknownTimeZone;

/// Of the time that moments are written in.
impl Default for Zone {
    fn default() -> Self {
        Self("UTC".to_owned())
    }
}

impl Zone {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The second at which a day begins there, if the calendar has that day.
    pub fn day_begins(&self, year: i16, month: i8, day: i8) -> Option<i64> {
        begins(Date::new(year, month, day).ok()?, &self.rules())
    }

    /// What clocks there show at a moment: `2026-10-31 23:59:07`.
    pub fn clock_text(&self, second: i64) -> Option<String> {
        let moment = Instant::from_second(second).ok()?;
        let shown = moment.to_zoned(self.rules());
        Some(shown.strftime("%Y-%m-%d %H:%M:%S").to_string())
    }

    /// It was looked up when the value was made, so it is there.
    fn rules(&self) -> TimeZone {
        look_up(&self.0).unwrap_or(TimeZone::UTC)
    }
}

fn look_up(name: &str) -> Option<TimeZone> {
    static BUNDLED: std::sync::LazyLock<TimeZoneDatabase> =
        std::sync::LazyLock::new(TimeZoneDatabase::bundled);
    BUNDLED.get(name).ok()
}

impl FromStr for Zone {
    type Err = UnknownTimeZone;

    /// The name is kept as the database spells it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let zone = look_up(text).ok_or(UnknownTimeZone)?;
        let name = zone.iana_name().ok_or(UnknownTimeZone)?;
        Ok(Self(name.to_owned()))
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How much may move in a stretch of time, or how often, or both.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Window {
    pub of: Movements,
    pub period: Period,
    /// Whose calendar it follows; none of a rolling window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<Zone>,
    #[serde(
        default,
        with = "as_minor::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub maximum: Option<Amount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum_count: Option<u32>,
}

/// From when on something is counted together, and until when it counts: seconds since 1970.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stretch {
    pub from: i64,
    pub until: i64,
}

impl Window {
    /// Whether what was counted for `other` counts for this one: they differ in nothing but how much they allow.
    pub fn counts_like(&self, other: &Self) -> bool {
        self.of == other.of && self.period == other.period && self.time_zone == other.time_zone
    }

    /// In which stretch a movement of this second counts.
    pub fn stretch(&self, second: i64) -> Stretch {
        let Some(zone) = &self.time_zone else {
            let (part, length) = (self.period.part(), self.period.length());
            let from = second.div_euclid(part).saturating_mul(part);
            return Stretch {
                from,
                until: from.saturating_add(part).saturating_add(length),
            };
        };
        // Past the end of all calendars a window does not end any more.
        let forever = Stretch {
            from: i64::MIN,
            until: i64::MAX,
        };
        calendar(self.period, &zone.rules(), second).unwrap_or(forever)
    }
}

/// The hour, day, week or month that this second is in.
fn calendar(period: Period, zone: &TimeZone, second: i64) -> Option<Stretch> {
    let now = Instant::from_second(second).ok()?;
    if period == Period::Hour {
        let offset = i64::from(zone.to_offset(now).seconds());
        let from = second - (second + offset).rem_euclid(HOUR);
        return Some(Stretch {
            from,
            until: from + HOUR,
        });
    }
    let mut first = first_of(period, now.to_zoned(zone.clone()).date())?;
    // Where clocks go back over midnight the date alone does not tell which day it is: the bounds do.
    while second < begins(first, zone)? {
        first = before(period, first)?;
    }
    loop {
        let next = after(period, first)?;
        let (from, until) = (begins(first, zone)?, begins(next, zone)?);
        if second < until {
            return Some(Stretch { from, until });
        }
        first = next;
    }
}

/// The first day of a period.
fn first_of(period: Period, date: Date) -> Option<Date> {
    match period {
        Period::Hour | Period::Day => Some(date),
        Period::Week => {
            let since_monday = i64::from(date.weekday().to_monday_zero_offset());
            date.checked_sub(since_monday.days()).ok()
        }
        Period::Month => Some(date.first_of_month()),
    }
}

fn after(period: Period, first: Date) -> Option<Date> {
    match period {
        Period::Hour | Period::Day => first.checked_add(1.day()),
        Period::Week => first.checked_add(7.days()),
        Period::Month => first.checked_add(1.month()),
    }
    .ok()
}

fn before(period: Period, first: Date) -> Option<Date> {
    match period {
        Period::Hour | Period::Day => first.checked_sub(1.day()),
        Period::Week => first.checked_sub(7.days()),
        Period::Month => first.checked_sub(1.month()),
    }
    .ok()
}

/// The second at which a date begins: the first of two midnights, and the end of the gap where there is none.
fn begins(date: Date, zone: &TimeZone) -> Option<i64> {
    let midnight = date.to_zoned(zone.clone()).ok()?;
    Some(midnight.timestamp().as_second())
}
