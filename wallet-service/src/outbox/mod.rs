//! The outbox: events that were committed with the money and have still to reach Kafka.
//!
//! [`RowEncoder`] puts the events of a batch into rows, inside the ledger's own transaction; [`relay`] sends the rows and
//! deletes what Kafka has acknowledged. Nothing is deleted earlier, so an event can be sent twice but never not at all.

mod message;
mod publisher;
pub mod relay;
mod row;
mod store;

pub use row::RowEncoder;
