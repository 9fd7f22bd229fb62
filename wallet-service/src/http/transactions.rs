//! Transactions, as the commands that made them were answered: read, and found by their references.

use std::sync::Arc;

use axum::{Json, extract::State};
use shared::{
    TransactionId,
    access::Caller,
    page::Page,
    problem::Problem,
    server::{
        auth::Principal,
        request::{PathId, QueryParams},
    },
};

use super::{
    context::Api, error, query::FindTransactions, reach, transaction_body::TransactionBody,
};
use crate::ledger::store::query::TransactionFound;

pub(super) async fn find(
    State(api): State<Arc<Api>>,
    Principal { caller, .. }: Principal,
    PathId(id): PathId<TransactionId>,
) -> Result<Json<TransactionBody>, Problem> {
    let _turn = api.reader.turn(&caller).await?;
    let found = api.reader.find_transaction(id).await?;
    let body = found.and_then(|found| shown(&found, &caller));
    let body = body.ok_or_else(|| error::transaction_not_found(id))?;
    Ok(Json(body))
}

/// A reference is its owner's, so there is one transaction at most.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Principal { caller, .. }: Principal,
    QueryParams(FindTransactions { reference }): QueryParams<FindTransactions>,
) -> Result<Json<Page<TransactionBody>>, Problem> {
    let _turn = api.reader.turn(&caller).await?;
    let found = api
        .reader
        .find_referenced(&caller.owner, &reference)
        .await?;
    let found = found.and_then(|found| shown(&found, &caller));
    Ok(Json(Page {
        items: found.into_iter().collect(),
        next_cursor: None,
    }))
}

fn shown(found: &TransactionFound, caller: &Caller) -> Option<TransactionBody> {
    reach::transaction(caller, &found.transaction)
        .then(|| TransactionBody::with_parts(found, caller))
}
