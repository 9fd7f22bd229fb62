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
use shared::{
    access::Scope::{Admin, HistoryRead},
    server::{
        auth::Guard,
        health::Health,
        http::{Finish, HttpLimits, Route, Routes},
        metrics::{Metrics, RequestMetrics},
    },
};

pub use context::Api;
pub use query::WAIT_MAX;

/// Each route with what a caller needs for it. Whose things a caller reaches goes along with every question.
fn api_routes() -> Routes<Api> {
    Routes::new()
        .get_with_query(HistoryRead, "/wallets/{wallet_id}/history", history::list)
        .get_with_query(HistoryRead, "/users/{user_id}/activity", activity::list)
        .get(
            HistoryRead,
            "/transactions/{transaction_id}",
            transactions::find,
        )
        .get(Admin, "/admin/projection", admin::projection)
        .get_with_query(Admin, "/admin/quarantine", admin::quarantine)
        .get(Admin, "/admin/quarantine/{id}", admin::quarantined)
        .post(Admin, "/admin/quarantine/{id}/replay", admin::replay)
        .post(Admin, "/admin/quarantine/{id}/discard", admin::discard)
        .post(Admin, "/admin/quarantine/replay", admin::replay_all)
        .post(Admin, "/admin/quarantine/discard", admin::discard_all)
        .post(Admin, "/admin/rebuild", orders::rebuild)
        .get(Admin, "/admin/rebuilds/{id}", orders::find)
        .post(Admin, "/admin/rebuilds/{id}/end", orders::end)
        .post(Admin, "/admin/repair", orders::repair)
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
    api: &Api,
    guard: &Guard,
    (health, metrics): (&Health, &Metrics),
    requests: RequestMetrics,
    limits: &HttpLimits,
) -> Router {
    let routes = api_routes()
        .with_state(api)
        .merge(Health::routes().with_state(health))
        .merge(Metrics::routes().with_state(metrics));
    let finish = Finish {
        metrics: Some(requests),
        ..Finish::default()
    };
    finish.router(routes.into_router(guard), limits)
}
