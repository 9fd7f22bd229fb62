//! The clock of Postgres, as far as this process knows it, and whether its own agrees.
//!
//! Instances that share a database have its clock in common and no other. An instance whose clock is ahead would write
//! moments of the future into every wallet it touches, hashed and for good: so it has to stop before. Between two looks
//! at Postgres' clock this one goes on by the monotonic clock of the machine, so that a jump of the machine's time of day
//! is noticed at once.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use chrono::TimeDelta;

use crate::Timestamp;

/// How far the clock of an instance may be from Postgres'.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(2);

/// See the module. Clones share what is known.
#[derive(Clone, Default, Debug)]
pub struct PostgresClock(Arc<RwLock<Option<Seen>>>);

/// What Postgres' clock said at a moment of this machine's monotonic clock.
#[derive(Clone, Copy, Debug)]
struct Seen {
    said: Timestamp,
    at: Instant,
}

/// The clock of this process is too far from Postgres'.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub struct ClockSkew {
    /// Positive when this process is ahead.
    ahead: TimeDelta,
}

impl fmt::Display for ClockSkew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.ahead.abs().as_seconds_f64();
        let side = if self.ahead > TimeDelta::zero() {
            "ahead of"
        } else {
            "behind"
        };
        write!(
            f,
            "the clock of this instance is {seconds:.1} s {side} Postgres'"
        )
    }
}

impl PostgresClock {
    /// Takes in that Postgres' clock said this at that moment.
    pub fn set(&self, said: Timestamp, at: Instant) {
        let mut seen = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *seen = Some(Seen { said, at });
    }

    /// Takes in what it said in answer to a question, half-way between the two. An answer that took so long that it could
    /// not tell a skew says nothing.
    pub fn answered(&self, said: Timestamp, asked: Instant, answered: Instant) {
        let took = answered.saturating_duration_since(asked);
        if took < CLOCK_SKEW_MAX / 2 {
            self.set(said, asked + took / 2);
        }
    }

    /// How far the clock that said `local` just now is ahead of Postgres'; nothing before Postgres was asked.
    pub fn ahead(&self, local: Timestamp) -> Option<TimeDelta> {
        let seen = *self.0.read().unwrap_or_else(PoisonError::into_inner);
        seen.map(|seen| seen.ahead(local, Instant::now()))
    }

    /// Whether the clock that said `local` just now agrees with Postgres'. It is taken to, until Postgres was asked.
    ///
    /// # Errors
    /// When it does not.
    pub fn check(&self, local: Timestamp) -> Result<(), ClockSkew> {
        let seen = *self.0.read().unwrap_or_else(PoisonError::into_inner);
        match seen {
            Some(seen) => seen.check(local, Instant::now()),
            None => Ok(()),
        }
    }
}

impl Seen {
    fn ahead(self, local: Timestamp, now: Instant) -> TimeDelta {
        let since = now.saturating_duration_since(self.at);
        let since = TimeDelta::from_std(since).unwrap_or(TimeDelta::MAX);
        local.utc().signed_duration_since(self.said.utc()) - since
    }

    fn check(self, local: Timestamp, now: Instant) -> Result<(), ClockSkew> {
        let max = TimeDelta::from_std(CLOCK_SKEW_MAX).unwrap_or(TimeDelta::MAX);
        let ahead = self.ahead(local, now);
        if ahead.abs() > max {
            Err(ClockSkew { ahead })
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(millis: i64) -> Timestamp {
        let at = chrono::DateTime::from_timestamp_millis(1_800_000_000_000 + millis);
        at.unwrap().into()
    }

    #[test]
    fn two_seconds_apart_is_the_most_on_either_side_also_when_time_has_gone_on() {
        let start = Instant::now();
        let seen = Seen {
            said: moment(0),
            at: start,
        };
        let hour: i64 = 3_600_000;
        for elapsed in [0, hour] {
            let now = start + Duration::from_millis(elapsed.unsigned_abs());
            let agrees = |skew| seen.check(moment(elapsed + skew), now).is_ok();
            for near in [-2_000, -1, 0, 1, 2_000] {
                assert!(agrees(near), "{near}");
            }
            for far in [-hour, -2_001, 2_001, hour] {
                assert!(!agrees(far), "{far}");
            }
        }
        // The machine's time of day jumped, and Postgres was not asked since.
        let jumped = seen.check(moment(5_500), start + Duration::from_secs(1));
        let said = jumped.unwrap_err().to_string();
        assert_eq!(
            said,
            "the clock of this instance is 4.5 s ahead of Postgres'"
        );
    }

    #[test]
    fn an_answer_counts_for_the_middle_of_its_way_and_a_slow_one_not_at_all() {
        let asked = Instant::now();
        let clock = PostgresClock::default();
        clock.answered(moment(0), asked, asked + Duration::from_secs(1));
        assert!(clock.0.read().unwrap().is_none());
        clock.answered(moment(0), asked, asked + Duration::from_millis(500));
        let seen = clock.0.read().unwrap().unwrap();
        assert_eq!(seen.at, asked + Duration::from_millis(250));
    }
}
