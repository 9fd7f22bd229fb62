//! Whether another instance writes the same wallets, so often that it is better to lock before deciding.
//!
//! A batch that is decided on kept wallets costs one round trip, and is decided once more when another instance wrote one
//! of them. When that becomes the rule, nearly every batch is made in vain: then wallets are locked and read first, which
//! cannot lose. Each wallet that is found to have moved meanwhile shows that it is still so.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// So many within [`WINDOW`] are no accident.
const MANY: usize = 3;
/// Also how long it takes to believe that it is over.
const WINDOW: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Contention {
    recent: VecDeque<Instant>,
    period: Option<Period>,
}

#[derive(Debug)]
struct Period {
    since: Instant,
    observed: u64,
}

impl Contention {
    /// Wallets of a batch had been written by another instance.
    pub(super) fn observe(&mut self) {
        let now = Instant::now();
        self.forget_before(now);
        if self.recent.len() == MANY {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        match &mut self.period {
            Some(period) => period.observed += 1,
            None if self.recent.len() == MANY => {
                tracing::info!(
                    "another instance writes the same wallets: wallets are locked before commands are decided"
                );
                self.period = Some(Period {
                    since: now,
                    observed: self.recent.len() as u64,
                });
            }
            None => {}
        }
    }

    pub(super) fn is_frequent(&mut self) -> bool {
        self.forget_before(Instant::now());
        if !self.recent.is_empty() {
            return self.period.is_some();
        }
        if let Some(Period { since, observed }) = self.period.take() {
            tracing::info!(
                seconds = since.elapsed().as_secs(),
                batches = observed,
                "no other instance writes the same wallets any more"
            );
        }
        false
    }

    fn forget_before(&mut self, now: Instant) {
        while let Some(oldest) = self.recent.front()
            && now.duration_since(*oldest) > WINDOW
        {
            self.recent.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn conflicts_are_frequent_from_the_third_in_a_second_until_a_second_without_one() {
        let mut contention = Contention::default();
        for _ in 0..10 {
            contention.observe();
            assert!(!contention.is_frequent());
            tokio::time::advance(WINDOW / 2 + Duration::from_millis(1)).await;
        }
        for _ in 0..MANY {
            contention.observe();
        }
        for _ in 0..10 {
            assert!(contention.is_frequent());
            tokio::time::advance(WINDOW * 9 / 10).await;
            contention.observe();
        }
        tokio::time::advance(WINDOW * 2).await;
        assert!(!contention.is_frequent());
        contention.observe();
        assert!(!contention.is_frequent(), "it is an accident again");
    }
}
