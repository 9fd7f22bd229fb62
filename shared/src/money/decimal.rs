//! Amounts as decimal text: read strictly, refused when they do not fit, never rounded.

use std::{fmt, str::FromStr};

use rust_decimal::Decimal;

use super::{
    amount::{Amount, Balance},
    currency::Currency,
};

/// Why a text is not an amount.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AmountError {
    #[error(
        "must be digits with at most one decimal point, no leading zeros and digits on both sides of the point, such as \
         \"100.00\""
    )]
    Malformed,
    #[error("must be greater than zero")]
    NotPositive,
    #[error("has more decimals than {currency} allows ({})", currency.decimals())]
    TooPrecise { currency: Currency },
    #[error("has more decimals than any currency does")]
    TooPreciseForAny,
    #[error("is larger than this system can hold")]
    OutOfRange,
}

/// A positive amount as the caller wrote it, before the wallet has said which currency it is in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct DecimalAmount(Decimal);

impl DecimalAmount {
    /// The longest text that is looked at: more digits than any amount in range can have.
    const LENGTH_MAX: usize = 28;

    /// The amount in minor units of `currency`; refused, never rounded, when it does not fit.
    pub fn in_currency(self, currency: Currency) -> Result<Amount, AmountError> {
        let minor = minor_of(self.0, currency)?;
        Amount::try_new(minor).ok_or(AmountError::NotPositive)
    }

    /// The same amount without trailing zeros: `1.50` and `1.5` are one request.
    #[must_use]
    pub fn normalized(self) -> Self {
        Self(self.0.normalize())
    }
}

impl fmt::Display for DecimalAmount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for DecimalAmount {
    type Err = AmountError;

    /// Accepts `0|[1-9][0-9]*` with an optional fraction, and nothing else: no sign, exponent, space or separator.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = plain_digits(text)?;
        let zero = |part: &str| part.bytes().all(|byte| byte == b'0');
        if digits.negative || (zero(digits.whole) && zero(digits.fraction)) {
            return Err(AmountError::NotPositive);
        }
        digits.decimal(text).map(Self)
    }
}

/// A balance as the caller wrote it, which may be zero and below.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DecimalBalance(Decimal);

impl DecimalBalance {
    /// In minor units of `currency`; refused, never rounded, when it does not fit.
    pub fn in_currency(self, currency: Currency) -> Result<Balance, AmountError> {
        minor_of(self.0, currency).map(Balance::new)
    }

    /// The same without trailing zeros.
    #[must_use]
    pub fn normalized(self) -> Self {
        // Nothing is nothing, however it was written.
        if self.is_zero() {
            Self(Decimal::ZERO)
        } else {
            Self(self.0.normalize())
        }
    }

    pub const fn is_zero(&self) -> bool {
        self.0.is_zero()
    }

    /// Less than nothing.
    pub const fn is_negative(&self) -> bool {
        self.0.is_sign_negative() && !self.0.is_zero()
    }
}

impl fmt::Display for DecimalBalance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for DecimalBalance {
    type Err = AmountError;

    /// What [`DecimalAmount`] takes, with a minus sign perhaps, and zero.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        plain_digits(text)?.decimal(text).map(Self)
    }
}

fn minor_of(decimal: Decimal, currency: Currency) -> Result<i64, AmountError> {
    let decimals = u32::from(currency.decimals());
    let missing = decimals
        .checked_sub(decimal.scale())
        .ok_or(AmountError::TooPrecise { currency })?;
    10_i128
        .checked_pow(missing)
        .and_then(|factor| decimal.mantissa().checked_mul(factor))
        .and_then(|minor| i64::try_from(minor).ok())
        .ok_or(AmountError::OutOfRange)
}

/// Plain decimal text, taken apart.
struct Digits<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
}

impl Digits<'_> {
    /// The number; refused by its longer part when there are more digits than are looked at.
    fn decimal(&self, text: &str) -> Result<Decimal, AmountError> {
        if self.whole.len() > WHOLE_MAX {
            return Err(AmountError::OutOfRange);
        }
        if self.whole.len() + self.fraction.len() >= DecimalAmount::LENGTH_MAX {
            return Err(AmountError::TooPreciseForAny);
        }
        Decimal::from_str_exact(text).map_err(|_| AmountError::OutOfRange)
    }
}

/// Digits before the point of the largest amount in a currency without decimals.
const WHOLE_MAX: usize = 19;

/// `0|[1-9][0-9]*` with an optional fraction, after an optional minus sign.
fn plain_digits(text: &str) -> Result<Digits<'_>, AmountError> {
    let unsigned = text.strip_prefix('-');
    let negative = unsigned.is_some();
    let unsigned = unsigned.unwrap_or(text);
    let (whole, fraction) = match unsigned.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (unsigned, None),
    };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let leading_zero = whole.len() > 1 && whole.starts_with('0');
    if !digits(whole) || leading_zero || !fraction.is_none_or(digits) {
        return Err(AmountError::Malformed);
    }
    Ok(Digits {
        negative,
        whole,
        fraction: fraction.unwrap_or_default(),
    })
}

/// Reads signed decimal text of a known currency back into minor units, e.g. from an event.
pub fn minor_from_text(text: &str, currency: Currency) -> Result<i64, AmountError> {
    let decimal = plain_digits(text)?.decimal(text)?;
    if decimal.scale() != u32::from(currency.decimals()) {
        return Err(AmountError::TooPrecise { currency });
    }
    i64::try_from(decimal.mantissa()).map_err(|_| AmountError::OutOfRange)
}
