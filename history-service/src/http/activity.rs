//! What happened to all wallets of one user.

use axum::{Json, extract::State};
use shared::{
    UserId,
    problem::Problem,
    server::{
        auth::Principal,
        request::{PathValue, QueryParams},
    },
};

use super::{context::Api, error, query::ActivityQuery, response::ActivityBody};

pub(super) async fn list(
    State(api): State<Api>,
    Principal { caller, .. }: Principal,
    PathValue(user): PathValue<UserId>,
    QueryParams(ActivityQuery { listing, freshness }): QueryParams<ActivityQuery>,
) -> Result<Json<ActivityBody>, Problem> {
    if !caller.reach.includes(&user) {
        return Err(error::user_not_found(&user));
    }
    let freshness = freshness.map(|wanted| api.bounded(wanted));
    let page = api
        .history
        .of_user(&user, &listing, freshness.as_ref(), &caller)
        .await?;
    Ok(Json(page.into()))
}
