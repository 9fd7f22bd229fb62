//! How far the database is behind the topic, in messages and in time. Pure but for the moments it is given.
//!
//! A message was in the topic when its end was first seen behind it. So the ends that were seen are kept with the moment
//! of the look, as long as the database has not reached them; the first of them says since when something is missing.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Instant,
};

use crate::metrics::Lag;

/// Of each partition. When there are more, every other one is forgotten: then the time is told less exactly.
const ENDS_MAX: usize = 256;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct LagWatch {
    /// Of each partition: the offset after its last message, and since when that is known.
    ends: BTreeMap<i32, VecDeque<(i64, Instant)>>,
}

impl LagWatch {
    /// Takes note of where the topic ends in each partition, and which message the database wants next.
    pub(super) fn look(
        &mut self,
        ends: &BTreeMap<i32, i64>,
        next: &BTreeMap<i32, i64>,
        now: Instant,
    ) -> Lag {
        self.ends
            .retain(|partition, _| ends.contains_key(partition));
        let mut lag = Lag {
            events: 0,
            since: None,
            looked: now,
        };
        for (partition, end) in ends {
            let next = next.get(partition).copied().unwrap_or(0);
            let seen = self.ends.entry(*partition).or_default();
            if seen.back().is_some_and(|(last, _)| last > end) {
                // Another topic of that name.
                seen.clear();
            }
            if seen.back().is_none_or(|(last, _)| last < end) {
                seen.push_back((*end, now));
            }
            while seen.front().is_some_and(|(end, _)| *end <= next) {
                // The last one stays, so that it is not taken for new at the next look.
                if seen.len() == 1 {
                    break;
                }
                seen.pop_front();
            }
            thin_out(seen);
            if *end > next {
                lag.events = lag.events.saturating_add(end - next);
                let since = seen.front().map(|(_, since)| *since);
                lag.since = [lag.since, since].into_iter().flatten().min();
            }
        }
        lag
    }
}

/// Keeps the oldest.
fn thin_out(seen: &mut VecDeque<(i64, Instant)>) {
    if seen.len() > ENDS_MAX {
        let mut place = 0_usize;
        seen.retain(|_| {
            place += 1;
            place % 2 == 1
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn of(offsets: &[i64]) -> BTreeMap<i32, i64> {
        (0..).zip(offsets.iter().copied()).collect()
    }

    #[test]
    fn the_lag_is_what_the_database_lacks_and_since_when() {
        let mut watch = LagWatch::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let lag = watch.look(&of(&[10, 5]), &of(&[10, 5]), at(0));
        assert_eq!((lag.events, lag.since), (0, None));

        let lag = watch.look(&of(&[12, 5]), &of(&[10, 5]), at(5));
        assert_eq!((lag.events, lag.since), (2, Some(at(5))));
        let lag = watch.look(&of(&[20, 6]), &of(&[11, 5]), at(10));
        assert_eq!((lag.events, lag.since), (10, Some(at(5))));
        // It gets on: what was missing at first is there, what came later is not.
        let lag = watch.look(&of(&[20, 6]), &of(&[12, 6]), at(15));
        assert_eq!((lag.events, lag.since), (8, Some(at(10))));
        let lag = watch.look(&of(&[20, 6]), &of(&[20, 6]), at(20));
        assert_eq!((lag.events, lag.since), (0, None));
        let lag = watch.look(&of(&[21, 6]), &of(&[20, 6]), at(25));
        assert_eq!((lag.events, lag.since), (1, Some(at(25))));
    }

    #[test]
    fn always_a_little_behind_is_not_long_behind() {
        let mut watch = LagWatch::default();
        let start = Instant::now();
        for n in 0..1_000 {
            let now = start + Duration::from_secs(n);
            let end = i64::try_from(n).unwrap() * 100;
            let lag = watch.look(&of(&[end + 50]), &of(&[end]), now);
            assert_eq!((lag.events, lag.since), (50, Some(now)));
        }
    }

    #[test]
    fn a_long_outage_is_told_with_its_beginning_and_bounded_memory() {
        let mut watch = LagWatch::default();
        let start = Instant::now();
        for n in 0..5_000 {
            let now = start + Duration::from_secs(n);
            let end = i64::try_from(n).unwrap() + 1;
            let lag = watch.look(&of(&[end]), &of(&[0]), now);
            assert_eq!((lag.events, lag.since), (end, Some(start)));
        }
        assert!(watch.ends[&0].len() <= ENDS_MAX);
    }

    #[test]
    fn a_topic_that_was_made_again_begins_anew() {
        let mut watch = LagWatch::default();
        let start = Instant::now();
        watch.look(&of(&[900]), &of(&[900]), start);
        let later = start + Duration::from_secs(5);
        let lag = watch.look(&of(&[3]), &of(&[900]), later);
        assert_eq!((lag.events, lag.since), (0, None));
    }
}
