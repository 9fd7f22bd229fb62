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
