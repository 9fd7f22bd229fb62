//! Transactions, as their legs came in.

use axum::{Json, extract::State};
use shared::{TransactionId, event::EventItem, problem::Problem, server::request::PathId};

use super::{context::Api, response::TransactionBody};

pub(super) async fn find(
    State(api): State<Api>,
    PathId(id): PathId<TransactionId>,
) -> Result<Json<TransactionBody>, Problem> {
    let legs = api.history.of_transaction(id).await?;
    let legs = legs.into_iter().map(EventItem::from).collect();
    Ok(Json(TransactionBody { id, legs }))
}
