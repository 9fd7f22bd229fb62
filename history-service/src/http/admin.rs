//! For operators: where the projection is, and what it set aside.

use axum::{Json, extract::State};
use serde::Serialize;
use shared::{page::Page, problem::Problem, server::request::QueryParams};

use super::{Api, query::PageQuery};
use crate::{
    ingest::Totals,
    projection::{self, Quarantined},
};

#[derive(Serialize)]
pub(super) struct ProjectionBody {
    #[serde(flatten)]
    state: projection::State,
    /// Since this instance started.
    instance: Totals,
}

pub(super) async fn projection(State(api): State<Api>) -> Result<Json<ProjectionBody>, Problem> {
    let state = api.projection.state().await?;
    Ok(Json(ProjectionBody {
        state,
        instance: api.progress.totals(),
    }))
}

pub(super) async fn quarantine(
    State(api): State<Api>,
    QueryParams(PageQuery { limit, cursor }): QueryParams<PageQuery>,
) -> Result<Json<Page<Quarantined>>, Problem> {
    Ok(Json(api.projection.quarantine(limit, cursor).await?))
}
