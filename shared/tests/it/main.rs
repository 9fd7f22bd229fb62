//! The chassis on a real Postgres and a real Kafka. Needs `TEST_POSTGRES_URL` and `TEST_KAFKA_BROKERS` (scripts/test).
#![cfg(feature = "testing")]
#![expect(
    clippy::unwrap_used,
    reason = "the lint knows test functions, not the helpers of a test binary"
)]

mod postgres;
mod postgres_error;
mod postgres_watch;
mod read_pool;
mod sql;
mod topic;
