//! The chassis on a real Postgres and a real Kafka. Needs `TEST_POSTGRES_URL` and `TEST_KAFKA_BROKERS` (scripts/test).
#![cfg(feature = "testing")]

mod postgres;
mod postgres_error;
mod sql;
mod topic;
