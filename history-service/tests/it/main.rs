//! history-service on a real Postgres and a real Kafka; every test has a database and a topic of its own.

#![expect(
    clippy::unwrap_used,
    reason = "the lint knows test functions, not the helpers of a test binary"
)]

mod activity;
mod archived;
mod authorization;
mod balance;
mod chain;
mod command_line;
mod constraints;
mod cost;
mod filters;
mod freshness;
mod frozen;
mod group;
mod harness;
mod heads;
mod holes;
mod ingest;
mod metrics;
mod next_schema;
mod outage;
mod pages;
mod parked;
mod process;
mod proof;
mod quarantine;
mod reads;
mod recount;
mod refused;
mod repair;
mod reports;
mod routes;
mod sequences;
mod statement;
mod stream;
mod topic;
mod waiting;
