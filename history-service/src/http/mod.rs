//! The API, as a list of paths. Handlers read a request, ask one question and shape the answer; they hold no rule.

mod admin;
mod error;
mod history;
mod query;
mod response;

use std::{sync::Arc, time::Duration};

use axum::{Router, routing::get};

pub use query::WAIT_MAX;

use crate::{history::History, progress::Progress, status::Status};

/// What the handlers ask.
#[derive(Clone)]
pub struct Api {
    pub history: History,
    pub status: Status,
    pub progress: Arc<Progress>,
    /// No reader waits longer than this for a sequence: the request's own deadline comes soon after.
    pub wait_max: Duration,
}

pub fn router(api: Api) -> Router {
    Router::new()
        .route("/wallets/{wallet_id}/history", get(history::of_wallet))
        .route("/users/{user_id}/activity", get(history::of_user))
        .route(
            "/transactions/{transaction_id}",
            get(history::of_transaction),
        )
        .route("/admin/projection", get(admin::projection))
        .route("/admin/quarantine", get(admin::quarantine))
        .with_state(api)
}
