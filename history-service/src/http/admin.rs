//! For operators: where the projection is, what it set aside, and what becomes of that.

use axum::{Json, extract::State};
use shared::{
    page::Page,
    problem::Problem,
    server::request::{JsonBody, PathValue, QueryParams},
};

use super::{
    context::Api,
    query::{DiscardBody, QuarantineQuery, ReplayBody},
    response::{OutcomeBody, StatusBody},
};
use crate::{
    ingest::upkeep::{Decision, Verdict},
    status::{Kept, KeptInFull},
};

pub(super) async fn projection(State(api): State<Api>) -> Result<Json<StatusBody>, Problem> {
    let state = api.status.state().await?;
    Ok(Json(StatusBody {
        state,
        instance: api.progress.totals(),
    }))
}

pub(super) async fn quarantine(
    State(api): State<Api>,
    QueryParams(query): QueryParams<QuarantineQuery>,
) -> Result<Json<Page<Kept>>, Problem> {
    let QuarantineQuery {
        shown,
        limit,
        cursor,
    } = query;
    Ok(Json(api.status.quarantine(shown, limit, cursor).await?))
}

pub(super) async fn quarantined(
    State(api): State<Api>,
    PathValue(id): PathValue<i64>,
) -> Result<Json<KeptInFull>, Problem> {
    Ok(Json(api.status.quarantined(id).await?))
}

pub(super) async fn replay(
    State(api): State<Api>,
    PathValue(id): PathValue<i64>,
    body: Option<JsonBody<ReplayBody>>,
) -> Result<Json<OutcomeBody>, Problem> {
    let ReplayBody { reason, actor } = body.map(|JsonBody(body)| body).unwrap_or_default();
    let decision = Decision {
        id,
        verdict: Verdict::Replay,
        reason,
        actor,
    };
    let outcome = api.upkeep.resolve(decision).await?;
    Ok(Json(OutcomeBody::of(id, outcome)))
}

pub(super) async fn discard(
    State(api): State<Api>,
    PathValue(id): PathValue<i64>,
    JsonBody(DiscardBody { reason, actor }): JsonBody<DiscardBody>,
) -> Result<Json<OutcomeBody>, Problem> {
    let decision = Decision {
        id,
        verdict: Verdict::Discard,
        reason,
        actor,
    };
    let outcome = api.upkeep.resolve(decision).await?;
    Ok(Json(OutcomeBody::of(id, outcome)))
}
