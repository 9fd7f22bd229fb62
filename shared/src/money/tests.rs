//! Money by example: exact text, checked arithmetic, and what each currency prescribes.

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
    let rule = AmountError::Malformed.to_string();
    for part in [
        "one decimal point",
        "no leading zeros",
        "digits on both sides",
    ] {
        assert!(rule.contains(part), "{rule}");
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

#[test]
fn too_many_decimals_are_told_as_such_however_many_there_are() {
    for zeros in [26, 27, 54, 5_000] {
        let ten_cents = format!("0.1{}", "0".repeat(zeros));
        let refused = minor(&ten_cents, "USD").unwrap_err();
        assert_eq!(refused, AmountError::TooPreciseForAny, "{zeros}");
        let nothing = format!("0.{}", "0".repeat(zeros));
        assert_eq!(minor(&nothing, "USD"), Err(AmountError::NotPositive));
        assert_eq!(
            minor(&format!("-{ten_cents}"), "USD"),
            Err(AmountError::NotPositive)
        );
    }
}

#[test]
fn what_may_be_negative_or_nothing_is_read_as_strictly() {
    let minor = |text: &str, code: &str| {
        let balance = text.parse::<DecimalBalance>()?.in_currency(currency(code));
        balance.map(Balance::minor)
    };
    assert_eq!(minor("-30.00", "USD"), Ok(-3_000));
    assert_eq!(minor("30", "USD"), Ok(3_000));
    assert_eq!(minor("-0.00", "USD"), Ok(0));
    assert_eq!(minor("-700", "JPY"), Ok(-700));
    assert_eq!(minor("-92233720368547758.08", "USD"), Ok(i64::MIN));
    assert_eq!(
        minor("92233720368547758.08", "USD"),
        Err(AmountError::OutOfRange)
    );
    let usd = currency("USD");
    assert_eq!(
        minor("-0.001", "USD"),
        Err(AmountError::TooPrecise { currency: usd })
    );
    for text in ["", "--1", "+1", "1e3", "- 1", "-.5", "-01", "-"] {
        assert_eq!(minor(text, "USD"), Err(AmountError::Malformed), "{text:?}");
    }
    let text = |text: &str| {
        text.parse::<DecimalBalance>()
            .unwrap()
            .normalized()
            .to_string()
    };
    assert_eq!(text("-1.50"), "-1.5");
    assert_eq!(text("-0.00"), "0");
}
