//! The outbox: events that were committed with the money and have still to reach Kafka.
//!
//! [`Packer`] puts the events of a batch into rows, inside the ledger's own transaction; [`relay`] sends the rows and
//! deletes what Kafka has acknowledged. Nothing is deleted earlier, so an event can be sent twice but never not at all.

mod delivery;
mod json;
mod message;
mod pack;
pub mod relay;
mod store;

pub use pack::Packer;
