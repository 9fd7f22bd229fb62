//! What happened to all wallets of one user.

use axum::{Json, extract::State};
use shared::{
    UserId,
    event::EventItem,
    page::Page,
    problem::Problem,
    server::{
        auth::Principal,
        request::{PathValue, QueryParams},
    },
};

use super::{context::Api, error, query::ActivityQuery};

pub(super) async fn list(
    State(api): State<Api>,
    Principal { caller, .. }: Principal,
    PathValue(user): PathValue<UserId>,
    QueryParams(ActivityQuery { listing, freshness }): QueryParams<ActivityQuery>,
) -> Result<Json<Page<EventItem>>, Problem> {
    if !caller.reach.includes(&user) {
        return Err(error::user_not_found(&user));
    }
    let freshness = freshness.map(|wanted| api.bounded(wanted));
    let page = api
        .history
        .of_user(&user, &listing, freshness.as_ref(), &caller)
        .await?;
    Ok(Json(page.map(EventItem::from)))
}
