//! What the event of changed limits says: all that the wallet is limited by from then on. What was limited before and is not
//! named any more is free.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer, de::Error};

use super::{DataFields, Shape};
use crate::{
    Amount, Balance, Currency,
    digest::CanonicalBytes,
    limits::{Cap, Limits, Movements, Period, Window, Zone},
    money::minor_from_text,
    schema::SignedAmount,
};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LimitsChanged {
    /// The lowest available balance allowed.
    pub floor: Balance,
    pub limits: Limits,
}

/// The limits in JSON: amounts are text with the decimals of the currency.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(in crate::event) struct LimitsJson {
    /// The lowest available balance; below zero it is an overdraft.
    #[schemars(with = "SignedAmount")]
    floor: String,
    /// The most that the wallet may have.
    #[schemars(with = "Option<SignedAmount>")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ceiling: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    caps: Vec<CapJson>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    windows: Vec<WindowJson>,
}

/// The most that one movement may be.
#[derive(Serialize, Deserialize, JsonSchema)]
struct CapJson {
    #[schemars(with = "Movements")]
    of: String,
    #[schemars(with = "SignedAmount")]
    maximum: String,
}

/// How much may move in a stretch of time, or how often.
#[derive(Serialize, Deserialize, JsonSchema)]
struct WindowJson {
    #[schemars(with = "Movements")]
    of: String,
    #[schemars(with = "Period")]
    period: String,
    /// Whose calendar it follows; missing of one that rolls.
    #[schemars(with = "Option<Zone>")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time_zone: Option<String>,
    #[schemars(with = "Option<SignedAmount>")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    maximum: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    maximum_count: Option<u32>,
}

/// The limits in binary.
#[derive(Serialize, Deserialize)]
pub(in crate::event) struct LimitsFields<'a> {
    floor: i64,
    ceiling: Option<i64>,
    #[serde(borrow)]
    caps: Vec<CapFields<'a>>,
    #[serde(borrow)]
    windows: Vec<WindowFields<'a>>,
}

#[derive(Serialize, Deserialize)]
struct CapFields<'a> {
    of: &'a str,
    maximum: i64,
}

#[derive(Serialize, Deserialize)]
struct WindowFields<'a> {
    of: &'a str,
    period: &'a str,
    time_zone: Option<&'a str>,
    maximum: Option<i64>,
    maximum_count: Option<u32>,
}

fn wrong(error: impl std::fmt::Display) -> serde_json::Error {
    serde_json::Error::custom(format_args!("a limit {error}"))
}

fn read(text: &str, currency: Currency) -> serde_json::Result<i64> {
    minor_from_text(text, currency).map_err(wrong)
}

fn read_amount(text: &str, currency: Currency) -> serde_json::Result<Amount> {
    Amount::try_new(read(text, currency)?).ok_or_else(|| wrong("must be greater than zero"))
}

impl CapJson {
    fn cap(&self, currency: Currency) -> serde_json::Result<Cap> {
        Ok(Cap {
            of: self.of.parse().map_err(wrong)?,
            maximum: read_amount(&self.maximum, currency)?,
        })
    }
}

impl WindowJson {
    fn window(&self, currency: Currency) -> serde_json::Result<Window> {
        let maximum = self.maximum.as_deref();
        let maximum = maximum.map(|maximum| read_amount(maximum, currency));
        let time_zone = self.time_zone.as_deref().map(str::parse);
        Ok(Window {
            of: self.of.parse().map_err(wrong)?,
            period: self.period.parse().map_err(wrong)?,
            time_zone: time_zone.transpose().map_err(wrong)?,
            maximum: maximum.transpose()?,
            maximum_count: self.maximum_count,
        })
    }
}

impl LimitsChanged {
    pub(super) fn write<S: Serializer>(
        &self,
        currency: Currency,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let Self {
            floor,
            limits:
                Limits {
                    ceiling,
                    caps,
                    windows,
                },
        } = self;
        let cap = |Cap { of, maximum }: &Cap| CapJson {
            of: of.to_string(),
            maximum: currency.text(maximum.minor()),
        };
        let window = |window: &Window| {
            let Window {
                of,
                period,
                time_zone,
                maximum,
                maximum_count,
            } = window;
            WindowJson {
                of: of.to_string(),
                period: period.to_string(),
                time_zone: time_zone.as_ref().map(ToString::to_string),
                maximum: maximum.map(|maximum| currency.text(maximum.minor())),
                maximum_count: *maximum_count,
            }
        };
        let json = LimitsJson {
            floor: currency.text(floor.minor()),
            ceiling: ceiling.map(|ceiling| currency.text(ceiling.minor())),
            caps: caps.iter().map(cap).collect(),
            windows: windows.iter().map(window).collect(),
        };
        json.serialize(to)
    }

    pub(super) fn fields(&self) -> LimitsFields<'_> {
        let Self {
            floor,
            limits:
                Limits {
                    ceiling,
                    caps,
                    windows,
                },
        } = self;
        let cap = |Cap { of, maximum }: &Cap| CapFields {
            of: of.as_str(),
            maximum: maximum.minor(),
        };
        LimitsFields {
            floor: floor.minor(),
            ceiling: ceiling.map(Balance::minor),
            caps: caps.iter().map(cap).collect(),
            windows: windows.iter().map(WindowFields::of).collect(),
        }
    }

    pub(super) fn add_to(&self, bytes: &mut CanonicalBytes) {
        let Self {
            floor,
            limits:
                Limits {
                    ceiling,
                    caps,
                    windows,
                },
        } = self;
        let minor = |bytes: &mut CanonicalBytes, minor: i64| {
            bytes.raw(&minor.to_be_bytes());
        };
        bytes.raw(&floor.minor().to_be_bytes());
        bytes.optional(ceiling.map(Balance::minor), minor);
        bytes.length(caps.len());
        for Cap { of, maximum } in caps {
            bytes.text(of.as_str()).raw(&maximum.minor().to_be_bytes());
        }
        bytes.length(windows.len());
        for window in windows {
            let Window {
                of,
                period,
                time_zone,
                maximum,
                maximum_count,
            } = window;
            bytes
                .text(of.as_str())
                .text(period.as_str())
                .optional_text(time_zone.as_ref().map(|zone| zone.as_str()))
                .optional(maximum.map(Amount::minor), minor)
                .optional(*maximum_count, |bytes, count| {
                    bytes.raw(&count.to_be_bytes());
                });
        }
    }
}

impl<'a> WindowFields<'a> {
    fn of(window: &'a Window) -> Self {
        let Window {
            of,
            period,
            time_zone,
            maximum,
            maximum_count,
        } = window;
        Self {
            of: of.as_str(),
            period: period.as_str(),
            time_zone: time_zone.as_ref().map(|zone| zone.as_str()),
            maximum: maximum.map(Amount::minor),
            maximum_count: *maximum_count,
        }
    }

    fn window(&self) -> Option<Window> {
        let time_zone = self.time_zone.map(str::parse).transpose();
        let maximum = match self.maximum {
            Some(minor) => Some(Amount::try_new(minor)?),
            None => None,
        };
        Some(Window {
            of: self.of.parse().ok()?,
            period: self.period.parse().ok()?,
            time_zone: time_zone.ok()?,
            maximum,
            maximum_count: self.maximum_count,
        })
    }
}

impl Shape for LimitsChanged {
    type Json = LimitsJson;

    fn from_json(json: &str, currency: Currency) -> serde_json::Result<Self> {
        let LimitsJson {
            floor,
            ceiling,
            caps,
            windows,
        } = serde_json::from_str(json)?;
        let ceiling = ceiling
            .map(|ceiling| read(&ceiling, currency))
            .transpose()?;
        let caps = caps.iter().map(|cap| cap.cap(currency));
        let windows = windows.iter().map(|window| window.window(currency));
        Ok(Self {
            floor: Balance::new(read(&floor, currency)?),
            limits: Limits {
                ceiling: ceiling.map(Balance::new),
                caps: caps.collect::<serde_json::Result<_>>()?,
                windows: windows.collect::<serde_json::Result<_>>()?,
            },
        })
    }

    fn from_fields(fields: DataFields<'_>) -> Option<Self> {
        let DataFields::Limits(LimitsFields {
            floor,
            ceiling,
            caps,
            windows,
        }) = fields
        else {
            return None;
        };
        let cap = |cap: CapFields<'_>| {
            Some(Cap {
                of: cap.of.parse().ok()?,
                maximum: Amount::try_new(cap.maximum)?,
            })
        };
        Some(Self {
            floor: Balance::new(floor),
            limits: Limits {
                ceiling: ceiling.map(Balance::new),
                caps: caps.into_iter().map(cap).collect::<Option<_>>()?,
                windows: windows
                    .iter()
                    .map(WindowFields::window)
                    .collect::<Option<_>>()?,
            },
        })
    }
}
