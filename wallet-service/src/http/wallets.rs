//! Wallets: created, read, listed, with their balance and their journal.

use std::sync::Arc;

use axum::{Json, extract::State, response::Response};
use serde::Serialize;
use shared::{
    Currency, Sequence, UserId, WalletId,
    page::Page,
    problem::{Code, Problem},
    server::request::{
        Fields, FromFields, Invalid, JsonBody, PathId, PathValue, QueryParams, parse,
    },
};

use super::{
    Api,
    conditional::IfNoneMatch,
    context::CommandContext,
    error,
    payments::currency,
    query::{ListEvents, ListWallets, ListWalletsOfUser},
    response::{BalanceBody, EventBody, WalletBody},
};
use crate::ledger::{Intent, Wallet};

pub(super) struct NewWallet {
    user_id: UserId,
    currency: Option<Currency>,
}

impl FromFields for NewWallet {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let user_id = fields.required("user_id", parse::with(user_id));
        let currency = fields.optional("currency", currency);
        Some(Self {
            user_id: user_id?,
            currency,
        })
    }
}

fn user_id(text: &str) -> Result<UserId, Invalid> {
    let user_id: UserId = text.parse().map_err(Invalid::value)?;
    if user_id.is_system() {
        return Err(Invalid::new(
            Code::ReservedUserId,
            "must not begin with @: such names belong to the system",
        ));
    }
    Ok(user_id)
}

pub(super) async fn create(
    State(api): State<Arc<Api>>,
    context: CommandContext,
    JsonBody(NewWallet { user_id, currency }): JsonBody<NewWallet>,
) -> Result<Response, Problem> {
    let currency = currency.unwrap_or(api.default_currency);
    let intent = Intent::CreateWallet { user_id, currency };
    api.submit(context.command(intent, None)).await
}

pub(super) async fn find(
    State(api): State<Arc<Api>>,
    PathId(id): PathId<WalletId>,
    cached: IfNoneMatch,
) -> Result<Response, Problem> {
    let wallet = find_wallet(&api, id).await?;
    Ok(cached.answer(wallet.version, WalletBody::of(&wallet)))
}

pub(super) async fn balance(
    State(api): State<Arc<Api>>,
    PathId(id): PathId<WalletId>,
    cached: IfNoneMatch,
) -> Result<Response, Problem> {
    let wallet = find_wallet(&api, id).await?;
    Ok(cached.answer(wallet.version, BalanceBody::of(&wallet)))
}

async fn find_wallet(api: &Api, id: WalletId) -> Result<Wallet, Problem> {
    let found = api.reader.find_wallet(id).await;
    found?.ok_or_else(|| error::wallet_not_found(id))
}

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    QueryParams(ListWallets { filter, page }): QueryParams<ListWallets>,
) -> Result<Json<Page<WalletBody>>, Problem> {
    let wallets = api.reader.list_wallets(filter, &page).await;
    Ok(Json(wallets?.map(|wallet| WalletBody::of(&wallet))))
}

pub(super) async fn list_of_user(
    State(api): State<Arc<Api>>,
    PathValue(user_id): PathValue<UserId>,
    QueryParams(query): QueryParams<ListWalletsOfUser>,
) -> Result<Json<Page<WalletBody>>, Problem> {
    let page = query.page.clone();
    let wallets = api.reader.list_wallets(query.filter(user_id), &page).await;
    Ok(Json(wallets?.map(|wallet| WalletBody::of(&wallet))))
}

/// A page of events, and how far the journal goes.
#[derive(Serialize)]
pub(super) struct EventPage {
    version: Sequence,
    #[serde(flatten)]
    page: Page<EventBody>,
}

pub(super) async fn events(
    State(api): State<Arc<Api>>,
    PathId(id): PathId<WalletId>,
    QueryParams(ListEvents { kind, page }): QueryParams<ListEvents>,
) -> Result<Json<EventPage>, Problem> {
    let journal = api.reader.read_journal(id, kind, &page).await;
    let journal = journal?.ok_or_else(|| error::wallet_not_found(id))?;
    let page = journal.page.map(|event| EventBody::of(&event));
    Ok(Json(EventPage {
        version: journal.version,
        page,
    }))
}
