//! The API: requests become commands and reads, what the ledger says becomes bodies.
//!
//! A handler extracts, asks and shapes, nothing more. Whatever is refused before the ledger sees it is refused by an
//! extractor; whatever the ledger refuses is worded in [`error`], in one place. Never: SQL, Kafka.

mod batch;
mod conditional;
mod context;
mod error;
mod payments;
mod query;
mod response;
mod transactions;
mod wallets;

use std::sync::Arc;

use axum::{
    Router,
    response::Response,
    routing::{get, post},
};
use shared::{
    Currency,
    problem::Problem,
    server::{
        health::Health,
        http::{HttpLimits, LargeBody, finish_with_large_bodies},
    },
};

use crate::ledger::{Command, Ledger, store::query::Reader};

/// Whether a caller has to name its attempts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyPolicy {
    Optional,
    /// A POST without `Idempotency-Key` is refused.
    Required,
}

/// What the handlers stand on. They share one, for every request takes it and gives it back.
#[derive(Debug)]
pub struct Api {
    pub ledger: Ledger,
    pub reader: Reader,
    /// Of wallets that are created without one.
    pub default_currency: Currency,
    pub key_policy: KeyPolicy,
}

impl Api {
    async fn submit(&self, command: Command) -> Result<Response, Problem> {
        let outcome = self.ledger.submit(command).await;
        Ok(response::outcome(outcome?))
    }
}

/// What a command alone may say is the limit everywhere else.
const LARGE_BODIES: &[LargeBody] = &[LargeBody {
    route: batch::ROUTE,
    limit_bytes: batch::BODY_LIMIT_BYTES,
}];

/// Every path of the service.
pub fn router(api: Api, health: &Health, limits: &HttpLimits) -> Router {
    let routes = Router::new()
        .route("/wallets", post(wallets::create).get(wallets::list))
        .route("/wallets/{id}", get(wallets::find))
        .route("/wallets/{id}/balance", get(wallets::balance))
        .route("/wallets/{id}/events", get(wallets::events))
        .route("/users/{user_id}/wallets", get(wallets::list_of_user))
        .route("/wallets/{id}/fund", post(payments::fund))
        .route("/wallets/{id}/withdraw", post(payments::withdraw))
        .route("/wallets/{id}/transfer", post(payments::transfer))
        .route(batch::ROUTE, post(batch::submit))
        .route("/transactions/{id}", get(transactions::find))
        .with_state(Arc::new(api))
        .merge(health.router());
    finish_with_large_bodies(routes, limits, LARGE_BODIES)
}
