//! How far the database is behind the topic, as it was seen when that was looked at last.

use std::time::{Duration, Instant};

/// How far the database is behind the topic.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Lag {
    pub(crate) events: i64,
    /// Since when something is missing; nothing when nothing is.
    pub(crate) since: Option<Instant>,
    pub(crate) looked: Instant,
}

impl Lag {
    /// Up to the look: what came since may be there by now, so it does not grow between two looks.
    pub(super) fn lasts(&self) -> Duration {
        let since = self.since.unwrap_or(self.looked);
        self.looked.saturating_duration_since(since)
    }

    /// What was seen may still be so. Kafka was not asked since then, or did not answer.
    pub(super) fn is_known(&self) -> bool {
        self.looked.elapsed() < KNOWN_FOR
    }

    /// For how long something may be missing by now.
    pub(super) fn at_most(&self) -> Duration {
        if self.is_known() {
            self.lasts()
        } else {
            self.looked.elapsed().saturating_add(self.lasts())
        }
    }
}

/// A few looks.
pub(super) const KNOWN_FOR: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lag_in_time_does_not_grow_between_two_looks() {
        let since = Instant::now();
        let lag = |since| Lag {
            events: 3,
            since,
            looked: Instant::now(),
        };
        let behind = lag(Some(since));
        let told = behind.lasts();
        while since.elapsed() <= told {
            std::hint::spin_loop();
        }
        assert_eq!(behind.lasts(), told);
        assert_eq!(lag(None).lasts(), Duration::ZERO);
    }
}
