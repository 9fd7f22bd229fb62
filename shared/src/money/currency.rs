//! Currencies, and how an amount of one is written.

use std::{
    fmt::{self, Write},
    str::FromStr,
};

use iso_currency::IntoEnumIterator;
use rust_decimal::Decimal;
use serde_with::{DeserializeFromStr, SerializeDisplay};

/// A currency of ISO 4217 that has minor units (so not gold, `XXX` or the test code).
#[derive(Clone, Copy, PartialEq, Eq, Hash, SerializeDisplay, DeserializeFromStr)]
pub struct Currency {
    iso: iso_currency::Currency,
    decimals: u16,
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0:?} is not an ISO 4217 currency code with minor units, such as USD, JPY or KWD")]
pub struct UnknownCurrency(pub String);

impl Currency {
    pub const USD: Self = Self {
        iso: iso_currency::Currency::USD,
        decimals: 2,
    };

    /// A sign, a point and the digits of 64 bits.
    const TEXT_CAPACITY: usize = 24;

    /// All of them, by code.
    pub fn all() -> Vec<Self> {
        let with_minor_units = |iso: iso_currency::Currency| {
            let decimals = iso.exponent()?;
            Some(Self { iso, decimals })
        };
        let mut all: Vec<_> = iso_currency::Currency::iter()
            .filter_map(with_minor_units)
            .collect();
        all.sort_unstable_by_key(|currency| currency.code());
        all
    }

    /// How many decimals its amounts have: 2 for USD, 0 for JPY, 3 for KWD.
    pub const fn decimals(self) -> u16 {
        self.decimals
    }

    pub fn code(self) -> &'static str {
        self.iso.code()
    }

    /// Its number in ISO 4217, three digits.
    pub fn numeric_code(self) -> String {
        format!("{:03}", self.iso.numeric())
    }

    /// What it is called in English: `Euro`.
    pub fn name(&self) -> &str {
        self.iso.name()
    }

    /// Minor units as decimal text with exactly the currency's decimals: `-3000` in USD is `-30.00`.
    pub fn text(self, minor: i64) -> String {
        self.text_of(minor, minor < 0)
    }

    /// The same of a sum of many, which may be more than one amount can be.
    pub fn text_of_sum(self, minor: i128) -> String {
        self.text_of(minor, minor < 0)
    }

    fn text_of(self, minor: impl fmt::Display, is_negative: bool) -> String {
        let decimals = usize::from(self.decimals);
        let minus = usize::from(is_negative);
        let mut text = String::with_capacity(Self::TEXT_CAPACITY);
        // Zeros up to the digit before the point; a text is always written to memory.
        let written = write!(text, "{minor:0width$}", width = minus + 1 + decimals);
        debug_assert!(written.is_ok(), "{minor} was not written");
        if decimals > 0 {
            text.insert(text.len() - decimals, '.');
        }
        text
    }

    /// For people: `£7.00`, `¥700`, `-$30.00`, `KWD 1.250`.
    ///
    /// A sign is used only for the currency that people mean by it; all others are shown by their code.
    pub fn display(self, minor: i64) -> String {
        let magnitude = self.decimal(minor).abs();
        let minus = if minor < 0 { "-" } else { "" };
        match self.sign() {
            Some(sign) => format!("{minus}{sign}{magnitude}"),
            None => format!("{minus}{} {magnitude}", self.code()),
        }
    }

    pub(super) fn decimal(self, minor: i64) -> Decimal {
        Decimal::from_i128_with_scale(i128::from(minor), u32::from(self.decimals))
    }

    fn sign(self) -> Option<&'static str> {
        match self.code() {
            "USD" => Some("$"),
            "EUR" => Some("€"),
            "GBP" => Some("£"),
            "JPY" => Some("¥"),
            "INR" => Some("₹"),
            "KRW" => Some("₩"),
            _ => None,
        }
    }
}

impl FromStr for Currency {
    type Err = UnknownCurrency;

    fn from_str(code: &str) -> Result<Self, Self::Err> {
        let unknown = || UnknownCurrency(code.to_owned());
        let iso = iso_currency::Currency::from_code(code).ok_or_else(unknown)?;
        let decimals = iso.exponent().ok_or_else(unknown)?;
        Ok(Self { iso, decimals })
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
