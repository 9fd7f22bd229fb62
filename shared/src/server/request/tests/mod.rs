//! The readers and extractors, through a real router.

mod bodies;
mod fields;
mod parts;

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode, header::CONTENT_TYPE},
    routing::{get, post},
};
use serde_json::{Value as Json, json};
use tower::ServiceExt;

use super::*;
use crate::{
    IdempotencyKey, WalletId,
    problem::Code,
    server::{
        headers::IfMatch,
        http::{HttpLimits, finish},
    },
};

struct Transfer {
    to: WalletId,
    amount: String,
    reference: Option<String>,
    metadata: std::collections::BTreeMap<String, String>,
}

impl FromFields for Transfer {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let to = fields.required("to_wallet_id", parse::uuid);
        let amount = fields.required("amount", parse::amount(two_decimals));
        let reference = fields.optional("reference", parse::text(8));
        let metadata = fields.text_map(
            "metadata",
            TextMapLimits {
                entries_max: 2,
                ..TextMapLimits::METADATA
            },
        );
        Some(Self {
            to: to?,
            amount: amount?,
            reference,
            metadata,
        })
    }
}

fn two_decimals(text: &str) -> Result<String, (Code, String)> {
    match text.split_once('.') {
        Some((_, decimals)) if decimals.len() == 2 => Ok(text.to_owned()),
        _ => Err((Code::AmountTooPrecise, "must have two decimals".to_owned())),
    }
}

struct Leg(String);

impl FromFields for Leg {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        fields
            .required("amount", parse::amount(two_decimals))
            .map(Self)
    }
}

struct Legs(Vec<Leg>);

impl FromFields for Legs {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        fields.objects("legs", 1..=3).map(Self)
    }
}

struct Ids(Vec<i64>);

impl FromFields for Ids {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        fields
            .list("ids", 1..=4, parse::integer(1..=i64::MAX))
            .map(Self)
    }
}

struct Page {
    limit: u16,
    newest_first: bool,
}

impl FromFields for Page {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let limit = fields
            .optional("limit", parse::integer(1..=200))
            .unwrap_or(50);
        let newest_first = fields.optional("newest_first", parse::flag).unwrap_or(true);
        Some(Self {
            limit,
            newest_first,
        })
    }
}

async fn transfer(JsonBody(transfer): JsonBody<Transfer>) -> String {
    let Transfer {
        to,
        amount,
        reference,
        metadata,
    } = transfer;
    format!("{to} {amount} {reference:?} {metadata:?}")
}

fn router() -> Router {
    let router =
        Router::new()
            .route("/transfer", post(transfer))
            .route(
                "/legs",
                post(|JsonBody(Legs(legs)): JsonBody<Legs>| async move {
                    legs.into_iter()
                        .map(|Leg(amount)| amount)
                        .collect::<Vec<_>>()
                        .join(" ")
                }),
            )
            .route(
                "/release",
                post(|body: Option<JsonBody<Page>>| async move { body.is_some().to_string() }),
            )
            .route(
                "/page",
                get(|QueryParams(page): QueryParams<Page>| async move {
                    format!("{} {}", page.limit, page.newest_first)
                }),
            )
            .route(
                "/wallets/{id}",
                get(|PathId(id): PathId<WalletId>| async move { id.to_string() }),
            )
            .route(
                "/keys/{key}",
                get(|PathValue(key): PathValue<IdempotencyKey>| async move { key.into_string() }),
            )
            .route(
                "/orders/{id}",
                get(|PathNumber(id): PathNumber| async move { id.to_string() }),
            )
            .route(
                "/ids",
                post(|JsonBody(Ids(ids)): JsonBody<Ids>| async move { format!("{ids:?}") }),
            )
            .route(
                "/keyed",
                post(|key: IdempotencyKey, seen: Option<IfMatch>| async move {
                    format!("{key} {seen:?}")
                }),
            );
    finish(
        router,
        &HttpLimits {
            body_limit_bytes: 2048,
            ..HttpLimits::default()
        },
    )
}

async fn answer(request: Request<Body>) -> (StatusCode, String) {
    let response = router().oneshot(request).await.unwrap();
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX)
        .await
        .unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn post_json(path: &str, body: impl Into<Body>) -> (StatusCode, String) {
    answer(
        Request::post(path)
            .header(CONTENT_TYPE, "application/json")
            .body(body.into())
            .unwrap(),
    )
    .await
}

async fn get_text(path: &str) -> (StatusCode, String) {
    answer(Request::get(path).body(Body::empty()).unwrap()).await
}

/// `(code, field)` of every error, after making sure that the first code is the problem's own.
fn errors((status, body): (StatusCode, String)) -> Vec<(String, String)> {
    let problem: Json = serde_json::from_str(&body).unwrap();
    assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
    assert_eq!(problem["code"], problem["errors"][0]["code"]);
    let text = |value: &Json| value.as_str().unwrap().to_owned();
    let errors = problem["errors"].as_array().unwrap();
    errors
        .iter()
        .map(|error| (text(&error["code"]), text(&error["field"])))
        .collect()
}

fn named(errors: &[(&str, &str)]) -> Vec<(String, String)> {
    errors
        .iter()
        .map(|(code, field)| ((*code).to_owned(), (*field).to_owned()))
        .collect()
}

const WALLET: &str = "0198c1a2-7b3c-7def-8123-456789abcdef";
