//! The API described: OpenAPI 3.1 at `/openapi.json`, and a page of it at `/docs` that reaches no other host. The events on the
//! topic as `AsyncAPI` at `/asyncapi.json`.
//!
//! The document is made of the routes: of what their handlers read, which the readers tell themselves, of the bodies'
//! types, and of each route's [`Operation`]. It is made once, when the router is; that of the events when it is asked for first.

pub mod asyncapi;
mod document;
mod operation;
mod page;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use axum::{
    body::Bytes,
    extract::State,
    http::{
        HeaderName,
        header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE},
    },
    response::IntoResponse,
};
use serde_json::Value;

pub use self::{
    document::{capitalised, document},
    operation::{AnswerHeader, Operation},
};
use crate::{
    schema::JsonObject,
    server::{auth::Access, http::Routes},
};

/// What a document says of the whole service.
#[derive(Clone, Copy, Debug)]
pub struct About {
    pub title: &'static str,
    pub description: &'static str,
    pub version: &'static str,
}

/// The document and its page, as they are served.
#[derive(Clone)]
pub struct Description {
    json: Bytes,
    page: Bytes,
}

impl Description {
    pub fn new(document: &Value) -> Self {
        Self {
            json: document.to_string().into(),
            page: page::of(document).into(),
        }
    }

    /// `/openapi.json`, `/asyncapi.json` and `/docs`. They tell what is in the repository, so no token is asked for.
    pub fn routes() -> Routes<Self> {
        Routes::new()
            .get(
                Access::Open,
                "/openapi.json",
                Operation::new("getOpenApi", "This document")
                    .answers::<JsonObject>(200, "An OpenAPI document."),
                json,
            )
            .get(
                Access::Open,
                "/asyncapi.json",
                Operation::new("getAsyncApi", "The events on the topic")
                    .answers::<JsonObject>(200, "An AsyncAPI document."),
                events,
            )
            .get(
                Access::Open,
                "/docs",
                Operation::new("getDocs", "This document as a page")
                    .answers_text("text/html; charset=utf-8", "A page."),
                html,
            )
    }
}

/// May be kept, and has to be asked for again: another build has another document.
const NO_CACHE: &str = "no-cache";

const JSON: [(HeaderName, &str); 2] = [
    (CONTENT_TYPE, "application/json"),
    (CACHE_CONTROL, NO_CACHE),
];

async fn json(State(description): State<Description>) -> impl IntoResponse {
    (JSON, description.json)
}

/// The same of every service. Nothing of an installation stands in it.
static EVENTS: LazyLock<Bytes> = LazyLock::new(|| asyncapi::document().to_string().into());

async fn events() -> impl IntoResponse {
    (JSON, EVENTS.clone())
}

async fn html(State(description): State<Description>) -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, NO_CACHE),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'",
        ),
    ];
    (headers, description.page)
}
