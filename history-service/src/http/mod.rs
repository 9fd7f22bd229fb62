//! The API: requests become questions, what history says becomes bodies.
//!
//! A handler extracts, asks and answers, nothing more; it holds no rule. Errors are worded in `error`, in one place. A
//! route refuses the query parameters it does not know, a route without any refuses all. Never: SQL, Kafka.

mod activity;
mod admin;
mod context;
mod error;
mod history;
mod orders;
mod query;
mod response;
mod transactions;

use axum::Router;
use shared::server::{
    health::Health,
    http::{Finish, HttpLimits, Route, Routes},
    metrics::{Metrics, RequestMetrics},
};

pub use context::Api;
pub use query::WAIT_MAX;

fn api_routes() -> Routes<Api> {
    Routes::new()
        .get_with_query("/wallets/{wallet_id}/history", history::list)
        .get_with_query("/users/{user_id}/activity", activity::list)
        .get("/transactions/{transaction_id}", transactions::find)
        .get("/admin/projection", admin::projection)
        .get_with_query("/admin/quarantine", admin::quarantine)
        .get("/admin/quarantine/{id}", admin::quarantined)
        .post("/admin/quarantine/{id}/replay", admin::replay)
        .post("/admin/quarantine/{id}/discard", admin::discard)
        .post("/admin/quarantine/replay", admin::replay_all)
        .post("/admin/quarantine/discard", admin::discard_all)
        .post("/admin/rebuild", orders::rebuild)
        .get("/admin/rebuilds/{id}", orders::find)
        .post("/admin/rebuilds/{id}/end", orders::end)
        .post("/admin/repair", orders::repair)
}

/// Every route of the service. It is the list the router is built from.
pub fn routes() -> Vec<Route> {
    let mut routes = api_routes().into_list();
    routes.extend(Health::routes().into_list());
    routes.extend(Metrics::routes().into_list());
    routes
}

/// Every path of the service.
pub fn router(
    api: Api,
    health: &Health,
    metrics: &Metrics,
    requests: RequestMetrics,
    limits: &HttpLimits,
) -> Router {
    let routes = api_routes()
        .with_state(api)
        .merge(Health::routes().with_state(health.clone()))
        .merge(Metrics::routes().with_state(metrics.clone()));
    let finish = Finish {
        metrics: Some(requests),
        ..Finish::default()
    };
    finish.router(routes.into_router(), limits)
}
