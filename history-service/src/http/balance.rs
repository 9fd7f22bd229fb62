//! What one wallet held.

use axum::{Json, extract::State};
use shared::{
    WalletId,
    problem::Problem,
    server::{
        auth::Principal,
        request::{PathId, QueryParams},
    },
};

use super::{context::Api, query::BalanceQuery, response::BalanceBody};

pub(super) async fn find(
    State(api): State<Api>,
    Principal { caller, .. }: Principal,
    PathId(wallet): PathId<WalletId>,
    QueryParams(BalanceQuery { point, freshness }): QueryParams<BalanceQuery>,
) -> Result<Json<BalanceBody>, Problem> {
    let freshness = freshness.map(|wanted| api.bounded(wanted.of(wallet)));
    let standing = api
        .history
        .balance(wallet, point, freshness.as_ref(), &caller)
        .await?;
    Ok(Json(BalanceBody::of(wallet, point, standing)))
}
