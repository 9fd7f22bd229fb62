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
    from: String,
    to: String,
    zone: &'a str,
    opening: String,
    closing: String,
    is_provisional: bool,
}

#[derive(Template)]
#[template(path = "statement/line.html")]
struct Row<'a> {
    number: u64,
    at: String,
    kind: &'a str,
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
        rendered(&Head {
            style: STYLE,
            wallet: account.wallet_id.to_string(),
            user: account.user_id.as_str(),
            currency: account.currency.code(),
            currency_name: account.currency.name().to_owned(),
            from: clock(period.from.seconds()),
            to: clock(period.to.seconds()),
            zone: zone.as_str(),
            opening: account.currency.display(account.opening_balance.minor()),
            closing: account.currency.display(account.closing_balance.minor()),
            is_provisional: *is_provisional,
        })
    }

    fn line(&self, heading: &Heading, number: u64, line: &Line) -> String {
        let currency = heading.account.currency;
        let Noted {
            reference,
            description,
        } = Noted::of(line);
        let clock = heading.zone.clock_text(line.occurred_at.seconds());
        rendered(&Row {
            number,
            at: clock.unwrap_or_default(),
            kind: &line.kind,
            amount: currency.text(line.amount.minor()),
            is_debit: line.amount.minor() < 0,
            balance: currency.text(line.balance_after.minor()),
            description,
            reference,
            counterparty: line.counterparty_wallet_id.map(|id| id.to_string()),
        })
    }

    fn foot(&self, heading: &Heading, totals: Totals) -> String {
        let account = &heading.account;
        rendered(&Foot {
            lines: totals.lines,
            credits: account.currency.text_of_sum(totals.credits),
            debits: account.currency.text_of_sum(totals.debits),
            closing: account.currency.text(account.closing_balance.minor()),
            first_sequence: account.first_sequence.get(),
            last_sequence: account.last_sequence.get(),
        })
    }
}

/// A template of texts that are there already always renders.
fn rendered(template: &impl Template) -> String {
    template.render().unwrap_or_default()
}
