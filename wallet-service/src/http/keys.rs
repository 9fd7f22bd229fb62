//! What became of a command, for callers that lost the answer and have its idempotency key.

use std::sync::Arc;

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::Serialize;
use shared::{
    IdempotencyKey, Timestamp,
    access::Caller,
    problem::Problem,
    server::{auth::Principal, request::PathValue},
};

use super::{
    context::Api,
    response::{ReceiptBody, WalletBody, is_of_creation, problem_of_this_request, status_of},
};
use crate::ledger::{Answer, store::answers::KeptAnswer};

#[derive(Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum KeyStatus {
    /// Nothing was answered under the key, or it is forgotten by now.
    Unknown,
    /// This instance has the command in hand.
    InProgress,
    /// It was carried out.
    Succeeded,
    /// It was refused, and nothing was done.
    Refused,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "IdempotencyKeyOutcome")]
pub(super) struct KeyBody {
    key: String,
    status: KeyStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_status: Option<u16>,
    /// The body that the command was answered with.
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<ResponseBody>,
    /// From then on the answer may be forgotten.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
}

#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "IdempotencyKeyResponse")]
enum ResponseBody {
    Receipt(Box<ReceiptBody>),
    Created(Box<WalletBody>),
    Problem(
        #[serde(serialize_with = "problem_of_this_request")]
        #[schemars(with = "Problem")]
        Problem,
    ),
}

/// A key belongs to the caller that used it: under another caller's it is unknown.
pub(super) async fn find(
    State(api): State<Arc<Api>>,
    Principal { caller, .. }: Principal,
    PathValue(key): PathValue<IdempotencyKey>,
) -> Result<Json<KeyBody>, Problem> {
    let _turn = api.reader.turn(&caller).await?;
    // In this order: a command that is answered between the two is found.
    let is_underway = api.ledger.is_underway(&caller.owner, &key);
    let body = match api.reader.find_answer(&caller.owner, &key).await? {
        Some(kept) => KeyBody::of(key, &kept, &caller),
        None if is_underway => KeyBody::without_answer(key, KeyStatus::InProgress),
        None => KeyBody::without_answer(key, KeyStatus::Unknown),
    };
    Ok(Json(body))
}

impl KeyBody {
    fn without_answer(key: IdempotencyKey, status: KeyStatus) -> Self {
        Self {
            key: key.into_string(),
            status,
            response_status: None,
            response: None,
            expires_at: None,
        }
    }

    fn of(key: IdempotencyKey, kept: &KeptAnswer, caller: &Caller) -> Self {
        let (status, code, response) = match &kept.answer {
            Answer::Accepted(receipt) => {
                let wallet = &receipt.wallet;
                let response = caller.reach.includes(&wallet.user_id).then(|| {
                    if is_of_creation(receipt) {
                        ResponseBody::Created(Box::new(wallet.into()))
                    } else {
                        ResponseBody::Receipt(ReceiptBody::of(receipt, caller).into())
                    }
                });
                (KeyStatus::Succeeded, status_of(receipt).as_u16(), response)
            }
            Answer::Refused(refusal) => {
                let problem = Problem::from(refusal);
                let status = problem.status();
                // It does not say whose wallet it was about, and may name what that wallet holds.
                let is_shown = !caller.acts_for_some();
                let response = is_shown.then(|| ResponseBody::Problem(problem));
                (KeyStatus::Refused, status, response)
            }
        };
        Self {
            key: key.into_string(),
            status,
            response_status: Some(code),
            response,
            expires_at: Some(kept.expires_at),
        }
    }
}
