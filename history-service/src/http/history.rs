//! History, activity and transactions over HTTP.

use axum::{Json, extract::State};
use serde::Serialize;
use shared::{
    Sequence, TransactionId, UserId, WalletId,
    page::{Cursor, Page},
    problem::Problem,
    server::request::{PathId, PathValue, QueryParams},
};

use super::{
    Api,
    query::{ActivityQuery, HistoryQuery},
    response::EntryBody,
};
use crate::history::Freshness;

#[derive(Serialize)]
pub(super) struct HistoryBody {
    items: Vec<EntryBody>,
    next_cursor: Option<Cursor>,
    applied_sequence: Sequence,
}

pub(super) async fn of_wallet(
    State(api): State<Api>,
    PathId(wallet): PathId<WalletId>,
    QueryParams(HistoryQuery { listing, freshness }): QueryParams<HistoryQuery>,
) -> Result<Json<HistoryBody>, Problem> {
    let freshness = freshness.map(|wanted| Freshness {
        wait: wanted.wait.min(api.wait_max),
        ..wanted
    });
    let page = api.history.of_wallet(wallet, &listing, freshness).await?;
    Ok(Json(HistoryBody {
        items: page.entries.into_iter().map(EntryBody::from).collect(),
        next_cursor: page.next_cursor,
        applied_sequence: page.applied_sequence,
    }))
}

pub(super) async fn of_user(
    State(api): State<Api>,
    PathValue(user): PathValue<UserId>,
    QueryParams(ActivityQuery { listing }): QueryParams<ActivityQuery>,
) -> Result<Json<Page<EntryBody>>, Problem> {
    let page = api.history.of_user(&user, &listing).await?;
    Ok(Json(page.map(EntryBody::from)))
}

#[derive(Serialize)]
pub(super) struct TransactionBody {
    id: TransactionId,
    legs: Vec<EntryBody>,
}

pub(super) async fn of_transaction(
    State(api): State<Api>,
    PathId(id): PathId<TransactionId>,
) -> Result<Json<TransactionBody>, Problem> {
    let legs = api.history.of_transaction(id).await?;
    Ok(Json(TransactionBody {
        id,
        legs: legs.into_iter().map(EntryBody::from).collect(),
    }))
}
