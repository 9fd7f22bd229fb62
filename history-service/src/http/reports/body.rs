//! How reports look.

use schemars::JsonSchema;
use serde::Serialize;
use shared::{Currency, Sequence, Timestamp, WalletId, limits::Zone, schema::SignedAmount};

use super::query::DailyQuery;
use crate::history::{Balanced, Daily, OfKind, OfMonth, Summary, Totals};

/// What wallets have in all.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Totals")]
struct TotalsBody {
    /// The balances of all users.
    #[schemars(with = "SignedAmount")]
    customers: String,
    /// The balances of the system's wallets, which stand for the world outside: what went in, with a minus.
    #[schemars(with = "SignedAmount")]
    outside: String,
    /// How much of the users' balances is set aside.
    #[schemars(with = "SignedAmount")]
    held: String,
}

impl TotalsBody {
    fn of(currency: Currency, totals: Totals) -> Self {
        Self {
            customers: currency.text_of_sum(totals.customers),
            outside: currency.text_of_sum(totals.outside),
            held: currency.text_of_sum(totals.held),
        }
    }
}

/// What happened in a currency on a day.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DailyReport")]
pub(in crate::http) struct DailyBody {
    currency: Currency,
    date: String,
    time_zone: Zone,
    /// When the day begins, and when the next one does.
    from: Timestamp,
    to: Timestamp,
    /// All that was in the topic by then is counted. Left out before that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    complete_until: Option<Timestamp>,
    /// Something may still be counted to this day: it is not over, or not all of it is here.
    is_provisional: bool,
    opening: TotalsBody,
    /// What users were given from outside.
    #[serde(rename = "in")]
    #[schemars(with = "SignedAmount")]
    inward: String,
    /// What left them for outside.
    #[serde(rename = "out")]
    #[schemars(with = "SignedAmount")]
    outward: String,
    /// What went from user to user.
    #[schemars(with = "SignedAmount")]
    moved: String,
    /// What was set aside, and what of that was captured, released or expired.
    #[schemars(with = "SignedAmount")]
    held: String,
    #[schemars(with = "SignedAmount")]
    freed: String,
    closing: TotalsBody,
    /// What happened to users' wallets.
    events: i64,
    kinds: Vec<KindBody>,
}

/// What events of one kind came to.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TotalsOfKind")]
struct KindBody {
    kind: String,
    events: i64,
    #[serde(rename = "in")]
    #[schemars(with = "SignedAmount")]
    credits: String,
    #[serde(rename = "out")]
    #[schemars(with = "SignedAmount")]
    debits: String,
}

impl DailyBody {
    pub(super) fn of(query: &DailyQuery, daily: &Daily, complete_until: Option<Timestamp>) -> Self {
        let currency = query.currency;
        let (outside, customers): (Vec<&OfKind>, Vec<&OfKind>) =
            daily.kinds.iter().partition(|kind| kind.is_outside);
        let sum = |kinds: &[&OfKind], of: fn(&OfKind) -> i128| -> i128 {
            let sums = kinds.iter().map(|kind| of(kind));
            sums.fold(0, i128::saturating_add)
        };
        let inward = sum(&outside, |kind| kind.debits);
        let credits = sum(&customers, |kind| kind.credits);
        Self {
            currency,
            date: query.date.clone(),
            time_zone: query.zone.clone(),
            from: query.period.from,
            to: query.period.to,
            complete_until,
            is_provisional: complete_until.is_none_or(|until| until < query.period.to),
            opening: TotalsBody::of(currency, daily.opening),
            inward: currency.text_of_sum(inward),
            outward: currency.text_of_sum(sum(&outside, |kind| kind.credits)),
            moved: currency.text_of_sum(credits.saturating_sub(inward)),
            held: currency.text_of_sum(sum(&customers, |kind| kind.held)),
            freed: currency.text_of_sum(sum(&customers, |kind| kind.freed)),
            closing: TotalsBody::of(currency, daily.closing()),
            events: customers.iter().map(|kind| kind.events).sum(),
            kinds: customers
                .iter()
                .map(|kind| KindBody::of(currency, kind))
                .collect(),
        }
    }
}

impl KindBody {
    fn of(currency: Currency, of: &OfKind) -> Self {
        Self {
            kind: of.kind.clone(),
            events: of.events,
            credits: currency.text_of_sum(of.credits),
            debits: currency.text_of_sum(of.debits),
        }
    }

    fn of_month(currency: Currency, of: &OfMonth) -> Self {
        Self {
            kind: of.kind.clone(),
            events: of.events,
            credits: currency.text_of_sum(of.credits),
            debits: currency.text_of_sum(of.debits),
        }
    }
}

/// What all wallets have, in each currency.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TrialBalance")]
pub(in crate::http) struct TrialBalanceBody {
    /// Before that moment, if one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<Timestamp>,
    /// All that was in the topic by then is counted. Left out before that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    complete_until: Option<Timestamp>,
    currencies: Vec<CurrencyBody>,
}

/// What all wallets of a currency have.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TrialBalanceOfCurrency")]
struct CurrencyBody {
    currency: Currency,
    #[serde(flatten)]
    totals: TotalsBody,
    /// Of customers and outside: zero, once all legs of all transactions are here.
    #[schemars(with = "SignedAmount")]
    sum: String,
}

impl TrialBalanceBody {
    pub(super) fn of(
        at: Option<Timestamp>,
        balanced: &[Balanced],
        complete_until: Option<Timestamp>,
    ) -> Self {
        let of_currency = |Balanced { currency, totals }: &Balanced| CurrencyBody {
            currency: *currency,
            totals: TotalsBody::of(*currency, *totals),
            sum: currency.text_of_sum(totals.sum()),
        };
        Self {
            at,
            complete_until,
            currencies: balanced.iter().map(of_currency).collect(),
        }
    }
}

/// What a wallet did, month by month.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Summary")]
pub(in crate::http) struct SummaryBody {
    wallet_id: WalletId,
    currency: Currency,
    /// The wallet's last event that is here.
    applied_sequence: Sequence,
    /// In UTC, those in which something happened.
    months: Vec<MonthBody>,
}

/// What a wallet did in a month.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SummaryOfMonth")]
struct MonthBody {
    month: String,
    events: i64,
    #[serde(rename = "in")]
    #[schemars(with = "SignedAmount")]
    credits: String,
    #[serde(rename = "out")]
    #[schemars(with = "SignedAmount")]
    debits: String,
    kinds: Vec<KindBody>,
}

impl SummaryBody {
    pub(super) fn of(wallet_id: WalletId, summary: &Summary) -> Self {
        let currency = summary.currency;
        let months = summary.months.chunk_by(|one, next| one.month == next.month);
        Self {
            wallet_id,
            currency,
            applied_sequence: summary.applied_sequence,
            months: months.map(|kinds| MonthBody::of(currency, kinds)).collect(),
        }
    }
}

impl MonthBody {
    fn of(currency: Currency, kinds: &[OfMonth]) -> Self {
        let sum = |of: fn(&OfMonth) -> i128| -> i128 {
            kinds.iter().map(of).fold(0, i128::saturating_add)
        };
        let month = kinds.first().map_or("", |of| &of.month);
        Self {
            month: month.get(..7).unwrap_or_default().to_owned(),
            events: kinds.iter().map(|of| of.events).sum(),
            credits: currency.text_of_sum(sum(|of| of.credits)),
            debits: currency.text_of_sum(sum(|of| of.debits)),
            kinds: kinds
                .iter()
                .map(|of| KindBody::of_month(currency, of))
                .collect(),
        }
    }
}
