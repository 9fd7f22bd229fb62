//! The API, endpoint by endpoint and error by error, on a real Postgres.

mod amounts;
mod authorization;
mod batch;
mod conditions;
mod edge;
mod holds;
mod idempotency;
mod keys;
mod listings;
mod payments;
mod reads;
mod refusals;
mod routes;
mod status;
mod stricter;
mod wallets;
