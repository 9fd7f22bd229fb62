//! Which message each partition should deliver next, and what another one means. Pure.
//!
//! A partition is started one message early: the message before the next one has to be there, and has to be the one that
//! was read. If it is not, this is not the topic that was read so far (it was made again, it is another cluster's), or it
//! does not hold that message any more. Then the partition is read from its start: what is known already is a duplicate.
//!
//! A partition that is empty says nothing by its messages, but its bounds do.

use std::collections::BTreeMap;

use shared::Hash;

use crate::ingest::{message::Message, store::ResumePoint};

/// What one partition delivers next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Due {
    /// The message before `next`, which has this identity.
    Before { next: i64, previous: Hash },
    /// Whatever comes first; `next` would have been next.
    Start { next: i64 },
    /// The message at this offset, if Kafka kept everything.
    Next(i64),
}

/// What a message that arrived is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Arrival {
    /// The one to go on with.
    Next,
    /// The one before: read already, and as it was.
    Previous,
    /// The one to go on with, but those between `expected` and it are gone.
    AfterLoss { expected: i64 },
    /// The first one of a partition that is read from its start. What the partition held before may be gone.
    First,
    /// Not the one before the next: the partition has to be read from its start. The message is not used.
    Other { expected: i64 },
}

/// The offsets of the first message that a partition holds, and of the next one that will come to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Bounds {
    pub(super) first: i64,
    pub(super) end: i64,
}

/// What a partition's bounds say of where it is to go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// There, as far as bounds can tell.
    Inside,
    /// The partition ends before it: this is not the topic that was read.
    Beyond,
    /// The next message is deleted, and was not read.
    Deleted,
}

impl Bounds {
    pub(super) const fn place(self, next_offset: i64) -> Place {
        if next_offset > self.end {
            Place::Beyond
        } else if next_offset < self.first {
            Place::Deleted
        } else {
            Place::Inside
        }
    }
}

/// The partitions of one assignment.
#[derive(Debug, Default)]
pub(super) struct Positions(BTreeMap<i32, Due>);

impl Positions {
    /// Partitions that are about to be started where [`starts`] says.
    pub(super) fn of(points: &BTreeMap<i32, ResumePoint>) -> Self {
        let due = points
            .iter()
            .map(|(partition, point)| (*partition, Due::of(point)));
        Self(due.collect())
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Takes note of a message. After [`Arrival::Other`] the partition is taken to be read from its start.
    pub(super) fn arrived(&mut self, message: &Message) -> Arrival {
        let (partition, offset) = (message.position.partition, message.position.offset);
        let (arrival, due) = match self.0.get(&partition).copied() {
            None => (Arrival::Next, Due::Next(offset.saturating_add(1))),
            Some(Due::Before { next, previous }) => {
                if offset.saturating_add(1) == next && message.identity() == previous {
                    (Arrival::Previous, Due::Next(next))
                } else {
                    let expected = next.saturating_sub(1);
                    (Arrival::Other { expected }, Due::Start { next })
                }
            }
            Some(Due::Start { next } | Due::Next(next)) if offset == next => {
                (Arrival::Next, Due::Next(offset.saturating_add(1)))
            }
            Some(Due::Start { .. }) => (Arrival::First, Due::Next(offset.saturating_add(1))),
            Some(Due::Next(expected)) => (
                Arrival::AfterLoss { expected },
                Due::Next(offset.saturating_add(1)),
            ),
        };
        self.0.insert(partition, due);
        arrival
    }
}

/// The offsets to start partitions at.
pub(super) fn starts(points: &BTreeMap<i32, ResumePoint>) -> BTreeMap<i32, i64> {
    let start = |point: &ResumePoint| match Due::of(point) {
        Due::Before { next, .. } => next.saturating_sub(1),
        Due::Start { next } | Due::Next(next) => next,
    };
    let starts = points
        .iter()
        .map(|(partition, point)| (*partition, start(point)));
    starts.collect()
}

impl Due {
    fn of(point: &ResumePoint) -> Self {
        let next = point.next_offset;
        match point.previous {
            Some(previous) if next > 0 => Self::Before { next, previous },
            _ => Self::Next(next),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::samples::{Chain, message};

    fn sent(offset: i64, sent_at: i64) -> Message {
        let mut sent = message(&Chain::new("alice").opened(), offset);
        sent.position.sent_at = Some(sent_at);
        sent
    }

    fn resumed(next_offset: i64, previous: Option<&Message>) -> (Positions, i64) {
        let point = ResumePoint {
            next_offset,
            previous: previous.map(Message::identity),
        };
        let points = BTreeMap::from([(0, point)]);
        (Positions::of(&points), starts(&points)[&0])
    }

    #[test]
    fn a_partition_goes_on_behind_the_message_that_it_read_last() {
        let last = sent(6, 1);
        let (mut positions, start) = resumed(7, Some(&last));
        assert_eq!(start, 6);
        assert_eq!(positions.arrived(&last), Arrival::Previous);
        assert_eq!(positions.arrived(&sent(7, 2)), Arrival::Next);
    }

    #[test]
    fn another_message_before_the_next_sends_the_partition_to_its_start() {
        let last = sent(6, 1);
        let again = Message {
            position: crate::ingest::message::Position {
                sent_at: Some(2),
                ..last.position.clone()
            },
            ..last.clone()
        };
        // Another event, the same event sent once more, one that stands later, one that stands earlier.
        for other in [sent(6, 1), again, sent(9, 1), sent(0, 1)] {
            let (mut positions, _) = resumed(7, Some(&last));
            let arrival = positions.arrived(&other);
            assert_eq!(arrival, Arrival::Other { expected: 6 }, "{other:?}");
            assert_eq!(positions.arrived(&sent(0, 1)), Arrival::First);
            assert_eq!(positions.arrived(&sent(1, 1)), Arrival::Next);
        }
    }

    #[test]
    fn bounds_tell_of_another_topic_and_of_loss_without_a_message() {
        let place = |first, end, next| Bounds { first, end }.place(next);
        assert_eq!(place(0, 0, 0), Place::Inside, "nothing was ever there");
        assert_eq!(place(0, 7, 7), Place::Inside, "all was read");
        assert_eq!(place(7, 7, 7), Place::Inside, "all was read and deleted");
        assert_eq!(place(0, 0, 7), Place::Beyond, "made again, and empty");
        assert_eq!(place(0, 6, 7), Place::Beyond);
        assert_eq!(place(8, 8, 7), Place::Deleted);
        assert_eq!(place(8, 20, 7), Place::Deleted);
    }

    #[test]
    fn a_partition_whose_read_part_alone_is_gone_lost_nothing() {
        let (mut positions, _) = resumed(7, Some(&sent(6, 1)));
        let first_kept = sent(7, 2);
        let arrival = positions.arrived(&first_kept);
        assert_eq!(arrival, Arrival::Other { expected: 6 });
        assert_eq!(positions.arrived(&first_kept), Arrival::Next);
    }

    #[test]
    fn what_nothing_is_known_of_goes_on_where_it_is_told_to() {
        for (next, previous) in [(0, None), (7, None), (0, Some(sent(6, 1)))] {
            let (mut positions, start) = resumed(next, previous.as_ref());
            assert_eq!(start, next);
            assert_eq!(positions.arrived(&sent(next, 1)), Arrival::Next);
            let gone = positions.arrived(&sent(next + 5, 1));
            assert_eq!(gone, Arrival::AfterLoss { expected: next + 1 });
        }
    }
}
