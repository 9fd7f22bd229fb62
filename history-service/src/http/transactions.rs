//! Transactions, as their legs came in.

use axum::{Json, extract::State};
use shared::{
    TransactionId,
    problem::Problem,
    server::{auth::Principal, request::PathId},
};

use super::{
    context::Api,
    response::{LegBody, TransactionBody},
};

pub(super) async fn find(
    State(api): State<Api>,
    Principal { caller, .. }: Principal,
    PathId(id): PathId<TransactionId>,
) -> Result<Json<TransactionBody>, Problem> {
    let legs = api.history.of_transaction(id, &caller).await?;
    let legs = legs.into_iter();
    let legs = legs.map(|leg| LegBody::of(leg, &caller.reach)).collect();
    Ok(Json(TransactionBody { id, legs }))
}
