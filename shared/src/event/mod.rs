//! `WalletEvent`: what happened to one wallet, complete in itself. It is the journal row, the Kafka message and the
//! history row.
//!
//! A reader accepts fields it does not know and refuses kinds and schema versions it does not know: those are kept
//! aside as they came, never guessed. In JSON, amounts are decimal text with the currency's own decimals.

pub mod binary;
pub mod chain;
mod claim;
pub mod contract;
mod data;
mod hold_step;
mod item;
mod json;
mod model;
#[cfg(feature = "sqlx")]
mod row;

pub use claim::EventClaim;
pub use data::{
    Closed, Created, Details, EventData, EventDataIn, FreezeDirection, Frozen, HoldCaptured,
    HoldChanged, HoldPlaced, LimitsChanged, Movement, Posted, Reversed, UnfreezeCause, Unfrozen,
    UnknownDirection, Updated,
};
pub use hold_step::HoldStep;
pub use item::EventItem;
pub use json::DecodeError;
pub use model::{EventBody, EventKind, KNOWN_VERSIONS, SCHEMA_VERSION, UnknownKind, WalletEvent};

#[cfg(test)]
mod tests;
