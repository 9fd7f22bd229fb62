//! For operators: where the projection is, and what it set aside.

use axum::{Json, extract::State};
use serde::Serialize;
use shared::{page::Page, problem::Problem, server::request::QueryParams};

use super::{Api, query::PageQuery};
use crate::{
    progress::Totals,
    status::{self, Quarantined},
};

#[derive(Serialize)]
pub(super) struct StatusBody {
    #[serde(flatten)]
    state: status::State,
    /// Since this instance started.
    instance: Totals,
}

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
