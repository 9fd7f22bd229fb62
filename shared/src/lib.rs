//! The contract between wallet-service and history-service, and the small chassis both stand on.
//!
//! - [`id`], [`money`], [`time`], [`hash`], [`idempotency`]: values that cannot be wrong once they exist.
//! - [`access`]: who calls, what a caller may do, and whose things a caller reaches.
//! - [`event`]: what goes over Kafka, with the hash that ties a wallet's events together.
//! - [`limits`]: what may move in and out of a wallet, and how that is counted from its events.
//! - [`name`]: what a new user id or reference may be.
//! - [`digest`]: bytes of a fixed layout, for hashes.
//! - [`patch`]: what a change says of one field.
//! - [`schema`]: how these values look in JSON.
//! - [`problem`], [`page`]: how every HTTP answer of the project refuses and how it lists.
//! - `sql` (feature `sqlx`): the values as columns of Postgres.
//! - `server` (feature `server`): settings, telemetry, HTTP, Postgres and Kafka as both processes use them.
//! - `testing` (feature `testing`): a database and a topic of its own for every test.
//!
//! Nothing here knows a rule of the ledger or a table of either service.

pub mod access;
pub mod digest;
pub mod event;
pub mod hash;
pub mod id;
pub mod idempotency;
pub mod limits;
pub mod money;
pub mod name;
pub mod page;
pub mod patch;
pub mod problem;
pub mod schema;
pub mod text;
pub mod time;

#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "sqlx")]
pub mod sql;
#[cfg(feature = "testing")]
pub mod testing;

pub use hash::Hash;
pub use id::{EventId, HoldId, Sequence, Slot, TransactionId, UserId, WalletId, new_uuid};
pub use idempotency::IdempotencyKey;
pub use money::{Amount, Balance, Change, Currency};
pub use patch::Patch;
pub use time::{InvalidMoment, Timestamp};

/// The former place of what is now [`struct@Hash`] and [`event::chain`].
pub mod chain {
    pub use crate::hash::Hash;

    use crate::event::WalletEvent;

    pub fn hash(event: &WalletEvent) -> Hash {
        event.computed_hash()
    }
}
