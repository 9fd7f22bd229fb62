//! What operators ask for: stored events, sent once more.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use shared::{
    Timestamp, WalletId,
    problem::{Code, Problem},
    server::{
        auth::Principal,
        headers::OrderHeaders,
        request::{Fields, FromFields, JsonBody, listing::moment, parse},
    },
};
use uuid::Uuid;

use super::{context::Api, error};
use crate::outbox::republish::{NotOrdered, Republication, Target};

pub(super) const REPUBLISH: &str = "/admin/republish";

const EVENTS_PER_SECOND: i32 = 1_000;
const EVENTS_PER_SECOND_MAX: i32 = 100_000;

/// Of `wallet_id`, `since` and `all: true` there is one.
pub(super) struct Order {
    target: Target,
    events_per_second: i32,
    create_topic: bool,
}

impl FromFields for Order {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let wallet: Option<WalletId> = fields
            .says("Sends the events of this wallet.")
            .optional("wallet_id", parse::uuid);
        let since: Option<Timestamp> = fields
            .says("Sends all events of wallets that have some since then.")
            .optional("since", parse::with(moment));
        if since.is_some_and(|since| since > Timestamp::now()) {
            fields.reject("since", Code::InvalidValue, "must not be in the future");
        }
        let all = fields
            .says("Sends all events there are.")
            .optional("all", parse::flag)
            .unwrap_or_default();
        let pace = parse::integer(1..=EVENTS_PER_SECOND_MAX);
        let events_per_second = fields
            .says("How fast at most.")
            .optional("events_per_second", pace);
        let create_topic = fields
            .says("Makes the topic when there is none.")
            .optional("create_topic", parse::flag);
        let target = match (wallet, since, all) {
            (Some(wallet), None, false) => Some(Target::Wallet(wallet)),
            (None, Some(moment), false) => Some(Target::Since(moment)),
            (None, None, true) => Some(Target::All),
            // What is wrong with them is told already.
            _ if !fields.errors().is_empty() => None,
            _ => {
                fields.reject(
                    "all",
                    Code::InvalidValue,
                    "say one of wallet_id, since, and all: true",
                );
                None
            }
        };
        Some(Self {
            target: target?,
            events_per_second: events_per_second.unwrap_or(EVENTS_PER_SECOND),
            create_topic: create_topic.unwrap_or_default(),
        })
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Republication")]
pub(super) struct RepublicationBody {
    #[schemars(extend("format" = "uuid"), with = "String")]
    id: Uuid,
    target: String,
    actor: String,
    status: &'static str,
    wallets: i64,
    events: i64,
    events_per_second: i32,
    faulty_wallets: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
    requested_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<Timestamp>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Republications")]
pub(super) struct RepublicationsBody {
    items: Vec<RepublicationBody>,
}

impl From<Republication> for RepublicationBody {
    fn from(republication: Republication) -> Self {
        let Republication {
            id,
            target,
            actor,
            requested_at,
            events_per_second,
            wallets,
            events,
            faulty_wallets,
            fault,
            finished_at,
        } = republication;
        Self {
            id,
            target,
            actor,
            status: if finished_at.is_some() {
                "finished"
            } else {
                "running"
            },
            wallets,
            events,
            events_per_second,
            faulty_wallets,
            fault,
            requested_at,
            finished_at,
        }
    }
}

impl From<NotOrdered> for Problem {
    fn from(error: NotOrdered) -> Self {
        Self::unavailable(
            "The database did not answer. Ask again: what is ordered twice is done once.",
        )
        .with_cause(error)
    }
}

pub(super) async fn republish(
    State(api): State<Arc<Api>>,
    principal: Principal,
    _: OrderHeaders,
    JsonBody(order): JsonBody<Order>,
) -> Result<(StatusCode, Json<RepublicationBody>), Problem> {
    if let Target::Wallet(wallet) = order.target
        && api.reader.find_wallet(wallet).await?.is_none()
    {
        return Err(error::ordered_wallet_not_found(wallet));
    }
    let Order {
        target,
        events_per_second,
        create_topic,
    } = order;
    let ordered = api
        .republish
        .order(
            target,
            events_per_second,
            create_topic,
            &principal.caller.actor,
        )
        .await?;
    Ok((StatusCode::ACCEPTED, Json(ordered.into())))
}

pub(super) async fn republications(
    State(api): State<Arc<Api>>,
) -> Result<Json<RepublicationsBody>, Problem> {
    let items = api.republish.list().await?;
    Ok(Json(RepublicationsBody {
        items: items.into_iter().map(Into::into).collect(),
    }))
}
