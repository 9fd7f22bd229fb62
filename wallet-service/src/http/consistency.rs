//! Whether the ledger agrees with itself, as the service sees it: a bounded part at a time.

use std::sync::Arc;

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::Serialize;
use shared::{
    Currency, Sequence, TransactionId, WalletId, page::Cursor, problem::Problem,
    schema::SignedAmount, server::request::QueryParams,
};

use super::{context::Api, query::CheckConsistency};
use crate::ledger::{
    consistency::{Finding, Total},
    store::consistency::Checked,
};

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Consistency")]
pub(super) struct ConsistencyBody {
    /// Whether all of this part holds.
    consistent: bool,
    /// What was looked at.
    wallets: usize,
    events: usize,
    transactions: usize,
    /// The balances of all wallets, by currency; told with the first part.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    totals: Vec<TotalBody>,
    findings: Vec<FindingBody>,
    /// Where the next part begins; `null` when all was looked at.
    next_cursor: Option<Cursor>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ConsistencyTotal")]
struct TotalBody {
    #[schemars(with = "Currency")]
    currency: String,
    wallets: i64,
    /// Zero, settlement wallets included.
    #[schemars(with = "SignedAmount")]
    balance: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ConsistencyFinding")]
struct FindingBody {
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    wallet_id: Option<WalletId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<Sequence>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_id: Option<TransactionId>,
    detail: String,
}

impl From<Finding> for FindingBody {
    fn from(finding: Finding) -> Self {
        let Finding {
            code,
            wallet_id,
            sequence,
            transaction_id,
            detail,
        } = finding;
        Self {
            code,
            wallet_id,
            sequence,
            transaction_id,
            detail,
        }
    }
}

impl From<Total> for TotalBody {
    fn from(total: Total) -> Self {
        let Total {
            currency,
            wallets,
            balance,
        } = total;
        let known = currency.parse().ok().zip(balance.parse().ok());
        let text = |(currency, minor): (Currency, i64)| currency.text(minor);
        Self {
            currency,
            wallets,
            balance: known.map_or(balance, text),
        }
    }
}

impl From<Checked> for ConsistencyBody {
    fn from(checked: Checked) -> Self {
        let Checked {
            wallets,
            events,
            transactions,
            totals,
            findings,
            next_cursor,
        } = checked;
        Self {
            consistent: findings.is_empty(),
            wallets,
            events,
            transactions,
            totals: totals.into_iter().map(TotalBody::from).collect(),
            findings: findings.into_iter().map(FindingBody::from).collect(),
            next_cursor,
        }
    }
}

pub(super) async fn check(
    State(api): State<Arc<Api>>,
    QueryParams(CheckConsistency { limit, cursor }): QueryParams<CheckConsistency>,
) -> Result<Json<ConsistencyBody>, Problem> {
    let checked = api.reader.check(limit, cursor.as_ref()).await?;
    Ok(Json(checked.into()))
}
