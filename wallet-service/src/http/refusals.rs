//! What was asked of a wallet and refused: a list for those who reach the wallet.

use std::sync::Arc;

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};
use shared::{
    Timestamp, UserId, WalletId,
    access::Reach,
    problem::{Code, Problem},
    schema::JsonObject,
    server::{
        auth::Principal,
        request::{PathId, QueryParams},
    },
};

use super::{context::Api, query::ListRefusals, reach, response::ListedBody};
use crate::ledger::{
    Refusal,
    model::{answer::Role, freeze::FreezeTold},
    store::refusals::{KeptRefusal, RefusalId},
};

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Refusal")]
pub(super) struct RefusalBody {
    id: RefusalId,
    wallet_id: WalletId,
    /// Which command it was.
    kind: String,
    /// Why it was refused.
    #[schemars(with = "Code")]
    code: String,
    refused_at: Timestamp,
    actor: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<UserId>,
    /// The request id of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<String>,
    /// What the command said besides its wallet.
    #[schemars(with = "JsonObject")]
    asked: Box<RawValue>,
    /// How it was answered; left out when this build cannot say it any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Problem>")]
    problem: Option<Value>,
}

impl RefusalBody {
    fn of(kept: KeptRefusal, reach: &Reach) -> Self {
        let reason = kept.reason();
        let KeptRefusal {
            id,
            wallet_id,
            kind,
            code,
            actor,
            subject,
            correlation_id,
            asked,
            refusal: _,
            refused_at,
        } = kept;
        let problem = reason.map(|reason| Problem::from(&told(reason, reach)));
        let problem = problem.map(|problem| json!(problem.body(correlation_id.as_deref())));
        Self {
            id,
            wallet_id,
            kind,
            code,
            refused_at,
            actor,
            subject,
            correlation_id,
            asked,
            problem,
        }
    }
}

/// A service may have been told why another's wallet is frozen; the users of the wallet that asked are not.
fn told(refusal: Refusal, reach: &Reach) -> Refusal {
    let Refusal::WalletNotActive {
        role,
        status,
        freeze: Some(freeze),
    } = &refusal
    else {
        return refusal;
    };
    if *role == Role::Wallet || *reach == Reach::Everyone {
        return refusal;
    }
    Refusal::WalletNotActive {
        role: *role,
        status: *status,
        freeze: Some(Box::new(FreezeTold {
            direction: freeze.direction,
            reason: None,
            until: None,
        })),
    }
}

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Principal { caller, .. }: Principal,
    PathId(id): PathId<WalletId>,
    QueryParams(ListRefusals(page)): QueryParams<ListRefusals>,
) -> Result<Json<ListedBody<RefusalBody, RefusalId>>, Problem> {
    let _turn = api.reader.turn(&caller).await?;
    reach::wallet(&caller, id, api.reader.find_wallet(id).await?)?;
    let refusals = api.reader.list_refusals(id, &page).await?;
    let shape = |kept| RefusalBody::of(kept, &caller.reach);
    Ok(Json(ListedBody::of(refusals, shape)))
}
