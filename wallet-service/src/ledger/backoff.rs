//! How long to wait before a database that did not answer is asked again.

use std::time::Duration;

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
