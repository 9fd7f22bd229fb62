//! wallet-service: the only writer of money.
//!
//! - [`config`] reads the settings, [`app`] starts the parts in order and ends them in order.
//! - [`http`] is the API: it turns requests into commands and answers into bodies.
//! - [`ledger`] decides commands and commits them in batches, with their events, in one Postgres transaction.
//! - [`outbox`] brings those events to Kafka.

pub mod app;
pub mod config;
pub mod http;
pub mod ledger;
pub mod outbox;
