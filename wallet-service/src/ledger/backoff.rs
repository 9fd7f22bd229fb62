//! How long to wait before a database that did not answer is asked again.

use std::time::Duration;

/// How long a database that cannot be reached is asked before callers are told that nothing was done. Long enough for a
/// restart of a healthy server to go unnoticed by most, short beside what a caller waits.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// A pause that doubles from 10 ms to 1 s: quick after a blip, easy on a database that is starting.
#[derive(Debug)]
pub(super) struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(Duration::from_millis(10))
    }
}

impl Backoff {
    const LONGEST: Duration = Duration::from_secs(1);

    pub(super) async fn wait(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(Self::LONGEST);
    }
}
