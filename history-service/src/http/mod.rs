//! The API: requests become questions, what history says becomes bodies.
//!
//! A handler extracts, asks and answers, nothing more; it holds no rule. Errors are worded in `error`, in one place. A
//! route refuses the query parameters it does not know, a route without any refuses all. Never: SQL, Kafka.

mod activity;
mod admin;
mod balance;
mod context;
mod error;
mod history;
mod operations;
mod orders;
mod quarantine_query;
mod query;
mod reports;
mod response;
mod statement;
mod stream;
mod transactions;

use axum::Router;
use serde_json::Value;
use shared::{
    access::Scope::{Admin, HistoryRead, ReportsRead},
    server::{
        auth::Guard,
        health::Health,
        http::{Finish, HttpLimits, Listed, Route, Routes},
        metrics::{Metrics, RequestMetrics},
        openapi::{self, About, Description},
    },
};

use self::operations as say;

pub use context::Api;
pub use query::WAIT_MAX;

/// Each route with what a caller needs for it. Whose things a caller reaches goes along with every question.
fn api_routes() -> Routes<Api> {
    Routes::new()
        .get_with_query(
            HistoryRead,
            "/wallets/{wallet_id}/history",
            say::list_history(),
            history::list,
        )
        .get_with_query(
            HistoryRead,
            "/wallets/{wallet_id}/balance",
            say::get_balance(),
            balance::find,
        )
        .get_with_query(
            HistoryRead,
            "/wallets/{wallet_id}/statement",
            say::get_statement(),
            statement::find,
        )
        .get_with_query(
            HistoryRead,
            "/wallets/{wallet_id}/summary",
            say::get_summary(),
            reports::summary,
        )
        .get_with_query(
            ReportsRead,
            "/reports/daily",
            say::get_daily_report(),
            reports::daily,
        )
        .get_with_query(
            ReportsRead,
            "/reports/trial-balance",
            say::get_trial_balance(),
            reports::trial_balance,
        )
        .get_with_query(
            HistoryRead,
            "/users/{user_id}/activity",
            say::list_activity(),
            activity::list,
        )
        .get_with_query(
            HistoryRead,
            "/wallets/{wallet_id}/stream",
            say::stream_wallet(),
            stream::of_wallet,
        )
        .get_with_query(
            HistoryRead,
            "/users/{user_id}/stream",
            say::stream_user(),
            stream::of_user,
        )
        .get(
            HistoryRead,
            "/transactions/{transaction_id}",
            say::get_transaction(),
            transactions::find,
        )
}

/// The same for operators.
fn admin_routes() -> Routes<Api> {
    Routes::new()
        .get(
            Admin,
            "/admin/projection",
            say::get_projection(),
            admin::projection,
        )
        .get_with_query(
            Admin,
            "/admin/quarantine",
            say::list_quarantine(),
            admin::quarantine,
        )
        .get(
            Admin,
            "/admin/quarantine/{id}",
            say::get_quarantined(),
            admin::quarantined,
        )
        .post(
            Admin,
            "/admin/quarantine/{id}/replay",
            say::replay(),
            admin::replay,
        )
        .post(
            Admin,
            "/admin/quarantine/{id}/discard",
            say::discard(),
            admin::discard,
        )
        .post(
            Admin,
            "/admin/quarantine/replay",
            say::replay_all(),
            admin::replay_all,
        )
        .post(
            Admin,
            "/admin/quarantine/discard",
            say::discard_all(),
            admin::discard_all,
        )
        .post(Admin, "/admin/rebuild", say::rebuild(), orders::rebuild)
        .get(
            Admin,
            "/admin/rebuilds/{id}",
            say::get_rebuild(),
            orders::find,
        )
        .post(
            Admin,
            "/admin/rebuilds/{id}/end",
            say::end_rebuild(),
            orders::end,
        )
        .post(Admin, "/admin/repair", say::repair(), orders::repair)
}

/// Every route of the service. It is the list the router is built from.
pub fn routes() -> Vec<Route> {
    listed().into_iter().map(|listed| listed.route).collect()
}

fn listed() -> Vec<Listed> {
    let mut routes = api_routes().merge(admin_routes()).into_list();
    routes.extend(Health::routes().into_list());
    routes.extend(Metrics::routes().into_list());
    routes.extend(Description::routes().into_list());
    routes
}

/// The OpenAPI document of the service.
pub fn document() -> Value {
    let about = About {
        title: "history-service",
        description: "What happened, at length: a wallet's history, a user's activity, a transaction's legs. It follows \
                      wallet-service by milliseconds.",
        version: env!("CARGO_PKG_VERSION"),
    };
    openapi::document(&about, &listed())
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
        .merge(admin_routes())
        .with_state(api)
        .merge(Health::routes().with_state(health))
        .merge(Metrics::routes().with_state(metrics))
        .merge(Description::routes().with_state(&Description::new(&document())));
    let finish = Finish {
        metrics: Some(requests),
        ..Finish::default()
    };
    finish.router(routes.into_router(guard), limits)
}
