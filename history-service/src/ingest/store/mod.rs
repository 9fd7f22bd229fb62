//! Every statement that writes history. Nothing else in this service changes a row.
//!
//! Statements are checked when they run, not when they compile, so that a build needs no database; the integration
//! tests run each of them. A batch of any size takes a constant number of them: values travel as arrays.
//!
//! What is looked up by array is looked up in a `lateral` subquery with a limit. That leaves the planner one plan, the
//! primary key once per value; as a plain join, a plan made while the tables were empty may scan them whole for ever.

mod events;
mod insert;
mod offsets;
mod parked;
mod quarantine;
pub(in crate::ingest) mod rebuilds;
pub(in crate::ingest) mod refills;
mod set_aside;
mod waiting;

pub(super) use offsets::next_offsets;
pub use offsets::{Advance, ResumePoint, advance_offsets, claim_offsets, takes_writes};

pub(super) use events::{insert_events, insert_wallets, read_heads, stored_hashes};
pub use parked::{LowestParked, lowest_parked};
pub use rebuilds::Requested;
pub use set_aside::SetAside;

pub(super) use parked::{UNPARK_MAX, park, parked_above, parked_behind, unpark};
pub(super) use quarantine::{
    Counted, Resolution, count_open, lock_quarantined, quarantine, resolution_of, resolve,
};
pub(super) use set_aside::{own_heads, set_events_aside, share_heads, supersede};
pub(super) use waiting::{discard_waiting, known_waiting, lock_waiting, remove_waiting, wait};
