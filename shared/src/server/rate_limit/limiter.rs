//! One limit, for any number of keys: so many at once, and so many a second from then on (the generic cell rate
//! algorithm, by `governor`).
//!
//! What is remembered is bounded. A key that is asked for seldom is forgotten first, and begins anew; one that is at its
//! limit is asked for often.

use std::{sync::Arc, time::Duration};

use governor::{
    RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed, StateStore},
};
use quick_cache::sync::Cache;
use tokio::time::Instant;

use super::settings::Quota;

/// Some megabytes in each limiter.
pub(super) const REMEMBERED_MAX: usize = 64 * 1024;

/// What is counted for, as a hash with a secret of the process: nobody can choose a key that meets another's.
pub(super) type Key = u64;

/// See the module.
pub(super) struct Limiter {
    /// As answers name it.
    pub(super) name: &'static str,
    pub(super) quota: Quota,
    limiter: RateLimiter<Key, Remembered, SinceStart, NoOpMiddleware<Nanos>>,
    remembered: Remembered,
    clock: SinceStart,
}

/// Where a key stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Standing {
    /// How many are let through at once.
    pub(super) remaining: u64,
    /// Until the whole burst is there again.
    pub(super) full_in: Duration,
}

impl Limiter {
    pub(super) fn new(name: &'static str, quota: Quota) -> Self {
        let remembered = Remembered(Arc::new(Cache::new(REMEMBERED_MAX)));
        let clock = SinceStart(Instant::now());
        Self {
            name,
            quota,
            limiter: RateLimiter::new(quota.of_governor(), remembered.clone(), clock),
            remembered,
            clock,
        }
    }

    /// # Errors
    /// With the time after which one is let through again, when none is now.
    pub(super) fn take(&self, key: Key) -> Result<(), Duration> {
        let taken = self.limiter.check_key(&key);
        taken.map_err(|until| until.wait_time_from(self.clock.now()))
    }

    /// So many more were let through with the last one: those after them wait for longer.
    pub(super) fn owe(&self, key: Key, more: u64) {
        let (now, cost) = (self.clock.now(), self.nanos_of_one().saturating_mul(more));
        let owed = self.remembered.measure_and_replace(&key, |next| {
            let next = next.unwrap_or(now).max(now).as_u64();
            Ok::<_, std::convert::Infallible>(((), Nanos::new(next.saturating_add(cost))))
        });
        let Ok(()) = owed;
    }

    pub(super) fn standing(&self, key: Key) -> Standing {
        let now = self.clock.now().as_u64();
        let next = self.remembered.peek(key).map_or(now, |next| next.max(now));
        let one = self.nanos_of_one();
        let burst = one.saturating_mul(u64::from(self.quota.burst.get()));
        Standing {
            remaining: burst.saturating_sub(next - now) / one,
            full_in: Duration::from_nanos(next - now),
        }
    }

    fn nanos_of_one(&self) -> u64 {
        let one = self.quota.of_governor().replenish_interval().as_nanos();
        u64::try_from(one).unwrap_or(u64::MAX).max(1)
    }

    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.remembered.0.len()
    }
}

/// Nanoseconds since it was made.
#[derive(Clone, Copy, Debug)]
struct SinceStart(Instant);

impl Clock for SinceStart {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        let nanos = self.0.elapsed().as_nanos();
        Nanos::new(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[derive(Clone)]
struct Remembered(Arc<Cache<Key, Arc<InMemoryState>>>);

impl Remembered {
    fn peek(&self, key: Key) -> Option<u64> {
        let state = self.0.get(&key)?;
        let found = state.measure_and_replace(&NotKeyed::NonKey, Err::<((), Nanos), _>);
        found.err().flatten().map(Nanos::as_u64)
    }
}

impl StateStore for Remembered {
    type Key = Key;

    fn measure_and_replace<T, F, E>(&self, key: &Key, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let state = self
            .0
            .get_or_insert_with(key, || Ok::<_, std::convert::Infallible>(Arc::default()));
        let Ok(state) = state;
        state.measure_and_replace(&NotKeyed::NonKey, f)
    }
}
