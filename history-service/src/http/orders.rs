//! What operators ask for: comparisons with the ledger, and its word against history's.

use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;
use shared::{
    WalletId,
    problem::{Code, Problem},
    server::request::{Fields, FromFields, JsonBody, PathValue, parse},
};

use super::context::Api;
use crate::{
    ingest::{refill::Repair, store::Requested},
    status::Ordered,
};

const REASON_LENGTH_MAX: usize = 512;
const ACTOR_LENGTH_MAX: usize = 128;
/// As in an event: callers are not told apart yet.
const ACTOR_DEFAULT: &str = "anonymous";

/// `POST /admin/rebuild`: `wallet_id`, all wallets without it; `reason` and `actor`, which are kept with the order.
pub(super) struct RebuildBody {
    wallet: Option<WalletId>,
    reason: String,
    actor: String,
}

impl FromFields for RebuildBody {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let reason = fields.optional("reason", parse::text(REASON_LENGTH_MAX));
        Some(Self {
            wallet: fields.optional("wallet_id", parse::uuid),
            reason: reason.unwrap_or_else(|| "asked for".to_owned()),
            actor: actor(fields),
        })
    }
}

/// `POST /admin/repair`: `ledger_wins`, which has to be true; `wallet_id`, all that are forked without it; `reason`; `actor`.
pub(super) struct RepairBody(Repair);

impl FromFields for RepairBody {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let wins = fields.required("ledger_wins", parse::flag);
        if wins == Some(false) {
            let why = "must be true: nothing else can be done about a fork";
            fields.reject("ledger_wins", Code::InvalidValue, why);
        }
        let reason = fields.required("reason", parse::text(REASON_LENGTH_MAX));
        Some(Self(Repair {
            wallet: fields.optional("wallet_id", parse::uuid),
            actor: actor(fields),
            reason: reason?,
        }))
    }
}

/// `POST /admin/rebuilds/{id}/end`: `reason`; `actor`.
pub(super) struct EndBody {
    reason: String,
    actor: String,
}

impl FromFields for EndBody {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let reason = fields.required("reason", parse::text(REASON_LENGTH_MAX));
        let actor = actor(fields);
        Some(Self {
            reason: reason?,
            actor,
        })
    }
}

fn actor(fields: &mut Fields) -> String {
    let actor = fields.optional("actor", parse::text(ACTOR_LENGTH_MAX));
    actor.unwrap_or_else(|| ACTOR_DEFAULT.to_owned())
}

/// What was ordered, and for which wallets.
#[derive(Serialize)]
pub(super) struct Queued {
    /// The order: `GET /admin/rebuilds/{id}` says what comes of it. None when there is nothing to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    rebuild: Option<Requested>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wallet_id: Option<WalletId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wallet_ids: Option<Vec<WalletId>>,
}

pub(super) async fn rebuild(
    State(api): State<Api>,
    body: Option<JsonBody<RebuildBody>>,
) -> Result<(StatusCode, Json<Queued>), Problem> {
    let (wallet, reason, actor) = match body {
        Some(JsonBody(RebuildBody {
            wallet,
            reason,
            actor,
        })) => (wallet, reason, actor),
        None => (None, "asked for".to_owned(), ACTOR_DEFAULT.to_owned()),
    };
    let requested = match wallet {
        Some(wallet) => api.orders.rebuild(wallet, reason, actor).await?,
        None => api.orders.rebuild_all(reason, actor).await?,
    };
    let queued = Queued {
        rebuild: Some(requested),
        wallet_id: wallet,
        wallet_ids: None,
    };
    Ok((StatusCode::ACCEPTED, Json(queued)))
}

pub(super) async fn repair(
    State(api): State<Api>,
    JsonBody(RepairBody(repair)): JsonBody<RepairBody>,
) -> Result<(StatusCode, Json<Queued>), Problem> {
    let (rebuild, wallets) = api.orders.repair(repair).await?.unzip();
    let queued = Queued {
        rebuild,
        wallet_id: None,
        wallet_ids: Some(wallets.unwrap_or_default()),
    };
    Ok((StatusCode::ACCEPTED, Json(queued)))
}

/// Ends a comparison, and gives what had come of it.
pub(super) async fn end(
    State(api): State<Api>,
    PathValue(id): PathValue<i64>,
    JsonBody(EndBody { reason, actor }): JsonBody<EndBody>,
) -> Result<Json<Ordered>, Problem> {
    api.orders.end(id, reason, actor).await?;
    Ok(Json(api.status.order(id).await?))
}

/// What came of an order so far.
pub(super) async fn find(
    State(api): State<Api>,
    PathValue(id): PathValue<i64>,
) -> Result<Json<Ordered>, Problem> {
    Ok(Json(api.status.order(id).await?))
}
