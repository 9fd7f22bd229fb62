//! What is asked of a wallet's limits, and what a caller is told of one that stands in the way.

use serde::{Deserialize, Serialize, Serializer};
use shared::{
    Amount, Balance, Currency, Timestamp,
    limits::{Movements, Period, Window, WindowUse, Zone},
    money::{DecimalAmount, DecimalBalance, as_minor},
    problem::Code,
};

use super::wallet::AMOUNT_MAX_LIMIT;

/// The field of that name, which may be as far from zero as one command may ever move.
pub const FLOOR: &str = "floor";
pub const FLOOR_MAX: Amount = AMOUNT_MAX_LIMIT;

/// All that a wallet is to be limited by: what is left out is not limited. Amounts are as the caller wrote them, for only the
/// wallet says which currency they are in.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct AskedLimits {
    /// Zero when it is left out.
    #[serde(
        serialize_with = "balance_as_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub floor: Option<DecimalBalance>,
    #[serde(
        serialize_with = "amount_as_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub ceiling: Option<DecimalAmount>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub caps: Vec<AskedCap>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<AskedWindow>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct AskedCap {
    pub of: Movements,
    #[serde(serialize_with = "text_of_amount")]
    pub maximum: DecimalAmount,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct AskedWindow {
    pub of: Movements,
    pub period: Period,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<Zone>,
    #[serde(
        serialize_with = "amount_as_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub maximum: Option<DecimalAmount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_count: Option<u32>,
}

fn text_of_amount<S: Serializer>(amount: &DecimalAmount, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&amount.normalized())
}

fn amount_as_text<S: Serializer>(amount: &Option<DecimalAmount>, to: S) -> Result<S::Ok, S::Error> {
    match amount {
        Some(amount) => text_of_amount(amount, to),
        None => to.serialize_none(),
    }
}

fn balance_as_text<S: Serializer>(
    balance: &Option<DecimalBalance>,
    to: S,
) -> Result<S::Ok, S::Error> {
    match balance {
        Some(balance) => to.collect_str(&balance.normalized()),
        None => to.serialize_none(),
    }
}

/// What a caller is told of the limit that was met. Stored with the refusal.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "limit", rename_all = "snake_case")]
pub enum LimitTold {
    Ceiling {
        #[serde(with = "as_minor")]
        maximum: Balance,
        /// How much may come in still.
        #[serde(with = "as_minor")]
        left: Balance,
    },
    Cap {
        of: Movements,
        #[serde(with = "as_minor")]
        maximum: Amount,
    },
    Window {
        #[serde(flatten)]
        window: Window,
        #[serde(
            default,
            with = "as_minor::option",
            skip_serializing_if = "Option::is_none"
        )]
        left: Option<Balance>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        left_count: Option<u32>,
        /// When it would pass; none when it never will.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// Of a wallet that the caller does not reach nothing is told but that it has one.
    Untold,
}

impl From<WindowUse> for LimitTold {
    fn from(passed: WindowUse) -> Self {
        Self::Window {
            left: passed.left(),
            left_count: passed.left_count(),
            until: passed.until,
            window: passed.window,
        }
    }
}

/// Why a wallet cannot have the limits that are asked for. Stored with the refusal.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "unfit", rename_all = "snake_case")]
pub enum LimitsUnfit {
    /// An amount of a limit is none in the wallet's currency.
    Amount {
        field: String,
        currency: Currency,
        is_too_precise: bool,
    },
    /// A wallet cannot be put below its floor.
    FloorAboveAvailable {
        currency: Currency,
        #[serde(with = "as_minor")]
        floor: Balance,
        #[serde(with = "as_minor")]
        available: Balance,
    },
    /// No balance would be allowed.
    CeilingBelowFloor {
        currency: Currency,
        #[serde(with = "as_minor")]
        ceiling: Balance,
        #[serde(with = "as_minor")]
        floor: Balance,
    },
}

impl LimitsUnfit {
    /// Under which code callers are told.
    pub const fn code(&self) -> Code {
        match self {
            Self::Amount { is_too_precise, .. } if *is_too_precise => Code::AmountTooPrecise,
            Self::Amount { .. } => Code::AmountOutOfRange,
            Self::FloorAboveAvailable { .. } => Code::InsufficientFunds,
            Self::CeilingBelowFloor { .. } => Code::InvalidValue,
        }
    }
}
