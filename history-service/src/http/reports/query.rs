//! Which day, moment or months a report is of.

use schemars::json_schema;
use shared::{
    Currency, Timestamp,
    limits::Zone,
    problem::Code,
    server::request::{
        Fields, FromFields, InPath, Invalid, Value, describe::Shape, listing::moment, parse,
    },
};

use crate::{
    history::Period,
    http::{
        query::{AtLeast, freshness},
        statement::{Day, Month, month, zone},
    },
};

/// Of `GET /reports/daily`.
pub(in crate::http) struct DailyQuery {
    pub(super) currency: Currency,
    pub(super) date: String,
    pub(super) zone: Zone,
    pub(super) period: Period,
}

/// Of `GET /reports/trial-balance`.
pub(in crate::http) struct TrialBalanceQuery {
    pub(super) at: Option<Timestamp>,
}

/// Of `GET /wallets/{wallet_id}/summary`.
pub(in crate::http) struct SummaryQuery {
    pub(super) period: Option<Period>,
    pub(super) freshness: Option<AtLeast>,
}

/// The longest that is summed up in one answer: ten years.
const MONTHS_MAX: i32 = 120;
const QUARTER_MICROS: i64 = 15 * 60 * 1_000_000;

impl FromFields for DailyQuery {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let currency = fields
            .says("The currency that is reported on.")
            .required("currency", parse::with(Currency::read));
        let date = fields
            .says("The day, such as `2026-11-27`.")
            .required("date", date);
        let zone = fields
            .says("Whose calendar the day is of: a name of the IANA database. UTC when it is not given.")
            .optional("time_zone", zone);
        let zone = zone.unwrap_or_default();
        let date = date?;
        let Some(period) = date.period(&zone) else {
            let why = "is no day of that zone's calendar";
            fields.reject("date", Code::InvalidDate, why);
            return None;
        };
        Some(Self {
            currency: currency?,
            date: date.to_string(),
            zone,
            period,
        })
    }
}

impl FromFields for TrialBalanceQuery {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let at = fields
            .says("Before that moment, at which a quarter of an hour begins. All that is here, when it is not given.")
            .optional("at", quarter);
        Some(Self { at })
    }
}

impl FromFields for SummaryQuery {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let from = fields
            .says(
                "The first month, such as `2026-01`; with `to`. All months when neither is given.",
            )
            .optional("from", month);
        let to = fields.says("The last month.").optional("to", month);
        let freshness = freshness(fields);
        let period = months(fields, from, to);
        Some(Self { period, freshness })
    }
}

fn months(fields: &mut Fields, from: Option<Month>, to: Option<Month>) -> Option<Period> {
    if !fields.errors().is_empty() {
        return None;
    }
    let (from, to) = match (from, to) {
        (Some(from), Some(to)) => (from, to),
        (None, None) => return None,
        (Some(_), None) => {
            fields.reject("to", Code::MissingField, "is required with from");
            return None;
        }
        (None, Some(_)) => {
            fields.reject("from", Code::MissingField, "is required with to");
            return None;
        }
    };
    let length = to.number() - from.number() + 1;
    if length < 1 {
        fields.reject("to", Code::PeriodReversed, "must not be before from");
        return None;
    }
    if length > MONTHS_MAX {
        let why = format!("must be {MONTHS_MAX} months from `from` on at most");
        fields.reject("to", Code::PeriodTooLong, why);
        return None;
    }
    let utc = Zone::default();
    Some(Period {
        from: from.begins(&utc)?,
        to: to.next().begins(&utc)?,
    })
}

fn date(value: Value<'_>) -> Result<Day, Invalid> {
    let schema = json_schema!({"type": "string", "pattern": "^[0-9]{4}-(0[1-9]|1[0-2])-[0-9]{2}$", "examples": ["2026-11-27"]});
    value.describe(|| Shape::like(&[Code::InvalidDate], schema))?;
    let wrong = || {
        Invalid::new(
            Code::InvalidDate,
            format!("must be a day {}, such as 2026-11-27", Day::range()),
        )
    };
    Day::of(value.as_text()?).ok_or_else(wrong)
}

fn quarter(value: Value<'_>) -> Result<Timestamp, Invalid> {
    let schema = json_schema!({"type": "string", "examples": ["2026-11-27T00:00:00Z"]});
    value.describe(|| Shape::like(&[Code::InvalidValue, Code::InvalidMoment], schema))?;
    let at = moment(value.as_text()?)?;
    let begins = at.micros().rem_euclid(QUARTER_MICROS) == 0;
    let why = "must be a moment at which a quarter of an hour begins: totals are kept by these";
    begins
        .then_some(at)
        .ok_or_else(|| Invalid::new(Code::InvalidMoment, why))
}
