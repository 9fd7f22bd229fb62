//! From Kafka to rows: every event once, in its wallet's order, with the offset in the same transaction.
//!
//! - [`message`]: bytes become an event or a reason why not.
//! - [`apply`]: the rule, pure; [`heads`]: where the wallets are, as far as that is known without asking.
//! - [`batch`]: one batch, one transaction; [`applied`]: what it did; [`store`]: its statements.
//! - [`refill`]: what is missing or contradicted, from the ledger. [`proof`]: that what is here is still what was written.
//! - [`recount`]: the sums of reports, once rows have come back.
//! - `writer`: the connection; `consumer`: the thread that polls Kafka, and its membership in the group.
//! - [`upkeep`]: what is done beside the stream, on a schedule or by a person's word.
//!
//! Nothing here knows HTTP. Readers hear of progress through [`Progress`](crate::progress::Progress).

pub mod applied;
pub mod apply;
pub mod batch;
mod consumer;

pub mod heads;
mod limits;
pub mod message;
pub mod proof;
pub mod recount;
pub mod refill;

pub mod store;
pub mod upkeep;
mod writer;

pub use consumer::{GroupWatch, Ingest};

#[cfg(test)]
#[path = "../../tests/it/chain.rs"]
#[expect(dead_code, reason = "the integration tests use the rest of it")]
mod chain;
#[cfg(test)]
pub(crate) use chain::Chain;

#[cfg(test)]
mod samples {
    use std::sync::Arc;

    use shared::event::WalletEvent;

    pub(super) use super::chain::Chain;
    use super::message::{Headers, Message, Position, ReceivedHeaders};

    pub(super) fn message(event: &WalletEvent, offset: i64) -> Message {
        Message {
            position: Position {
                topic: Arc::from("wallet-events"),
                partition: 0,
                offset,
                sent_at: None,
            },
            key: Some(event.wallet_id.to_string().into_bytes()),
            value: Some(event.to_json()),
            headers: Headers::Received(ReceivedHeaders::default()),
        }
    }
}
