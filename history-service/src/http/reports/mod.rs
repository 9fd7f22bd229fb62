//! What all wallets come to, for those who answer for the books; and what one wallet did, for its owner as well.

mod body;
mod query;

use axum::{Json, extract::State};
use shared::{
    Timestamp, WalletId,
    problem::{Code, Problem},
    server::{
        auth::Principal,
        request::{PathId, QueryParams},
    },
};

pub(super) use self::body::{DailyBody, SummaryBody, TrialBalanceBody};
use self::query::{DailyQuery, SummaryQuery, TrialBalanceQuery};
use super::context::Api;

pub(super) async fn daily(
    State(api): State<Api>,
    QueryParams(query): QueryParams<DailyQuery>,
) -> Result<Json<DailyBody>, Problem> {
    let now = Timestamp::now();
    if query.period.from > now {
        return Err(in_future("date", "is a day that has not begun"));
    }
    let daily = api.history.daily(query.currency, query.period).await?;
    let complete_until = api.progress.metrics().complete_until();
    Ok(Json(DailyBody::of(&query, &daily, complete_until)))
}

pub(super) async fn trial_balance(
    State(api): State<Api>,
    QueryParams(TrialBalanceQuery { at }): QueryParams<TrialBalanceQuery>,
) -> Result<Json<TrialBalanceBody>, Problem> {
    if at.is_some_and(|at| at > Timestamp::now()) {
        return Err(in_future("at", "is a moment that has not come"));
    }
    let balanced = api.history.trial_balance(at).await?;
    let complete_until = api.progress.metrics().complete_until();
    Ok(Json(TrialBalanceBody::of(at, &balanced, complete_until)))
}

pub(super) async fn summary(
    State(api): State<Api>,
    Principal { caller, .. }: Principal,
    PathId(wallet): PathId<WalletId>,
    QueryParams(SummaryQuery { period, freshness }): QueryParams<SummaryQuery>,
) -> Result<Json<SummaryBody>, Problem> {
    let freshness = freshness.map(|wanted| api.bounded(wanted.of(wallet)));
    let summary = api
        .history
        .summary(wallet, period, freshness.as_ref(), &caller)
        .await?;
    Ok(Json(SummaryBody::of(wallet, &summary)))
}

fn in_future(field: &str, why: &str) -> Problem {
    Problem::invalid_field(field, Code::DateInFuture, why.to_owned())
}
