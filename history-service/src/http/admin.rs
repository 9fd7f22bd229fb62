//! For operators: where the projection is, and what it set aside.

use axum::{Json, extract::State};
use shared::{page::Page, problem::Problem, server::request::QueryParams};

use super::{context::Api, query::PageQuery, response::StatusBody};
use crate::status::Quarantined;

pub(super) async fn projection(State(api): State<Api>) -> Result<Json<StatusBody>, Problem> {
    let state = api.status.state().await?;
    Ok(Json(StatusBody {
        state,
        instance: api.progress.totals(),
    }))
}

pub(super) async fn quarantine(
    State(api): State<Api>,
    QueryParams(PageQuery { limit, cursor }): QueryParams<PageQuery>,
) -> Result<Json<Page<Quarantined>>, Problem> {
    Ok(Json(api.status.quarantine(limit, cursor).await?))
}
