//! The contract between wallet-service and history-service, and the small chassis both stand on.
//!
//! - [`id`], [`money`], [`time`]: values that cannot be wrong once they exist.
//! - [`event`], [`chain`]: what goes over Kafka, and the hash that ties a wallet's events together.
//! - [`problem`], [`page`]: how every HTTP answer of the project refuses and how it lists.
//! - `server` (feature `server`): settings, telemetry, HTTP, Postgres and Kafka as both processes use them.
//! - `testing` (feature `testing`): a database and a topic of its own for every test.
//!
//! Nothing here knows a rule of the ledger or a table of either service.

pub mod chain;
pub mod event;
pub mod id;
pub mod money;
pub mod page;
pub mod problem;
pub mod time;

#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "testing")]
pub mod testing;

pub use id::{EventId, Sequence, TransactionId, UserId, WalletId};
pub use money::{Amount, Balance, Currency};
pub use time::Timestamp;
