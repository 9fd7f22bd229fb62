//! How far the clock of this process is from Postgres'.

use super::{Definition, Metrics};
use crate::{Timestamp, server::postgres::PostgresClock};

const SKEW: Definition = Definition::gauge(
    "clock_skew_seconds",
    "seconds",
    "How far the clock of this process is ahead of Postgres', which is negative when it is behind",
);

/// Every number about the clock.
pub const POSTGRES_CLOCK: &[Definition] = &[SKEW];

/// Tells how far the clock that `now` is of is from Postgres', as soon as that was asked.
pub fn tell_clock(metrics: &Metrics, clock: PostgresClock, now: fn() -> Timestamp) {
    metrics.read(SKEW, move || {
        let ahead = clock.ahead(now())?;
        Some(ahead.as_seconds_f64())
    });
}
