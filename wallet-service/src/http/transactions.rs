//! Transactions, as the commands that made them were answered.

use std::sync::Arc;

use axum::{Json, extract::State};
use shared::{TransactionId, problem::Problem, server::request::PathId};

use super::{context::Api, error, response::TransactionBody};

pub(super) async fn find(
    State(api): State<Arc<Api>>,
    PathId(id): PathId<TransactionId>,
) -> Result<Json<TransactionBody>, Problem> {
    let found = api.reader.find_transaction(id).await?;
    let transaction = found.ok_or_else(|| error::transaction_not_found(id))?;
    Ok(Json(TransactionBody::from(&transaction)))
}
