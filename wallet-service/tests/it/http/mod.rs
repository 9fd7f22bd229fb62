//! The API, endpoint by endpoint and error by error, on a real Postgres.

mod amounts;
mod authorization;
mod batch;
mod clock;
mod conditions;
mod consistency;
mod descriptions;
mod dry_run;
mod edge;
mod holds;
mod idempotency;
mod keys;
mod limits;
mod listings;
mod main_wallet;
mod payments;
mod reads;
mod refusals;
mod refusals_kept;
mod routes;
mod status;
mod stricter;
mod transactions;
mod unreadable;
mod wallets;

use serde_json::{Value, json};

/// As much as a caller may note: thirty kilobytes.
pub(crate) fn noted() -> Value {
    (0..20)
        .map(|key| (format!("k{key}"), json!("€".repeat(512))))
        .collect::<serde_json::Map<_, _>>()
        .into()
}
