//! The outbox: events that were committed with the money and have still to reach Kafka.
//!
//! [`RowEncoder`] puts the events of a batch into rows, inside the ledger's own transaction; the relay sends the rows
//! and deletes what Kafka has acknowledged. Nothing is deleted earlier, so an event can be sent twice but never not at
//! all. Every instance tells how the outbox is ([`MessageLimit`] and health), whoever relays.

mod message;
pub mod metrics;
mod publisher;
mod relay;
pub mod republish;
mod row;
pub mod store;
mod topic;
mod watch;

use std::sync::Arc;

use shared::server::{
    health::Health,
    kafka::KafkaSettings,
    tasks::{Supervisor, Task},
};
use sqlx::postgres::PgConnectOptions;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub use self::{
    message::{BESIDE_DETAILS_BYTES_MAX, MESSAGE_BYTES_MAX},
    metrics::OutboxMetrics,
    row::RowEncoder,
    watch::MessageLimit,
};
use self::{
    relay::{Relay, Straggler},
    republish::Republish,
    watch::Watch,
};

/// What works on the outbox in one instance.
pub struct Outbox {
    /// Its sessions' plans must not be made for the empty table that the outbox mostly is.
    pub database: PgConnectOptions,
    pub kafka: KafkaSettings,
    /// Whether this instance may relay.
    pub relay_enabled: bool,
    /// Wakes the relay when rows may have been added.
    pub filled: Arc<Notify>,
    /// Told how large the messages are that the topic takes.
    pub limit: MessageLimit,
    /// What is ordered to be sent once more.
    pub republish: Republish,
    /// Told what waits and what is sent.
    pub metrics: OutboxMetrics,
}

impl Outbox {
    /// Starts the watch, and the relay if this instance may have one. The tasks run until `stop`.
    pub fn start(self, tasks: &Supervisor, health: &Health, stop: &CancellationToken) -> Vec<Task> {
        let Self {
            database,
            kafka,
            relay_enabled,
            filled,
            limit,
            republish,
            metrics,
        } = self;
        let straggler = Straggler::none();
        let probe = health.component("outbox");
        // Not down: the service is ready without it.
        probe.degraded("not looked at yet");
        let watch = Watch {
            database: database.clone(),
            topic: kafka.topic.clone(),
            probe,
            straggler: straggler.clone(),
            limit,
            metrics: metrics.clone(),
        };
        let mut started = vec![tasks.spawn("outbox", watch.run(stop.clone()))];
        if relay_enabled {
            let probe = health.component("kafka");
            // Not down: the service is ready without Kafka, and the relay has not looked yet.
            probe.degraded("not connected yet");
            let relay = Relay::new(database, kafka, probe, filled, straggler, metrics.clone());
            started.push(tasks.spawn("relay", relay.run(stop.clone())));
            started.push(tasks.spawn("republish", republish.run(stop.clone(), metrics)));
        }
        started
    }
}
