//! The API: requests become commands and reads, what the ledger says becomes bodies.
//!
//! A handler extracts, asks and answers, nothing more. Whatever is refused before the ledger sees it is refused by an
//! extractor; whatever the ledger refuses is worded in `error`, in one place. A route refuses the query parameters it
//! does not know, a route without any refuses all. Never: SQL, Kafka.

mod admin;
mod batch;
mod clock;
mod command;
mod consistency;
mod context;
mod currencies;
mod description;
mod error;
mod hold_body;
mod holds;
mod keys;
mod limits;
mod operations;
mod payments;
mod postings;
mod query;
mod reach;
mod receipts;
mod refusals;
mod response;
mod size;
mod status;
mod transaction_body;
mod transactions;
mod wallets;

use std::sync::Arc;

use axum::Router;
use serde_json::Value;
use shared::{
    access::Scope::{Admin, MoneyMove, WalletsRead, WalletsWrite},
    server::{
        auth::Guard,
        health::Health,
        http::{Finish, HttpLimits, LargeBody, Listed, Route, Routes},
        metrics::{Metrics, RequestMetrics},
        openapi::{self, About, Description},
    },
};

use self::operations as say;

pub use context::{Api, KeyPolicy};

/// What a command alone may say is the limit everywhere else.
const LARGE_BODIES: &[LargeBody] = &[LargeBody {
    route: batch::ROUTE,
    limit_bytes: batch::BODY_LIMIT_BYTES,
}];

/// Wallets, and what is looked at of them.
fn wallet_routes() -> Routes<Arc<Api>> {
    Routes::new()
        .post(
            WalletsWrite,
            "/wallets",
            say::create_wallet(),
            wallets::create,
        )
        .get_with_query(WalletsRead, "/wallets", say::list_wallets(), wallets::list)
        .get(
            WalletsRead,
            "/wallets/{id}",
            say::get_wallet(),
            wallets::find,
        )
        .patch(
            WalletsWrite,
            "/wallets/{id}",
            say::update_wallet(),
            description::update,
        )
        .put(
            WalletsWrite,
            "/users/{user_id}/wallets/{currency}",
            say::main_wallet(),
            wallets::main_wallet,
        )
        .get(
            WalletsRead,
            "/wallets/{id}/balance",
            say::get_balance(),
            wallets::balance,
        )
        .get_with_query(
            WalletsRead,
            "/wallets/{id}/events",
            say::list_events(),
            wallets::events,
        )
        .get_with_query(
            WalletsRead,
            "/wallets/{id}/holds",
            say::list_holds(),
            holds::list,
        )
        .get_with_query(
            WalletsRead,
            "/wallets/{id}/refusals",
            say::list_refusals(),
            refusals::list,
        )
        .get(WalletsRead, "/holds/{id}", say::get_hold(), holds::find)
        .get_with_query(
            WalletsRead,
            "/users/{user_id}/wallets",
            say::list_wallets_of_user(),
            wallets::list_of_user,
        )
}

/// The API, each route with what a caller needs for it. Commands on a wallet are in [`mod@command`]; whose things a
/// caller reaches is the handlers' and the ledger's to see to.
fn api_routes() -> Routes<Arc<Api>> {
    let routes = wallet_routes()
        .post_with_query(MoneyMove, batch::ROUTE, say::submit_batch(), batch::submit)
        .get(
            WalletsRead,
            "/transactions/{id}",
            say::get_transaction(),
            transactions::find,
        )
        .get_with_query(
            WalletsRead,
            "/transactions",
            say::find_transactions(),
            transactions::list,
        )
        .get(
            WalletsRead,
            "/idempotency-keys/{key}",
            say::get_key(),
            keys::find,
        )
        .get(
            WalletsRead,
            "/currencies",
            say::list_currencies(),
            currencies::list,
        )
        .post(Admin, clock::ROUTE, say::advance_clock(), clock::advance)
        .post(Admin, admin::REPUBLISH, say::republish(), admin::republish)
        .get(
            Admin,
            admin::REPUBLISH,
            say::list_republications(),
            admin::republications,
        )
        .get_with_query(
            Admin,
            "/admin/consistency",
            say::check_consistency(),
            consistency::check,
        )
        .get_with_query(Admin, "/admin/heads", say::list_heads(), wallets::heads);
    command::add_to(limits::add_to(routes))
}

/// Every route of the service. It is the list the router is built from.
pub fn routes() -> Vec<Route> {
    listed().into_iter().map(|listed| listed.route).collect()
}

fn listed() -> Vec<Listed> {
    let mut routes = api_routes().into_list();
    routes.extend(Health::routes().into_list());
    routes.extend(Metrics::routes().into_list());
    routes.extend(Description::routes().into_list());
    routes
}

/// The OpenAPI document of the service.
pub fn document() -> Value {
    let about = About {
        title: "wallet-service",
        description: "The only writer of money: wallets, funds, withdrawals, transfers, holds, and reads that are never behind.",
        version: env!("CARGO_PKG_VERSION"),
    };
    openapi::document(&about, &listed())
}

/// Every path of the service.
pub fn router(
    api: Api,
    guard: &Guard,
    (health, metrics): (&Health, &Metrics),
    requests: RequestMetrics,
    limits: &HttpLimits,
) -> Router {
    let routes = api_routes()
        .with_state(&Arc::new(api))
        .merge(Health::routes().with_state(health))
        .merge(Metrics::routes().with_state(metrics))
        .merge(Description::routes().with_state(&Description::new(&document())));
    let finish = Finish {
        large_bodies: LARGE_BODIES,
        metrics: Some(requests),
    };
    finish.router(routes.into_router(guard), limits)
}
