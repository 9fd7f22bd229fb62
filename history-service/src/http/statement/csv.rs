//! A statement for spreadsheets: RFC 4180, in UTF-8.
//!
//! What a caller wrote is never run: a spreadsheet takes a cell that begins with certain characters for a formula, so such a
//! text gets an apostrophe before it. Amounts are numbers, and their minus is none of these.

use super::{Form, Heading, Line, Noted, Totals};

pub(super) struct Csv;

const TITLES: &str = "number,sequence,occurred_at,kind,amount,balance_after,currency,transaction_id,\
    counterparty_wallet_id,reference,description\r\n";

/// What begins a formula, also in the wide forms that some take for the same.
const BEGINS_FORMULA: [char; 11] = [
    '=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
];

impl Form for Csv {
    fn head(&self, heading: &Heading) -> String {
        let account = &heading.account;
        let balance = account.currency.text(account.opening_balance.minor());
        let opening = summary(
            heading,
            &heading.period.from.to_string(),
            (
                balance_kind(heading, "opening_balance").as_str(),
                "",
                &balance,
            ),
        );
        format!("{TITLES}{opening}")
    }

    fn line(&self, heading: &Heading, number: u64, line: &Line) -> String {
        let currency = heading.account.currency;
        let Noted {
            reference,
            description,
        } = line.noted.clone();
        let id = |id: Option<String>| id.unwrap_or_default();
        let own = |text: Option<String>| cell(&text.unwrap_or_default());
        format!(
            "{number},{},{},{},{},{},{currency},{},{},{},{}\r\n",
            line.sequence,
            line.occurred_at,
            cell(&line.kind),
            currency.text(line.amount.minor()),
            currency.text(line.balance_after.minor()),
            id(line.transaction_id.map(|id| id.to_string())),
            id(line.counterparty_wallet_id.map(|id| id.to_string())),
            own(reference),
            own(description),
        )
    }

    fn foot(&self, heading: &Heading, totals: Totals) -> String {
        let account = &heading.account;
        let to = heading.period.to.to_string();
        let sum = |minor| account.currency.text_of_sum(minor);
        let balance = account.currency.text(account.closing_balance.minor());
        let closing = balance_kind(heading, "closing_balance");
        [
            ("total_in", sum(totals.credits).as_str(), ""),
            ("total_out", sum(totals.debits).as_str(), ""),
            (closing.as_str(), "", balance.as_str()),
        ]
        .map(|row| summary(heading, &to, row))
        .concat()
    }
}

/// Of a period that is not over, both ends say so.
fn balance_kind(heading: &Heading, kind: &str) -> String {
    let provisional = if heading.is_provisional {
        " (provisional)"
    } else {
        ""
    };
    format!("{kind}{provisional}")
}

/// A row that is no line.
fn summary(heading: &Heading, moment: &str, (kind, amount, balance): (&str, &str, &str)) -> String {
    let currency = heading.account.currency;
    format!(",,{moment},{kind},{amount},{balance},{currency},,,,\r\n")
}

/// A text as a cell that is a text to every spreadsheet.
fn cell(text: &str) -> String {
    let apostrophe = if text.trim_start_matches(' ').starts_with(BEGINS_FORMULA) {
        "'"
    } else {
        ""
    };
    if apostrophe.is_empty() && !text.contains([',', '"', '\r', '\n', ';']) {
        return text.to_owned();
    }
    format!("\"{apostrophe}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula_and_none_ends_before_its_end() {
        for (text, expected) in [
            ("order-7", "order-7"),
            ("", ""),
            ("a, b", "\"a, b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("=1+1", "\"'=1+1\""),
            ("+49", "\"'+49\""),
            ("-2", "\"'-2\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            (" =1", "\"' =1\""),
            ("\u{ff1d}1", "\"'\u{ff1d}1\""),
            ("=HYPERLINK(\"x\")", "\"'=HYPERLINK(\"\"x\"\")\""),
        ] {
            assert_eq!(cell(text), expected, "{text}");
        }
    }
}
