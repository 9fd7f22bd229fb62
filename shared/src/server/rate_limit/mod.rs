//! How many requests a caller may send, and how many come from one address: before anything of a request is read, and
//! before anything is done. A request past a limit is told when to come again.
//!
//! - [`settings`]: the limits. Where no others reach the service there are none.
//! - [`network`]: the address that a request is counted for, also behind proxies.
//! - [`limiter`]: one limit, for any number of callers in bounded memory.
//! - [`policy`]: which limits a request is counted by, and what its answer says of them.
//!
//! Each instance counts for itself.

mod limiter;
mod network;
mod policy;
mod settings;

pub(in crate::server) use self::{
    network::Peer,
    policy::{Admission, RATE_LIMIT, RATE_LIMIT_POLICY},
};
pub use self::{
    network::Proxies,
    policy::{Counted, RateLimits},
    settings::{Quota, RateLimitSettings},
};

#[cfg(test)]
mod tests;
