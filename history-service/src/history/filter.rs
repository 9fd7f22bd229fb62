//! Which events a listing holds: the filter, and the one place where it becomes a condition on rows.
//!
//! Time and transaction say where to look, so they choose the statement or its bounds ([`statement`](super::statement)), and
//! so does the currency, which is a wallet's. Everything else is a condition here. Cursors are bound to all of it, because
//! they are bound to its serialised form.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_with::{DisplayFromStr, serde_as, skip_serializing_none};
use shared::{
    Amount, Currency, Timestamp, TransactionId, WalletId,
    event::EventKind,
    money::{AmountError, DecimalAmount},
};

use super::statement::Statement;

/// What is not asked for is left out of the serialised form, so that a filter of a later build leaves the cursors valid
/// that this one gave out.
#[serde_as]
#[skip_serializing_none]
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize)]
pub struct Filter {
    /// Any of these; all kinds when empty.
    #[serde_as(as = "BTreeSet<DisplayFromStr>")]
    pub kinds: BTreeSet<EventKind>,
    /// Not before this moment.
    pub from: Option<Timestamp>,
    /// Before this moment.
    pub to: Option<Timestamp>,
    pub transaction_id: Option<TransactionId>,
    /// Of wallets in this currency.
    pub currency: Option<Currency>,
    #[serde_as(as = "Option<DisplayFromStr>")]
    pub direction: Option<Direction>,
    /// Of movements, whichever way they went.
    #[serde_as(as = "Option<DisplayFromStr>")]
    pub min_amount: Option<DecimalAmount>,
    #[serde_as(as = "Option<DisplayFromStr>")]
    pub max_amount: Option<DecimalAmount>,
    pub counterparty_wallet_id: Option<WalletId>,
    /// As the caller of the movement wrote it.
    pub reference: Option<String>,
    pub metadata: Option<Metadatum>,
}

/// One entry that `metadata` has to have.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Metadatum {
    pub key: String,
    pub value: String,
}

/// Which way money went, as the wallet sees it.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, strum::Display, strum::EnumString, strum::VariantNames,
)]
#[strum(serialize_all = "snake_case", parse_err_ty = UnknownDirection, parse_err_fn = UnknownDirection::of)]
pub enum Direction {
    /// It left.
    Debit,
    /// It came in.
    Credit,
}

shared::closed_set_schema!(Direction, "MovementDirection");

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("must be debit or credit")]
pub struct UnknownDirection;

impl UnknownDirection {
    const fn of(_: &str) -> Self {
        Self
    }
}

/// An amount of a filter that the wallet's currency does not have.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{parameter} {why}")]
pub struct AmountUnfit {
    pub parameter: &'static str,
    pub why: AmountError,
}

impl Filter {
    /// Whether it compares amounts, which mean something only within a currency.
    pub fn has_amounts(&self) -> bool {
        self.min_amount.is_some() || self.max_amount.is_some()
    }

    /// What each row has to meet. `currency` is that of the rows, where amounts are compared.
    pub(super) fn conditions(
        &self,
        currency: Option<Currency>,
    ) -> Result<Conditions<'_>, AmountUnfit> {
        let minor = |parameter, amount: Option<DecimalAmount>| {
            let Some((amount, currency)) = amount.zip(currency) else {
                return Ok(None);
            };
            let amount = amount.in_currency(currency);
            let fit = amount.map_err(|why| AmountUnfit { parameter, why });
            fit.map(|amount: Amount| Some(amount.minor()))
        };
        Ok(Conditions {
            least: minor("min_amount", self.min_amount)?,
            most: minor("max_amount", self.max_amount)?,
            filter: self,
        })
    }
}

/// What is looked at row by row.
pub(super) struct Conditions<'a> {
    filter: &'a Filter,
    /// In minor units.
    least: Option<i64>,
    most: Option<i64>,
}

impl Conditions<'_> {
    /// Every row meets them.
    pub(super) fn is_empty(&self) -> bool {
        let mut sql = Statement::new("");
        self.push(&mut sql);
        sql.sql().as_str().is_empty()
    }

    /// Adds ` and …` for each that is asked for, to a `where` over rows of `events`.
    pub(super) fn push(&self, sql: &mut Statement) {
        let Filter {
            kinds,
            from: _,
            to: _,
            transaction_id: _,
            currency: _,
            direction,
            min_amount: _,
            max_amount: _,
            counterparty_wallet_id,
            reference,
            metadata,
        } = self.filter;
        if !kinds.is_empty() {
            let kinds = Vec::from_iter(kinds.iter().copied());
            sql.push(" and kind = any (").push_bind(kinds).push(")");
        }
        match direction {
            Some(Direction::Debit) => {
                sql.push(" and amount < 0");
            }
            Some(Direction::Credit) => {
                sql.push(" and amount > 0");
            }
            None => {}
        }
        if let Some(least) = self.least {
            sql.push(" and abs(amount) >= ").push_bind(least);
        }
        if let Some(most) = self.most {
            sql.push(" and abs(amount) <= ").push_bind(most);
        }
        if let Some(counterparty) = counterparty_wallet_id {
            sql.push(" and counterparty_wallet_id = ")
                .push_bind(*counterparty);
        }
        if let Some(reference) = reference {
            push_member(sql, ("reference", reference), " ->> ");
        }
        if let Some(Metadatum { key, value }) = metadata {
            push_member(sql, (key, value), " -> 'metadata' ->> ");
        }
    }
}

/// That the data of an event has this member. Few rows have its text anywhere, and only those are read as JSON. What is
/// written there holds no NUL, which `jsonb` cannot hold: a row that has one is not read.
fn push_member(sql: &mut Statement, (key, value): (&str, &str), path: &str) {
    // A text always serialises.
    let json = |text: &str| serde_json::to_string(text).unwrap_or_default();
    sql.push(" and case when strpos(data, ")
        .push_bind(format!("{}:{}", json(key), json(value)))
        .push(r") > 0 and data !~ '(^|[^\\])(\\\\)*\\u0000' then data::jsonb")
        .push(path)
        .push_bind(key.to_owned())
        .push(" = ")
        .push_bind(value.to_owned())
        .push(" else false end");
}
