//! What happened to all wallets of one user.

use axum::{Json, extract::State};
use shared::{
    UserId,
    event::EventItem,
    page::Page,
    problem::Problem,
    server::request::{PathValue, QueryParams},
};

use super::{context::Api, query::ActivityQuery};

pub(super) async fn list(
    State(api): State<Api>,
    PathValue(user): PathValue<UserId>,
    QueryParams(ActivityQuery { listing }): QueryParams<ActivityQuery>,
) -> Result<Json<Page<EventItem>>, Problem> {
    let page = api.history.of_user(&user, &listing).await?;
    Ok(Json(page.map(EventItem::from)))
}
