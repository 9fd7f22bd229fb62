//! For operators: where the projection is, what it set aside, and what becomes of that.

use axum::{Json, extract::State};
use shared::{
    page::Page,
    problem::Problem,
    server::{
        auth::Principal,
        headers::OrderHeaders,
        request::{JsonBody, PathNumber, QueryParams},
    },
};

use super::{
    context::Api,
    quarantine_query::{DiscardAllBody, DiscardBody, QuarantineQuery, ReplayAllBody, ReplayBody},
    response::{LagBody, OutcomeBody, OutcomesBody, StatusBody},
};
use crate::{
    ingest::upkeep::{Decision, Verdict},
    status::{Kept, KeptInFull},
};

/// Of a replay whose reason is not said.
const REASON_DEFAULT: &str = "replayed";

pub(super) async fn projection(State(api): State<Api>) -> Result<Json<StatusBody>, Problem> {
    let mut state = api.status.state().await?;
    let (ends, lag) = (api.progress.topic_ends(), api.progress.metrics().lag_now());
    for partition in &mut state.partitions {
        let end = ends.get(&partition.partition).filter(|_| lag.is_some());
        partition.lag_events = end.map(|end| (end - partition.next_offset).max(0));
    }
    Ok(Json(StatusBody {
        state,
        lag: lag.map(LagBody::from),
        instance: api.progress.totals(),
    }))
}

pub(super) async fn quarantine(
    State(api): State<Api>,
    QueryParams(query): QueryParams<QuarantineQuery>,
) -> Result<Json<Page<Kept>>, Problem> {
    let QuarantineQuery {
        filter,
        limit,
        cursor,
    } = query;
    Ok(Json(api.status.quarantine(&filter, limit, cursor).await?))
}

pub(super) async fn quarantined(
    State(api): State<Api>,
    PathNumber(id): PathNumber,
) -> Result<Json<KeptInFull>, Problem> {
    Ok(Json(api.status.quarantined(id).await?))
}

pub(super) async fn replay(
    State(api): State<Api>,
    principal: Principal,
    PathNumber(id): PathNumber,
    _: OrderHeaders,
    body: Option<JsonBody<ReplayBody>>,
) -> Result<Json<OutcomeBody>, Problem> {
    let ReplayBody { reason, actor } = body.map(|JsonBody(body)| body).unwrap_or_default();
    let decision = Decision {
        id,
        verdict: Verdict::Replay,
        reason: reason.unwrap_or_else(|| REASON_DEFAULT.to_owned()),
        actor: principal.acting(actor)?,
    };
    let outcome = api.upkeep.resolve(decision).await?;
    Ok(Json(OutcomeBody::of(id, outcome)))
}

pub(super) async fn discard(
    State(api): State<Api>,
    principal: Principal,
    PathNumber(id): PathNumber,
    _: OrderHeaders,
    JsonBody(DiscardBody { reason, actor }): JsonBody<DiscardBody>,
) -> Result<Json<OutcomeBody>, Problem> {
    let decision = Decision {
        id,
        verdict: Verdict::Discard,
        reason,
        actor: principal.acting(actor)?,
    };
    let outcome = api.upkeep.resolve(decision).await?;
    Ok(Json(OutcomeBody::of(id, outcome)))
}

pub(super) async fn replay_all(
    State(api): State<Api>,
    principal: Principal,
    _: OrderHeaders,
    JsonBody(ReplayAllBody { ids, body }): JsonBody<ReplayAllBody>,
) -> Result<Json<OutcomesBody>, Problem> {
    let ReplayBody { reason, actor } = body;
    let reason = reason.unwrap_or_else(|| REASON_DEFAULT.to_owned());
    let actor = principal.acting(actor)?;
    settle_all(&api, &ids, Verdict::Replay, &reason, &actor).await
}

pub(super) async fn discard_all(
    State(api): State<Api>,
    principal: Principal,
    _: OrderHeaders,
    JsonBody(DiscardAllBody { ids, body }): JsonBody<DiscardAllBody>,
) -> Result<Json<OutcomesBody>, Problem> {
    let DiscardBody { reason, actor } = body;
    let actor = principal.acting(actor)?;
    settle_all(&api, &ids, Verdict::Discard, &reason, &actor).await
}

async fn settle_all(
    api: &Api,
    ids: &[i64],
    verdict: Verdict,
    reason: &str,
    actor: &str,
) -> Result<Json<OutcomesBody>, Problem> {
    let decision = |id: &i64| Decision {
        id: *id,
        verdict,
        reason: reason.to_owned(),
        actor: actor.to_owned(),
    };
    let decisions = ids.iter().map(decision).collect();
    let resolved = api.upkeep.resolve_all(decisions).await?;
    let outcomes = ids.iter().zip(resolved);
    let items = outcomes.map(|(id, resolved)| OutcomeBody::of_result(*id, resolved));
    Ok(Json(OutcomesBody {
        items: items.collect::<Result<_, _>>()?,
    }))
}
