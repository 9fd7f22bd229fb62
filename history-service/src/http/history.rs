//! What happened to one wallet.

use axum::{Json, extract::State};
use shared::{
    WalletId,
    problem::Problem,
    server::{
        auth::Principal,
        request::{PathId, QueryParams},
    },
};

use super::{context::Api, query::HistoryQuery, response::HistoryBody};

pub(super) async fn list(
    State(api): State<Api>,
    Principal { caller, .. }: Principal,
    PathId(wallet): PathId<WalletId>,
    QueryParams(HistoryQuery { listing, freshness }): QueryParams<HistoryQuery>,
) -> Result<Json<HistoryBody>, Problem> {
    let freshness = freshness.map(|wanted| api.bounded(wanted.of(wallet)));
    let page = api
        .history
        .of_wallet(wallet, &listing, freshness.as_ref(), &caller)
        .await?;
    Ok(Json(page.into()))
}
