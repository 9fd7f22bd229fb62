//! Every statement that writes history. Nothing else in this service changes a row.
//!
//! Statements are checked when they run, not when they compile, so that a build needs no database; the integration
//! tests run each of them. A batch of any size takes a constant number of them: values travel as arrays.
//!
//! What is looked up by array is looked up in a `lateral` subquery with a limit. That leaves the planner one plan, the
//! primary key once per value; as a plain join, a plan made while the tables were empty may scan them whole for ever.

mod archived;
pub(in crate::ingest) mod drifts;
mod events;
mod insert;
mod offsets;
pub(in crate::ingest) mod orders;
mod parked;
pub(in crate::ingest) mod proofs;
mod quarantine;
pub(in crate::ingest) mod rebuilds;
pub(in crate::ingest) mod recounts;
pub(in crate::ingest) mod refills;
pub(in crate::ingest) mod reports;
mod sequences;
mod set_aside;
mod stored;
mod waiting;

pub use offsets::{Advance, Moved, ResumePoint, advance_offsets, claim_offsets, takes_writes};
pub(super) use offsets::{next_offsets, restart_offset};

pub(super) use archived::{bases, bases_of};
pub(super) use events::{insert_events, insert_wallets, read_heads, stored_hashes};
pub use orders::{RepairOf, Requested};
pub use parked::{LowestParked, lowest_parked};
pub use quarantine::Settled;
pub use refills::RefillState;
pub use set_aside::{Replaced, SetAside};

pub(super) use parked::{UNPARK_MAX, park, parked_above, parked_behind, unpark};
pub(super) use quarantine::{
    Counted, Resolution, count_open, discard_open, lock_quarantined, open_misfits, quarantine,
    resolution_of, resolve, settle_standing,
};
pub(super) use sequences::Ids;
pub(super) use set_aside::{
    own_heads, set_events_aside, set_rows_aside, set_waiting_aside, share_heads, supersede,
};
pub(super) use stored::{Rows, rows_from, rows_of, stored_rows};
pub(super) use waiting::{discard_waiting, known_waiting, lock_waiting, remove_waiting, wait};
