//! From Kafka to rows: every event once, in its wallet's order, with the offset in the same transaction.
//!
//! - [`message`]: bytes become an event or a reason why not.
//! - [`apply`]: the rule, pure.
//! - [`project`]: one batch, one transaction; [`store`]: its statements.
//! - `writer`: the connection; `group`: the membership; `consumer`: the thread that turns the wheel.
//!
//! Nothing here knows HTTP. Readers hear of progress through [`Progress`].

pub mod apply;
mod consumer;
mod group;
pub mod message;
mod progress;
pub mod project;
pub mod store;
mod writer;

use std::sync::Arc;

use shared::server::kafka::KafkaSettings;
use sqlx::postgres::PgConnectOptions;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use progress::{Moved, Progress, Totals};

/// Starts the ingest thread. It ends when `shutdown` says so, with the batch in hand committed; whoever starts it joins
/// it, and takes any other end for a failure of the process.
///
/// # Errors
/// When the thread cannot have a runtime of its own.
pub fn start(
    kafka: KafkaSettings,
    group: String,
    database: PgConnectOptions,
    progress: Arc<Progress>,
    shutdown: CancellationToken,
) -> std::io::Result<JoinHandle<()>> {
    let writer = writer::Writer::new(database, Arc::from(kafka.topic.as_str()))?;
    let ingest = consumer::Ingest { kafka, group, writer, progress, shutdown };
    Ok(tokio::task::spawn_blocking(|| ingest.run()))
}

#[cfg(test)]
#[path = "../../tests/it/chain.rs"]
mod chain;

#[cfg(test)]
mod samples {
    use std::sync::Arc;

    use shared::event::WalletEvent;

    pub(super) use super::chain::Chain;
    use super::message::{Headers, Message, Position};

    pub(super) fn message(event: &WalletEvent, offset: i64) -> Message {
        Message {
            position: Position { topic: Arc::from("wallet-events"), partition: 0, offset },
            key: Some(event.wallet_id.to_string().into_bytes()),
            value: Some(event.to_json()),
            headers: Headers::Received(Vec::new()),
        }
    }
}
