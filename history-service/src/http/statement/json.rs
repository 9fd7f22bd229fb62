//! A statement as a JSON document.

use schemars::JsonSchema;
use serde::Serialize;
use shared::{
    Currency, Sequence, Timestamp, TransactionId, UserId, WalletId, schema::SignedAmount,
};

use super::{Form, Heading, Line, Noted, Totals};

/// A statement. It is written in this order.
#[derive(JsonSchema)]
#[schemars(rename = "Statement")]
#[expect(
    dead_code,
    reason = "says how the parts look together that are written one by one"
)]
pub(in crate::http) struct StatementBody {
    #[schemars(flatten)]
    head: HeadBody,
    lines: Vec<LineBody>,
    #[schemars(flatten)]
    foot: FootBody,
}

#[derive(Serialize, JsonSchema)]
struct HeadBody {
    wallet_id: WalletId,
    user_id: UserId,
    currency: Currency,
    from: Timestamp,
    /// The period ends before this moment.
    to: Timestamp,
    /// Whose calendar the period is of.
    time_zone: String,
    /// There, and `true`, when the period is not over: what comes until then will be in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    provisional: Option<bool>,
    #[schemars(with = "SignedAmount")]
    opening_balance: String,
}

/// Money that moved.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "StatementLine")]
struct LineBody {
    /// From 1 on.
    number: u64,
    sequence: Sequence,
    occurred_at: Timestamp,
    kind: String,
    #[schemars(with = "SignedAmount")]
    amount: String,
    /// The running balance.
    #[schemars(with = "SignedAmount")]
    balance_after: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_id: Option<TransactionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    counterparty_wallet_id: Option<WalletId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct FootBody {
    totals: TotalsBody,
    #[schemars(with = "SignedAmount")]
    closing_balance: String,
    /// The first event of the period, whatever it is of. The next period's is `last_sequence` and one.
    first_sequence: Sequence,
    /// The last event of the period; of one without events, the one before `first_sequence`.
    last_sequence: Sequence,
}

/// What came in and what went out, both positive.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "StatementTotals")]
struct TotalsBody {
    #[serde(rename = "in")]
    #[schemars(with = "SignedAmount")]
    credits: String,
    #[serde(rename = "out")]
    #[schemars(with = "SignedAmount")]
    debits: String,
}

pub(super) struct Json;

impl Form for Json {
    fn head(&self, heading: &Heading) -> String {
        let Heading {
            account,
            period,
            zone,
            is_provisional,
        } = heading;
        let head = HeadBody {
            wallet_id: account.wallet_id,
            user_id: account.user_id.clone(),
            currency: account.currency,
            from: period.from,
            to: period.to,
            time_zone: zone.to_string(),
            provisional: is_provisional.then_some(true),
            opening_balance: account.currency.text(account.opening_balance.minor()),
        };
        let head = text(&head);
        format!("{},\"lines\":[", head.trim_end_matches('}'))
    }

    fn line(&self, heading: &Heading, number: u64, line: &Line) -> String {
        let currency = heading.account.currency;
        let Noted {
            reference,
            description,
        } = line.noted.clone();
        let comma = if number == 1 { "" } else { "," };
        let line = LineBody {
            number,
            sequence: line.sequence,
            occurred_at: line.occurred_at,
            kind: line.kind.clone(),
            amount: currency.text(line.amount.minor()),
            balance_after: currency.text(line.balance_after.minor()),
            transaction_id: line.transaction_id,
            counterparty_wallet_id: line.counterparty_wallet_id,
            reference,
            description,
        };
        format!("{comma}{}", text(&line))
    }

    fn foot(&self, heading: &Heading, totals: Totals) -> String {
        let account = &heading.account;
        let foot = FootBody {
            totals: TotalsBody {
                credits: account.currency.text_of_sum(totals.credits),
                debits: account.currency.text_of_sum(totals.debits),
            },
            closing_balance: account.currency.text(account.closing_balance.minor()),
            first_sequence: account.first_sequence,
            last_sequence: account.last_sequence,
        };
        format!("],{}", text(&foot).trim_start_matches('{'))
    }
}

/// Texts and numbers under text keys always serialise.
fn text(part: &impl Serialize) -> String {
    serde_json::to_string(part).unwrap_or_default()
}
