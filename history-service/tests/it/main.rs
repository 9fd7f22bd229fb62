//! history-service on a real Postgres and a real Kafka; every test has a database and a topic of its own.

mod chain;
mod group;
mod harness;
mod ingest;
mod outage;
mod process;
mod reads;
mod schema;
