//! What operators ask for: comparisons with the ledger, and its word against history's.

use axum::{Json, extract::State, http::StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use shared::{
    WalletId,
    problem::{Code, Problem},
    server::{
        auth::Principal,
        headers::OrderHeaders,
        request::{Fields, FromFields, JsonBody, PathNumber, parse},
    },
};

use super::{
    context::Api,
    quarantine_query::{actor, reason},
};
use crate::{
    ingest::{
        refill::Repair,
        store::{RepairOf, Requested},
    },
    status::Ordered,
};

const REASON_LENGTH_MAX: usize = 512;
/// Of a reason that is not said.
const REASON_DEFAULT: &str = "asked for";

/// `POST /admin/rebuild`: all wallets, when none is named.
#[derive(Default)]
pub(super) struct RebuildBody {
    wallet: Option<WalletId>,
    reason: Option<String>,
    actor: Option<String>,
}

impl FromFields for RebuildBody {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            wallet: fields
                .says("Only this wallet; all of them when it is not given.")
                .optional("wallet_id", parse::uuid),
            reason: reason(fields).optional("reason", parse::reason(REASON_LENGTH_MAX)),
            actor: actor(fields),
        })
    }
}

/// `POST /admin/repair`: all wallets that are forked, when none is named and those that are unknown are not meant.
pub(super) struct RepairBody {
    of: RepairOf,
    reason: String,
    actor: Option<String>,
}

impl FromFields for RepairBody {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let wins = fields
            .says("Has to be `true`: nothing else can be done about a fork.")
            .required("ledger_wins", parse::flag);
        if wins == Some(false) {
            let why = "must be true: nothing else can be done about a fork";
            fields.reject("ledger_wins", Code::InvalidValue, why);
        }
        let reason = reason(fields).required("reason", parse::reason(REASON_LENGTH_MAX));
        let wallet = fields
            .says("Only this wallet; all that are forked when it is not given.")
            .optional("wallet_id", parse::uuid);
        let unknown = fields
            .says("`true`: all that the ledger does not know, in place of those that are forked.")
            .optional("unknown", parse::flag)
            .unwrap_or(false);
        if unknown && wallet.is_some() {
            let why = "must not be true beside wallet_id, which is repaired whatever its state";
            fields.reject("unknown", Code::InvalidValue, why);
        }
        let of = match wallet {
            Some(wallet) => RepairOf::Wallet(wallet),
            None if unknown => RepairOf::Unknown,
            None => RepairOf::Forked,
        };
        let actor = actor(fields);
        Some(Self {
            of,
            reason: reason?,
            actor,
        })
    }
}

/// `POST /admin/rebuilds/{id}/end`
pub(super) struct EndBody {
    reason: String,
    actor: Option<String>,
}

impl FromFields for EndBody {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let reason = reason(fields).required("reason", parse::reason(REASON_LENGTH_MAX));
        let actor = actor(fields);
        Some(Self {
            reason: reason?,
            actor,
        })
    }
}

/// What was ordered, and for which wallets.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Queued")]
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
    principal: Principal,
    _: OrderHeaders,
    body: Option<JsonBody<RebuildBody>>,
) -> Result<(StatusCode, Json<Queued>), Problem> {
    let RebuildBody {
        wallet,
        reason,
        actor,
    } = body.map(|JsonBody(body)| body).unwrap_or_default();
    let actor = principal.acting(actor)?;
    let reason = reason.unwrap_or_else(|| REASON_DEFAULT.to_owned());
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
    principal: Principal,
    _: OrderHeaders,
    JsonBody(body): JsonBody<RepairBody>,
) -> Result<(StatusCode, Json<Queued>), Problem> {
    let RepairBody { of, reason, actor } = body;
    let repair = Repair {
        of,
        actor: principal.acting(actor)?,
        reason,
    };
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
    principal: Principal,
    PathNumber(id): PathNumber,
    _: OrderHeaders,
    JsonBody(EndBody { reason, actor }): JsonBody<EndBody>,
) -> Result<Json<Ordered>, Problem> {
    api.orders.end(id, reason, principal.acting(actor)?).await?;
    Ok(Json(api.status.order(id).await?))
}

/// What came of an order so far.
pub(super) async fn find(
    State(api): State<Api>,
    PathNumber(id): PathNumber,
) -> Result<Json<Ordered>, Problem> {
    Ok(Json(api.status.order(id).await?))
}
