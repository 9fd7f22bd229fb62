//! Wallets: created, read, listed, with their balance and their journal.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, header::IF_MATCH},
    response::Response,
};
use shared::{
    Currency, UserId, WalletId,
    event::EventItem,
    name,
    problem::{Code, FieldError, Problem},
    server::{
        auth::Principal,
        headers::refuse_unheeded,
        request::{
            Fields, FromFields, Invalid, JsonBody, JsonFields, Judged, Nothing, PathId, PathPair,
            PathValue, QueryParams, parse,
        },
    },
};

use super::{
    command::submit_judged,
    context::{Api, CommandContext, IfNoneMatch},
    description::{external_id, label, metadata},
    error,
    payments::currency,
    query::{ListEvents, ListHeads, ListWallets, ListWalletsOfUser},
    reach,
    response::{self, BalanceBody, EventPageBody, ListedBody, WalletBody},
    size,
};
use crate::ledger::{
    Caller, Intent, NewWallet, Wallet, WalletCurrency,
    model::listing::{Named, WalletFilter},
    store::query::WalletHead,
};

pub(super) struct NewWalletBody {
    user_id: UserId,
    currency: Option<Currency>,
    external_id: Option<String>,
    label: Option<String>,
    metadata: BTreeMap<String, String>,
}

impl FromFields for NewWalletBody {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let user_id = fields
            .says("Whose it is: a name not beginning with `@`.")
            .required_by_rule("user_id", parse::from_str, new_user_id);
        let currency = fields
            .says("What it holds, for its whole life; the installation's default when it is not given.")
            .optional("currency", currency);
        let external_id = external_id(fields);
        let label = label(fields);
        let metadata = metadata(fields);
        Some(Self {
            user_id: user_id?,
            currency,
            external_id,
            label,
            metadata,
        })
    }
}

/// Users that have wallets already are found by any name; a new one has to meet the rule.
fn new_user_id(user_id: &UserId) -> Result<(), Invalid> {
    if user_id.is_system() {
        return Err(Invalid::new(
            Code::ReservedUserId,
            "must not begin with @: such names belong to the system",
        ));
    }
    name::check(user_id.as_str()).map_err(Invalid::value)
}

pub(super) async fn create(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    context: CommandContext,
    JsonFields(body): JsonFields,
) -> Result<Response, Problem> {
    refuse_unheeded(&headers, &[IF_MATCH.as_str()])?;
    let Judged { value, mut errors } = body.judge(NewWalletBody::from_fields)?;
    let NewWalletBody {
        user_id,
        currency,
        external_id,
        label,
        metadata,
    } = value;
    let currency = currency.map_or(
        WalletCurrency::Default(api.default_currency),
        WalletCurrency::Named,
    );
    let intent = Intent::CreateWallet(NewWallet {
        user_id,
        currency,
        external_id,
        label,
        metadata,
    });
    errors.extend(size::too_large(&intent, &api.message_limit));
    let outcome = submit_judged(&api, context.command(intent, None), errors).await?;
    Ok(response::of_creation(&outcome))
}

/// Whether a new name is one, and no other body is sent than one that says nothing.
pub(super) async fn main_wallet(
    State(api): State<Arc<Api>>,
    PathPair(user_id, currency): PathPair<UserId, Currency>,
    headers: HeaderMap,
    context: CommandContext,
    _: Option<JsonBody<Nothing>>,
) -> Result<Response, Problem> {
    refuse_unheeded(&headers, &[IF_MATCH.as_str()])?;
    let wrong = new_user_id(&user_id).err();
    let wrong = wrong.map(|Invalid { code, message }| FieldError::new("user_id", code, message));
    let intent = Intent::MainWallet { user_id, currency };
    let command = context.command(intent, None);
    let outcome = submit_judged(&api, command, wrong.into_iter().collect()).await?;
    Ok(response::of_creation(&outcome))
}

pub(super) async fn find(
    State(api): State<Arc<Api>>,
    Principal { caller, .. }: Principal,
    PathId(id): PathId<WalletId>,
    known: IfNoneMatch,
) -> Result<Response, Problem> {
    let wallet = find_wallet(&api, &caller, id).await?;
    let body = WalletBody::from(&wallet);
    Ok(response::unless_known(&known, wallet.version, body))
}

pub(super) async fn balance(
    State(api): State<Arc<Api>>,
    Principal { caller, .. }: Principal,
    PathId(id): PathId<WalletId>,
    known: IfNoneMatch,
) -> Result<Response, Problem> {
    let wallet = find_wallet(&api, &caller, id).await?;
    let body = BalanceBody::from(&wallet);
    Ok(response::unless_known(&known, wallet.version, body))
}

async fn find_wallet(api: &Api, caller: &Caller, id: WalletId) -> Result<Wallet, Problem> {
    let _turn = api.reader.turn(caller).await?;
    reach::wallet(caller, id, api.reader.find_wallet(id).await?)
}

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Principal { caller, .. }: Principal,
    QueryParams(ListWallets { filter, page }): QueryParams<ListWallets>,
) -> Result<Json<ListedBody<WalletBody, WalletId>>, Problem> {
    if let Some(user) = &filter.user_id {
        reach::user(&caller, user)?;
    }
    let named = filter.named.map(|named| Named {
        owner: caller.owner.clone(),
        ..named
    });
    let filter = WalletFilter {
        named,
        reach: caller.reach.clone(),
        ..filter
    };
    let _turn = api.reader.turn(&caller).await?;
    let wallets = api.reader.list_wallets(filter, &page).await?;
    Ok(Json(ListedBody::of(wallets, |wallet| (&wallet).into())))
}

pub(super) async fn list_of_user(
    State(api): State<Arc<Api>>,
    Principal { caller, .. }: Principal,
    PathValue(user_id): PathValue<UserId>,
    QueryParams(ListWalletsOfUser { filter, page }): QueryParams<ListWalletsOfUser>,
) -> Result<Json<ListedBody<WalletBody, WalletId>>, Problem> {
    reach::user(&caller, &user_id)?;
    let filter = WalletFilter {
        user_id: Some(user_id),
        ..filter
    };
    let _turn = api.reader.turn(&caller).await?;
    let wallets = api.reader.list_wallets(filter, &page).await?;
    Ok(Json(ListedBody::of(wallets, |wallet| (&wallet).into())))
}

pub(super) async fn events(
    State(api): State<Arc<Api>>,
    Principal { caller, .. }: Principal,
    PathId(id): PathId<WalletId>,
    QueryParams(ListEvents {
        kind,
        after_sequence,
        page,
    }): QueryParams<ListEvents>,
) -> Result<Json<EventPageBody>, Problem> {
    let _turn = api.reader.turn(&caller).await?;
    let journal = api
        .reader
        .read_journal(id, kind, after_sequence, &page)
        .await?;
    let journal = journal
        .filter(|journal| caller.reach.includes(&journal.user_id))
        .ok_or_else(|| error::wallet_not_found(id))?;
    Ok(Json(EventPageBody {
        version: journal.version,
        page: ListedBody::of(journal.events, EventItem::from),
    }))
}

/// For history: where every wallet is.
pub(super) async fn heads(
    State(api): State<Arc<Api>>,
    QueryParams(ListHeads(page)): QueryParams<ListHeads>,
) -> Result<Json<ListedBody<WalletHead, WalletId>>, Problem> {
    let heads = api.reader.list_heads(&page).await?;
    Ok(Json(ListedBody::of(heads, |head| head)))
}
