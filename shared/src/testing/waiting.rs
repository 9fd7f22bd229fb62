//! Waiting for a state instead of for a time.

use std::time::Duration;

use tokio::time::Instant;

use super::{expect, variable};

/// Between two looks in [`eventually`]: short beside what a person notices, long beside a query.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long a test waits for what has to come: as long as it usually would, or as `TEST_PATIENCE_SECONDS` says when that
/// is less, for runs in which tests are meant to fail.
///
/// # Panics
/// When that is no number.
pub fn patience(usual: Duration) -> Duration {
    let said = variable("TEST_PATIENCE_SECONDS").map(|seconds| expect(seconds.parse(), "seconds"));
    said.map_or(usual, |said| Duration::from_secs(said).min(usual))
}

/// Looks until there is something to see, and gives it.
///
/// # Panics
/// After `deadline`, with `what` as the sentence that did not come true.
pub async fn eventually<T>(
    what: &str,
    deadline: Duration,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> T {
    let mut looks = Looks::within(deadline);
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        looks.next(what).await;
    }
}

/// The pauses between looks, for a loop that [`eventually`] cannot hold, such as one in a spawned task.
#[derive(Debug)]
pub struct Looks {
    deadline: Duration,
    until: Instant,
}

impl Looks {
    pub fn within(deadline: Duration) -> Self {
        let deadline = patience(deadline);
        let until = Instant::now() + deadline;
        Self { deadline, until }
    }

    /// Waits for the next look.
    ///
    /// # Panics
    /// After the deadline, with `what` as the sentence that did not come true.
    pub async fn next(&mut self, what: &str) {
        let Self { deadline, until } = self;
        assert!(Instant::now() < *until, "not within {deadline:?}: {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
