//! What the events of a freeze say: which way no money moves, why, until when; and why it moves again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DataFields, Shape};
use crate::{Currency, Timestamp, digest::CanonicalBytes};

/// Which way money does not move while a wallet is frozen.
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
#[strum(serialize_all = "snake_case", const_into_str, parse_err_ty = UnknownDirection, parse_err_fn = UnknownDirection::of)]
pub enum FreezeDirection {
    /// None leaves.
    Debit,
    /// None comes in.
    Credit,
    /// Neither.
    All,
}

impl FreezeDirection {
    pub const ALL: &'static [Self] = <Self as strum::VariantArray>::VARIANTS;

    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("must be debit, credit or all")]
pub struct UnknownDirection;

impl UnknownDirection {
    const fn of(_: &str) -> Self {
        Self
    }
}

/// Since when a freeze stands, and who put it there, the event says itself. One that was there before is over.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Frozen {
    pub direction: FreezeDirection,
    pub reason: String,
    /// When it ends by itself; without one it stands until it is lifted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// Frozen in binary.
#[derive(Serialize, Deserialize)]
pub(in crate::event) struct FrozenFields<'a> {
    direction: &'a str,
    reason: &'a str,
    until_micros: Option<i64>,
}

impl Frozen {
    pub(super) fn fields(&self) -> FrozenFields<'_> {
        let Self {
            direction,
            reason,
            until,
        } = self;
        FrozenFields {
            direction: direction.as_str(),
            reason,
            until_micros: until.map(Timestamp::micros),
        }
    }

    pub(super) fn add_to(&self, bytes: &mut CanonicalBytes) {
        let Self {
            direction,
            reason,
            until,
        } = self;
        bytes
            .text(direction.as_str())
            .text(reason)
            .optional(*until, |bytes, until| {
                bytes.raw(&until.micros().to_be_bytes());
            });
    }
}

impl Shape for Frozen {
    type Json = Self;

    fn from_json(json: &str, _: Currency) -> serde_json::Result<Self> {
        serde_json::from_str(json)
    }

    fn from_fields(fields: DataFields<'_>) -> Option<Self> {
        let DataFields::Frozen(FrozenFields {
            direction,
            reason,
            until_micros,
        }) = fields
        else {
            return None;
        };
        let until = match until_micros {
            Some(micros) => Some(Timestamp::from_micros(micros)?),
            None => None,
        };
        Some(Self {
            direction: direction.parse().ok()?,
            reason: reason.to_owned(),
            until,
        })
    }
}

/// Why a freeze is over.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Serialize,
    Deserialize,
    JsonSchema,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum UnfreezeCause {
    /// It was lifted.
    Request,
    /// Its end came.
    Expiry,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Unfrozen {
    pub cause: UnfreezeCause,
    /// Of who lifted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Unfrozen in binary.
#[derive(Serialize, Deserialize)]
pub(in crate::event) struct UnfrozenFields<'a> {
    cause: &'a str,
    reason: Option<&'a str>,
}

impl Unfrozen {
    pub(super) fn fields(&self) -> UnfrozenFields<'_> {
        let Self { cause, reason } = self;
        UnfrozenFields {
            cause: cause.into_str(),
            reason: reason.as_deref(),
        }
    }

    pub(super) fn add_to(&self, bytes: &mut CanonicalBytes) {
        let Self { cause, reason } = self;
        bytes
            .text(cause.into_str())
            .optional_text(reason.as_deref());
    }
}

impl Shape for Unfrozen {
    type Json = Self;

    fn from_json(json: &str, _: Currency) -> serde_json::Result<Self> {
        serde_json::from_str(json)
    }

    fn from_fields(fields: DataFields<'_>) -> Option<Self> {
        let DataFields::Unfrozen(UnfrozenFields { cause, reason }) = fields else {
            return None;
        };
        Some(Self {
            cause: cause.parse().ok()?,
            reason: reason.map(str::to_owned),
        })
    }
}
