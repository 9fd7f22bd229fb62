//! A statement for people, on a screen and on paper: HTML with its style in it, no script, and nothing of another host.

use askama::Template;

use super::{Form, Heading, Line, Noted, Totals};

pub(super) struct Html;

#[derive(Template)]
#[template(path = "statement/head.html")]
struct Head<'a> {
    style: &'static str,
    wallet: String,
    user: &'a str,
    currency: &'static str,
    currency_name: String,
    /// The days of it, or the moments where it is not of days.
    period: [String; 2],
    from: String,
    to: String,
    zone: &'a str,
    opening: String,
    closing: String,
    /// The opening balance as a column has it.
    before: String,
    is_provisional: bool,
}

#[derive(Template)]
#[template(path = "statement/line.html")]
struct Row<'a> {
    number: u64,
    day: &'a str,
    time: &'a str,
    kind: String,
    amount: String,
    is_debit: bool,
    balance: String,
    description: Option<String>,
    reference: Option<String>,
    counterparty: Option<String>,
}

#[derive(Template)]
#[template(path = "statement/foot.html")]
struct Foot {
    currency: &'static str,
    lines: u64,
    credits: String,
    debits: String,
    closing: String,
    first_sequence: i64,
    last_sequence: i64,
}

const STYLE: &str = include_str!("../../../templates/statement/statement.css");

impl Form for Html {
    fn head(&self, heading: &Heading) -> String {
        let Heading {
            account,
            period,
            zone,
            is_provisional,
        } = heading;
        let clock = |second: i64| zone.clock_text(second).unwrap_or_default();
        let (from, to) = (period.from.seconds(), period.to.seconds());
        let opening = account.opening_balance.minor();
        rendered(&Head {
            style: STYLE,
            wallet: account.wallet_id.to_string(),
            user: account.user_id.as_str(),
            currency: account.currency.code(),
            currency_name: account.currency.name().to_owned(),
            period: days([clock(from), clock(to)], || clock(to.saturating_sub(1))),
            from: clock(from),
            to: clock(to),
            zone: zone.as_str(),
            opening: for_people(&account.currency.display(opening)),
            closing: for_people(&account.currency.display(account.closing_balance.minor())),
            before: for_people(&account.currency.text(opening)),
            is_provisional: *is_provisional,
        })
    }

    fn line(&self, heading: &Heading, number: u64, line: &Line) -> String {
        let currency = heading.account.currency;
        let Noted {
            reference,
            description,
        } = line.noted.clone();
        let clock = heading.zone.clock_text(line.occurred_at.seconds());
        let clock = clock.unwrap_or_default();
        let (day, time) = clock.split_once(' ').unwrap_or((&clock, ""));
        let amount = for_people(&currency.text(line.amount.minor()));
        let is_debit = line.amount.minor() < 0;
        rendered(&Row {
            number,
            day,
            time,
            kind: in_words(&line.kind),
            amount: if is_debit {
                amount
            } else {
                format!("+{amount}")
            },
            is_debit,
            balance: for_people(&currency.text(line.balance_after.minor())),
            description,
            reference,
            counterparty: line.counterparty_wallet_id.map(|id| id.to_string()),
        })
    }

    fn foot(&self, heading: &Heading, totals: Totals) -> String {
        let account = &heading.account;
        rendered(&Foot {
            currency: account.currency.code(),
            lines: totals.lines,
            credits: for_people(&account.currency.text_of_sum(totals.credits)),
            debits: for_people(&account.currency.text_of_sum(totals.debits)),
            closing: for_people(&account.currency.text(account.closing_balance.minor())),
            first_sequence: account.first_sequence.get(),
            last_sequence: account.last_sequence.get(),
        })
    }
}

/// The first and the last day of a period that begins and ends with a day; its two moments else.
fn days([from, to]: [String; 2], last_second: impl FnOnce() -> String) -> [String; 2] {
    const MIDNIGHT: &str = " 00:00:00";
    let is_of_days = from.ends_with(MIDNIGHT) && to.ends_with(MIDNIGHT);
    if !is_of_days {
        return [from, to];
    }
    let day = |clock: &str| clock.split(' ').next().unwrap_or_default().to_owned();
    [day(&from), day(&last_second())]
}

/// `transfer.received` as people say it, whatever kinds there will be: `Transfer received`.
fn in_words(kind: &str) -> String {
    let words = kind.replace(['.', '_'], " ");
    let mut letters = words.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

/// An amount with commas between its thousands, and with a minus that is as wide as a digit.
fn for_people(amount: &str) -> String {
    let begins = amount.find(|character: char| character.is_ascii_digit());
    let (before, number) = amount.split_at(begins.unwrap_or(amount.len()));
    let (whole, decimals) = number.split_at(number.find('.').unwrap_or(number.len()));
    let mut text = before.replace('-', "\u{2212}");
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text.push_str(decimals);
    text
}

/// A template of texts that are there already always renders.
fn rendered(template: &impl Template) -> String {
    template.render().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_apart_and_a_minus_is_one() {
        for (amount, expected) in [
            ("0.00", "0.00"),
            ("-30.00", "\u{2212}30.00"),
            ("999", "999"),
            ("1000", "1,000"),
            ("-$1234567.89", "\u{2212}$1,234,567.89"),
            ("KWD 12345.678", "KWD 12,345.678"),
            ("92233720368547758.07", "92,233,720,368,547,758.07"),
        ] {
            assert_eq!(for_people(amount), expected);
        }
    }

    #[test]
    fn a_period_of_days_is_told_by_its_first_and_its_last() {
        let clocks = |from: &str, to: &str| {
            let last = || "2026-10-31 23:59:59".to_owned();
            days([from.to_owned(), to.to_owned()], last)
        };
        assert_eq!(
            clocks("2026-10-01 00:00:00", "2026-11-01 00:00:00"),
            ["2026-10-01", "2026-10-31"]
        );
        let moments = ["2026-10-01 08:30:00", "2026-11-01 00:00:00"];
        assert_eq!(clocks(moments[0], moments[1]), moments);
    }

    #[test]
    fn a_kind_is_told_in_words_also_one_of_a_later_build() {
        assert_eq!(in_words("transfer.received"), "Transfer received");
        assert_eq!(in_words("fee.of_month"), "Fee of month");
        assert_eq!(in_words(""), "");
    }
}
