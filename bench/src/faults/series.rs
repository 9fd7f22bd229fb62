//! When something went well, again and again: how long it did not, and how soon it did again.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Moments in their order.
#[derive(Default, Debug)]
pub struct Series(Mutex<Vec<Instant>>);

impl Series {
    pub fn note(&self) {
        let mut moments = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        moments.push(Instant::now());
    }

    /// The longest time without one, from `from` to `to`.
    pub fn silence(&self, from: Instant, to: Instant) -> Duration {
        let moments = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        silence(&moments, from, to)
    }

    /// The first one that is later.
    pub fn first_after(&self, moment: Instant) -> Option<Instant> {
        let moments = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = moments.partition_point(|noted| *noted <= moment);
        moments.get(at).copied()
    }
}

/// The longest time without a moment of any of them.
pub fn silence_of_all(all: &[Series], from: Instant, to: Instant) -> Duration {
    let mut moments = Vec::new();
    for series in all {
        moments.extend_from_slice(&series.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
    moments.sort_unstable();
    silence(&moments, from, to)
}

fn silence(moments: &[Instant], from: Instant, to: Instant) -> Duration {
    let within = moments
        .iter()
        .copied()
        .filter(|at| *at > from && *at <= to)
        .chain([to]);
    let (mut last, mut longest) = (from, Duration::ZERO);
    for at in within {
        longest = longest.max(at.saturating_duration_since(last));
        last = at;
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_is_the_longest_time_without_a_moment_and_both_ends_count() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let seconds = |moments: &[u64], from, to| {
            let moments: Vec<_> = moments.iter().map(|seconds| at(*seconds)).collect();
            silence(&moments, at(from), at(to)).as_secs()
        };
        assert_eq!(seconds(&[1, 2, 5, 6], 0, 7), 3);
        assert_eq!(seconds(&[5, 6], 0, 7), 5, "before the first");
        assert_eq!(seconds(&[1, 2], 0, 7), 5, "after the last");
        assert_eq!(seconds(&[1, 9], 2, 7), 5, "what is outside does not count");
        assert_eq!(seconds(&[], 0, 7), 7);
    }

    #[test]
    fn the_first_moment_after_another_is_found() {
        let series = Series::default();
        let before = Instant::now();
        series.note();
        let first = series.first_after(before);
        assert!(first.is_some());
        assert_eq!(series.first_after(Instant::now()), None);
        let none = Series::default();
        let all = [series, none];
        assert!(silence_of_all(&all, before, Instant::now()) <= before.elapsed());
    }
}
