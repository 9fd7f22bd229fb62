//! wallet-service: the only writer of money.
//!
//! - [`ledger`] decides commands and commits them in batches, with their events, in one Postgres transaction.
//! - [`outbox`] brings those events to Kafka.

pub mod ledger;
pub mod outbox;
