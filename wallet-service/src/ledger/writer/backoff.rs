//! How long to wait before a database that did not answer is asked again.

use std::time::Duration;

use shared::server::backoff::Backoff;

/// How long a database that cannot be reached is asked before callers are told that nothing was done. Long enough for a
/// restart of a healthy server to go unnoticed by most, short beside what a caller waits.
pub(super) const REACH_TIMEOUT: Duration = Duration::from_secs(3);

/// Quick after a blip, easy on a database that is starting.
pub(super) fn backoff() -> Backoff {
    Backoff::new(Duration::from_millis(10), Duration::from_secs(1))
}
