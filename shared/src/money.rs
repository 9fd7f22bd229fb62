//! Money: whole minor units of an ISO 4217 currency, and only checked arithmetic.
//!
//! [`Amount`] is what a command asks for (strictly positive), [`Change`] is what happened to one wallet (signed, never
//! zero), [`Balance`] is what a wallet holds (signed: a settlement wallet may be negative). Decimal text exists only at
//! the edge: it is parsed strictly, refused when it carries more decimals than the currency has, and never rounded.

use std::{
    fmt::{self, Write},
    str::FromStr,
};

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
    /// A sign, a point and the digits of 64 bits.
    const TEXT_CAPACITY: usize = 24;

    /// How many decimals its amounts have: 2 for USD, 0 for JPY, 3 for KWD.
    pub const fn decimals(self) -> u16 {
        self.decimals
    }

    pub fn code(self) -> &'static str {
        self.iso.code()
    }

    /// Minor units as decimal text with exactly the currency's decimals: `-3000` in USD is `-30.00`.
    pub fn text(self, minor: i64) -> String {
        let decimals = usize::from(self.decimals);
        let minus = usize::from(minor < 0);
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

    fn decimal(self, minor: i64) -> Decimal {
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

/// Why a text is not an amount.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AmountError {
    #[error("must be digits with at most one decimal point, such as \"100.00\"")]
    Malformed,
    #[error("must be greater than zero")]
    NotPositive,
    #[error("has more decimals than {currency} allows ({})", currency.decimals())]
    TooPrecise { currency: Currency },
    #[error("is larger than this system can hold")]
    OutOfRange,
}

/// A positive amount as the caller wrote it, before the wallet has said which currency it is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DecimalAmount(Decimal);

impl DecimalAmount {
    /// The longest text that is looked at: more digits than any amount in range can have.
    const LENGTH_MAX: usize = 28;

    /// The amount in minor units of `currency`; refused, never rounded, when it does not fit.
    pub fn in_currency(self, currency: Currency) -> Result<Amount, AmountError> {
        let decimals = u32::from(currency.decimals());
        let missing = decimals
            .checked_sub(self.0.scale())
            .ok_or(AmountError::TooPrecise { currency })?;
        let minor = 10_i128
            .checked_pow(missing)
            .and_then(|factor| self.0.mantissa().checked_mul(factor))
            .and_then(|minor| i64::try_from(minor).ok())
            .ok_or(AmountError::OutOfRange)?;
        Amount::try_new(minor).ok_or(AmountError::NotPositive)
    }
}

impl DecimalAmount {
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
        let decimal = parse_decimal(text)?;
        if decimal.is_zero() || decimal.is_sign_negative() {
            Err(AmountError::NotPositive)
        } else {
            Ok(Self(decimal))
        }
    }
}

/// Plain decimal text, with an optional minus sign.
fn parse_decimal(text: &str) -> Result<Decimal, AmountError> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = match unsigned.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (unsigned, None),
    };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let leading_zero = whole.len() > 1 && whole.starts_with('0');
    if !digits(whole) || leading_zero || !fraction.is_none_or(digits) {
        return Err(AmountError::Malformed);
    }
    if unsigned.len() > DecimalAmount::LENGTH_MAX {
        return Err(AmountError::OutOfRange);
    }
    Decimal::from_str_exact(text).map_err(|_| AmountError::OutOfRange)
}

/// What a command moves: minor units, strictly positive.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Amount(i64);

impl Amount {
    pub const fn try_new(minor: i64) -> Option<Self> {
        if minor > 0 { Some(Self(minor)) } else { None }
    }

    pub const fn minor(self) -> i64 {
        self.0
    }

    /// This amount arriving at a wallet.
    pub const fn credit(self) -> Change {
        Change(self.0)
    }

    /// This amount leaving a wallet.
    pub const fn debit(self) -> Change {
        Change(-self.0)
    }
}

/// What happened to one wallet: signed minor units, never zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Change(i64);

impl Change {
    pub const fn try_new(minor: i64) -> Option<Self> {
        if minor == 0 { None } else { Some(Self(minor)) }
    }

    pub const fn minor(self) -> i64 {
        self.0
    }
}

/// What a wallet holds: signed minor units.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Balance(i64);

impl Balance {
    pub const ZERO: Self = Self(0);

    pub const fn new(minor: i64) -> Self {
        Self(minor)
    }

    pub const fn minor(self) -> i64 {
        self.0
    }

    /// The balance after `change`, or `None` when it would leave the range of 64 bits.
    pub const fn after(self, change: Change) -> Option<Self> {
        match self.0.checked_add(change.0) {
            Some(minor) => Some(Self(minor)),
            None => None,
        }
    }
}

/// Stores a [`Balance`], [`Amount`] or [`Change`] as its minor units: `#[serde(with = "as_minor")]`.
///
/// The types do not serialise by themselves, so that minor units cannot reach a caller by accident.
pub mod as_minor {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    use super::{Amount, Balance, Change};

    /// A value that is a number of minor units.
    pub trait Minor: Copy + Sized {
        fn to_minor(self) -> i64;
        fn from_minor(minor: i64) -> Option<Self>;
    }

    macro_rules! minor {
        ($name:ident, $from:expr) => {
            impl Minor for $name {
                fn to_minor(self) -> i64 {
                    self.minor()
                }

                fn from_minor(minor: i64) -> Option<Self> {
                    $from(minor)
                }
            }
        };
    }

    minor!(Amount, Amount::try_new);
    minor!(Change, Change::try_new);
    minor!(Balance, |minor| Some(Balance::new(minor)));

    pub fn serialize<M: Minor, S: Serializer>(value: &M, serializer: S) -> Result<S::Ok, S::Error> {
        value.to_minor().serialize(serializer)
    }

    pub fn deserialize<'de, M: Minor, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<M, D::Error> {
        let minor = i64::deserialize(deserializer)?;
        M::from_minor(minor).ok_or_else(|| D::Error::custom("minor units out of range"))
    }

    /// The same for a value that may be missing.
    pub mod option {
        use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

        use super::Minor;

        pub fn serialize<M: Minor, S: Serializer>(
            value: &Option<M>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            value.map(Minor::to_minor).serialize(serializer)
        }

        pub fn deserialize<'de, M: Minor, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<M>, D::Error> {
            let Some(minor) = Option::<i64>::deserialize(deserializer)? else {
                return Ok(None);
            };
            M::from_minor(minor)
                .map(Some)
                .ok_or_else(|| D::Error::custom("minor units out of range"))
        }
    }
}

/// Reads signed decimal text of a known currency back into minor units, e.g. from an event.
pub fn minor_from_text(text: &str, currency: Currency) -> Result<i64, AmountError> {
    let decimal = parse_decimal(text)?;
    if decimal.scale() != u32::from(currency.decimals()) {
        return Err(AmountError::TooPrecise { currency });
    }
    i64::try_from(decimal.mantissa()).map_err(|_| AmountError::OutOfRange)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn currency(code: &str) -> Currency {
        code.parse().unwrap()
    }

    fn minor(text: &str, code: &str) -> Result<i64, AmountError> {
        text.parse::<DecimalAmount>()?
            .in_currency(currency(code))
            .map(Amount::minor)
    }

    #[test]
    fn an_amount_has_the_decimals_of_its_currency() {
        assert_eq!(minor("100.00", "USD"), Ok(10_000));
        assert_eq!(minor("100", "USD"), Ok(10_000));
        assert_eq!(minor("100.5", "USD"), Ok(10_050));
        assert_eq!(minor("700", "JPY"), Ok(700));
        assert_eq!(minor("1.250", "KWD"), Ok(1_250));
        assert_eq!(minor("0.0001", "CLF"), Ok(1));
    }

    #[test]
    fn more_decimals_than_the_currency_has_are_refused_not_rounded() {
        assert_eq!(
            minor("1.005", "USD"),
            Err(AmountError::TooPrecise {
                currency: currency("USD")
            })
        );
        assert_eq!(
            minor("1.000", "USD"),
            Err(AmountError::TooPrecise {
                currency: currency("USD")
            })
        );
        assert_eq!(
            minor("700.0", "JPY"),
            Err(AmountError::TooPrecise {
                currency: currency("JPY")
            })
        );
    }

    #[test]
    fn anything_but_plain_digits_is_malformed() {
        for text in [
            "", " 1 ", "1e3", "NaN", "+1", "1_000", "1,5", ".5", "5.", "01", "00", "１", "0x1",
            "1.2.3", "--1", "inf",
        ] {
            assert_eq!(minor(text, "USD"), Err(AmountError::Malformed), "{text:?}");
        }
    }

    #[test]
    fn zero_and_less_are_not_amounts() {
        for text in ["0", "0.00", "-1", "-0.01", "-0"] {
            assert_eq!(
                minor(text, "USD"),
                Err(AmountError::NotPositive),
                "{text:?}"
            );
        }
    }

    #[test]
    fn the_range_ends_at_64_bits_of_minor_units() {
        assert_eq!(minor("92233720368547758.07", "USD"), Ok(i64::MAX));
        assert_eq!(
            minor("92233720368547758.08", "USD"),
            Err(AmountError::OutOfRange)
        );
        assert_eq!(minor(&"9".repeat(28), "USD"), Err(AmountError::OutOfRange));
        assert_eq!(minor(&"9".repeat(400), "USD"), Err(AmountError::OutOfRange));
    }

    #[test]
    fn only_currencies_with_minor_units_are_known() {
        for code in ["XXX", "XAU", "XTS", "usd", "US", "ABC", "", "USDX"] {
            assert!(code.parse::<Currency>().is_err(), "{code:?}");
        }
    }

    #[test]
    fn every_currency_has_the_decimals_iso_4217_gives_it() {
        // Only the ones that differ from two, from the published list (ISO 4217:2015 amendment 177 and later).
        let zero = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF";
        let three = "BHD IQD JOD KWD LYD OMR TND";
        let four = "CLF UYW";
        for first in 'A'..='Z' {
            for second in 'A'..='Z' {
                for third in 'A'..='Z' {
                    let code: String = [first, second, third].iter().collect();
                    let Ok(known) = code.parse::<Currency>() else {
                        continue;
                    };
                    let expected = match code.as_str() {
                        code if zero.contains(code) => 0,
                        code if three.contains(code) => 3,
                        code if four.contains(code) => 4,
                        _ => 2,
                    };
                    assert_eq!(known.decimals(), expected, "{code}");
                }
            }
        }
    }

    #[test]
    fn people_see_signs_and_programs_see_plain_decimals() {
        assert_eq!(currency("GBP").display(700), "£7.00");
        assert_eq!(currency("JPY").display(700), "¥700");
        assert_eq!(currency("KWD").display(1_250), "KWD 1.250");
        assert_eq!(currency("USD").display(-3_000), "-$30.00");
        assert_eq!(currency("USD").text(0), "0.00");
        assert_eq!(currency("JPY").text(0), "0");
        assert_eq!(currency("KWD").text(-5), "-0.005");
        assert_eq!(currency("USD").text(i64::MIN), "-92233720368547758.08");
    }

    #[test]
    fn a_balance_never_wraps() {
        assert_eq!(
            Balance::new(i64::MAX).after(Amount::try_new(1).unwrap().credit()),
            None
        );
        assert_eq!(
            Balance::new(i64::MIN).after(Amount::try_new(1).unwrap().debit()),
            None
        );
    }

    proptest! {
        #[test]
        fn text_and_minor_units_are_the_same_value(minor in any::<i64>(), code in prop::sample::select(vec!["USD", "JPY", "KWD", "CLF"])) {
            let currency = currency(code);
            prop_assert_eq!(minor_from_text(&currency.text(minor), currency), Ok(minor));
            prop_assert_eq!(currency.text(minor), currency.decimal(minor).to_string());
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,40}") {
            let _ = minor(&text, "USD");
        }
    }
}
