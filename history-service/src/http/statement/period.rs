//! Which period a statement is of, and in which form.

use std::fmt;

use schemars::json_schema;
use shared::{
    Timestamp,
    limits::Zone,
    problem::Code,
    server::request::{Fields, FromFields, Invalid, Value, describe::Shape, listing::moment},
};

use crate::{
    history::Period,
    http::query::{AtLeast, freshness},
};

/// Of `GET /wallets/{wallet_id}/statement`.
pub(in crate::http) struct StatementQuery {
    pub(super) asked: Asked,
    pub(super) format: Format,
    pub(super) freshness: Option<AtLeast>,
}

/// A period, and whose calendar it is of.
pub(in crate::http) struct Asked {
    pub(super) period: Period,
    pub(super) zone: Zone,
}

/// The forms of a statement.
#[derive(
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Debug,
    strum::Display,
    strum::EnumString,
    strum::VariantNames,
)]
#[strum(serialize_all = "snake_case")]
pub(in crate::http) enum Format {
    #[default]
    Json,
    Csv,
    Camt053,
    Html,
}

shared::closed_set_schema!(Format, "StatementFormat");

impl Format {
    pub(super) const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Camt053 => "application/xml",
            Self::Html => "text/html; charset=utf-8",
        }
    }

    pub(super) const fn extension(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Camt053 => "xml",
            Self::Html => "html",
        }
    }

    pub(super) const fn disposition(self) -> &'static str {
        match self {
            Self::Json | Self::Html => "inline",
            Self::Csv | Self::Camt053 => "attachment",
        }
    }
}

/// The longest period: ten years, so that what is asked for by mistake ends somewhere.
const PERIOD_DAYS_MAX: i64 = 3_660;
const DAY_SECONDS: i64 = 24 * 60 * 60;

impl FromFields for StatementQuery {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let zone = fields
            .says("Whose calendar months and days are of: a name of the IANA database. UTC when it is not given.")
            .optional("time_zone", zone);
        let month = fields
            .says("The calendar month, such as `2026-10`; in place of `from` and `to`.")
            .optional("month", month);
        let from = fields
            .says("From then on: a moment with a zone, or a day, which is its beginning in `time_zone`.")
            .optional("from", edge);
        let to = fields.says("Until before then.").optional("to", edge);
        let format = fields
            .says("`json` when it is not given; `csv` for spreadsheets, `camt053` for accounting (ISO 20022), `html` for people and paper.")
            .optional("format", format)
            .unwrap_or_default();
        let freshness = freshness(fields);
        let zone = zone.unwrap_or_default();
        let period = period(fields, &zone, month, (from, to))?;
        Some(Self {
            asked: Asked { period, zone },
            format,
            freshness,
        })
    }
}

/// None when it was refused.
fn period(
    fields: &mut Fields,
    zone: &Zone,
    month: Option<Month>,
    (from, to): (Option<Edge>, Option<Edge>),
) -> Option<Period> {
    if !fields.errors().is_empty() {
        return None;
    }
    if let Some(month) = month {
        if from.is_some() || to.is_some() {
            let why = "cannot be given with from and to: one of them says the period";
            fields.reject("month", Code::InvalidValue, why);
            return None;
        }
        let (from, to) = (month.begins(zone)?, month.next().begins(zone)?);
        return Some(Period { from, to });
    }
    let [from, to] = [("from", from), ("to", to)].map(|(name, edge)| {
        if edge.is_none() {
            fields.reject(
                name,
                Code::MissingField,
                "is required where no month is given",
            );
        }
        edge
    });
    let (from, to) = (from?.begins(zone)?, to?.begins(zone)?);
    if to <= from {
        fields.reject("to", Code::PeriodReversed, "must be after from");
        return None;
    }
    if to.seconds().saturating_sub(from.seconds()) > PERIOD_DAYS_MAX * DAY_SECONDS {
        let why = format!("must be {PERIOD_DAYS_MAX} days after from at most");
        fields.reject("to", Code::PeriodTooLong, why);
        return None;
    }
    Some(Period { from, to })
}

/// A month of a calendar.
#[derive(Clone, Copy)]
pub(in crate::http) struct Month {
    year: i16,
    month: i8,
}

impl Month {
    pub(in crate::http) const fn next(self) -> Self {
        if self.month == 12 {
            Self {
                year: self.year + 1,
                month: 1,
            }
        } else {
            Self {
                month: self.month + 1,
                ..self
            }
        }
    }

    pub(in crate::http) fn begins(self, zone: &Zone) -> Option<Timestamp> {
        let Self { year, month } = self;
        let first = Day {
            year,
            month,
            day: 1,
        };
        first.begins(zone)
    }

    /// Of all months, one after the other.
    pub(in crate::http) fn number(self) -> i32 {
        i32::from(self.year) * 12 + i32::from(self.month)
    }
}

/// A day of a calendar.
#[derive(Clone, Copy)]
pub(in crate::http) struct Day {
    year: i16,
    month: i8,
    day: i8,
}

impl Day {
    /// Of `2026-11-27`, where the calendar has that day.
    pub(in crate::http) fn of(text: &str) -> Option<Self> {
        let (year, rest) = text.split_once('-')?;
        let (month, day) = rest.split_once('-')?;
        let day = Self {
            year: digits(year, 4).filter(|year| YEARS.contains(year))?,
            month: digits(month, 2)?,
            day: digits(day, 2)?,
        };
        // That the calendar has it does not depend on the zone.
        day.begins(&Zone::default()).map(|_| day)
    }

    /// For those who sent another: `from 1970-01-01 to 9998-12-31`.
    pub(in crate::http) fn range() -> String {
        of_years("-01-01", "-12-31")
    }

    pub(in crate::http) fn begins(self, zone: &Zone) -> Option<Timestamp> {
        let Self { year, month, day } = self;
        Timestamp::from_seconds(zone.day_begins(year, month, day)?)
    }

    /// From its beginning to that of the next one.
    pub(in crate::http) fn period(self, zone: &Zone) -> Option<Period> {
        let Self { year, month, day } = self;
        let following = Self {
            day: day + 1,
            ..self
        };
        let month = Month { year, month };
        let to = following
            .begins(zone)
            .or_else(|| month.next().begins(zone))?;
        let from = self.begins(zone)?;
        Some(Period { from, to })
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day } = self;
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// Where a period begins or ends.
#[derive(Clone, Copy)]
enum Edge {
    Moment(Timestamp),
    Day(Day),
}

impl Edge {
    fn begins(self, zone: &Zone) -> Option<Timestamp> {
        match self {
            Self::Moment(moment) => Some(moment),
            Self::Day(day) => day.begins(zone),
        }
    }
}

/// Years that every calendar and every database has.
const YEARS: std::ops::RangeInclusive<i16> = 1970..=9998;

/// From within the first year to within the last.
fn of_years(first: &str, last: &str) -> String {
    format!("from {}{first} to {}{last}", YEARS.start(), YEARS.end())
}

pub(in crate::http) fn month(value: Value<'_>) -> Result<Month, Invalid> {
    let schema = json_schema!({"type": "string", "pattern": "^[0-9]{4}-(0[1-9]|1[0-2])$", "examples": ["2026-10"]});
    value.describe(|| Shape::like(&[Code::InvalidMonth], schema))?;
    let wrong = || {
        Invalid::new(
            Code::InvalidMonth,
            format!(
                "must be a month {}, such as 2026-10",
                of_years("-01", "-12")
            ),
        )
    };
    let (year, month) = value.as_text()?.split_once('-').ok_or_else(wrong)?;
    let month = Month {
        year: digits(year, 4).ok_or_else(wrong)?,
        month: digits(month, 2).ok_or_else(wrong)?,
    };
    let is_one = YEARS.contains(&month.year) && (1..=12).contains(&month.month);
    is_one.then_some(month).ok_or_else(wrong)
}

fn edge(value: Value<'_>) -> Result<Edge, Invalid> {
    let schema =
        json_schema!({"type": "string", "examples": ["2026-10-01", "2026-10-01T00:00:00Z"]});
    value.describe(|| Shape::like(&[Code::InvalidValue], schema))?;
    let text = value.as_text()?;
    if text.len() != 10 {
        return moment(text).map(Edge::Moment);
    }
    let wrong = || {
        let days = Day::range();
        Invalid::value(format!(
            "must be a day {days}, such as 2026-10-01, or a moment with a zone"
        ))
    };
    Day::of(text).map(Edge::Day).ok_or_else(wrong)
}

fn digits<T: std::str::FromStr>(text: &str, length: usize) -> Option<T> {
    let is_plain = text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain { text.parse().ok() } else { None }
}

pub(in crate::http) fn zone(value: Value<'_>) -> Result<Zone, Invalid> {
    value.describe(|| Shape::of::<Zone>(&[Code::UnknownTimeZone]))?;
    let zone = value.as_text()?.parse::<Zone>();
    zone.map_err(|error| Invalid::new(Code::UnknownTimeZone, error.to_string()))
}

fn format(value: Value<'_>) -> Result<Format, Invalid> {
    value.describe(|| Shape::of::<Format>(&[Code::UnknownFormat]))?;
    let format = value.as_text()?.parse::<Format>();
    format.map_err(|_| Invalid::new(Code::UnknownFormat, "must be json, csv, camt053 or html"))
}
