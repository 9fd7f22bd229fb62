//! Transactions, as the commands that made them were answered.

use std::sync::Arc;

use axum::{Json, extract::State};
use shared::{
    TransactionId,
    problem::Problem,
    server::{auth::Principal, request::PathId},
};

use super::{context::Api, error, reach, response::TransactionBody};

pub(super) async fn find(
    State(api): State<Arc<Api>>,
    Principal { caller, .. }: Principal,
    PathId(id): PathId<TransactionId>,
) -> Result<Json<TransactionBody>, Problem> {
    let found = api.reader.find_transaction(id).await?;
    let transaction = found
        .filter(|found| reach::transaction(&caller, found))
        .ok_or_else(|| error::transaction_not_found(id))?;
    Ok(Json(TransactionBody::of(&transaction, &caller)))
}
