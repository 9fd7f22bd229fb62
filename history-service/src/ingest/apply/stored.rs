//! A row of history as it stands there, whatever that is, and whether it is what its hash says. Pure.

use std::collections::HashMap;

use shared::{Hash, Sequence, WalletId, event::WalletEvent};

use super::base::Base;

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredRow {
    pub wallet_id: WalletId,
    pub sequence: Sequence,
    pub hash: Hash,
    pub content: Content,
}

/// What the columns say, the hash left out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Content {
    /// An event. What its predecessor's hash is, no column says.
    Event(Box<WalletEvent>),
    /// Of a kind or a version that this build does not know: nothing can be said about it.
    OfAnotherBuild,
    /// No event at all.
    Nothing,
}

/// Whether a row has the hash that it would have behind a given event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Follows {
    Yes,
    No,
    /// This build cannot tell.
    Unknown,
}

impl StoredRow {
    pub const fn number(&self) -> (WalletId, Sequence) {
        (self.wallet_id, self.sequence)
    }

    /// Whether it follows on an event with this hash: [`Hash::ZERO`] for the first.
    pub fn follows(&self, previous: Hash) -> Follows {
        match &self.content {
            Content::Event(event) => {
                let behind = WalletEvent {
                    prev_hash: previous,
                    ..(**event).clone()
                };
                if behind.computed_hash() == self.hash {
                    Follows::Yes
                } else {
                    Follows::No
                }
            }
            Content::OfAnotherBuild => Follows::Unknown,
            Content::Nothing => Follows::No,
        }
    }

    /// Whether it says what this event says, with its hash. What an event said of the one before it is in the hash.
    pub fn says(&self, event: &WalletEvent) -> bool {
        let Content::Event(stored) = &self.content else {
            return false;
        };
        let stored = WalletEvent {
            prev_hash: event.prev_hash,
            hash: self.hash,
            ..(**stored).clone()
        };
        stored == *event
    }
}

/// A look along rows in the order of wallets and numbers, for what is no longer what was written.
#[derive(Clone, Debug, Default)]
pub struct RowWalk {
    /// The row before.
    last: Option<(WalletId, Sequence, Hash)>,
    /// Of the wallets that do not begin with their first event.
    bases: HashMap<WalletId, Base>,
}

impl RowWalk {
    /// Where wallets begin of which events are in an archive.
    pub const fn of(bases: HashMap<WalletId, Base>) -> Self {
        Self { last: None, bases }
    }

    /// Goes on behind a row that was looked at before.
    #[must_use]
    pub fn behind(self, row: &StoredRow) -> Self {
        Self {
            last: Some((row.wallet_id, row.sequence, row.hash)),
            ..self
        }
    }

    /// Whether the row is the wallet's next one and follows on the one before it. A row of another build is not known to.
    pub fn step(&mut self, row: &StoredRow) -> bool {
        let last = self.last.filter(|(wallet, ..)| *wallet == row.wallet_id);
        let (expected, previous) = match last {
            Some((_, sequence, hash)) => (sequence.next(), hash),
            None => match self.bases.get(&row.wallet_id) {
                Some(base) => (base.sequence.next(), base.hash),
                None => (Sequence::FIRST, Hash::ZERO),
            },
        };
        self.last = Some((row.wallet_id, row.sequence, row.hash));
        row.sequence == expected && row.follows(previous) == Follows::Yes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::samples::Chain;

    fn stored(event: &WalletEvent) -> StoredRow {
        StoredRow {
            wallet_id: event.wallet_id,
            sequence: event.sequence,
            hash: event.hash,
            content: Content::Event(Box::new(event.clone())),
        }
    }

    /// The numbers at which a walk stumbles.
    fn broken(rows: &[StoredRow]) -> Vec<i64> {
        let mut walk = RowWalk::default();
        let stumbles = rows.iter().filter(|row| !walk.step(row));
        stumbles.map(|row| row.sequence.get()).collect()
    }

    #[test]
    fn a_walk_stumbles_over_what_is_missing_and_what_was_changed() {
        let journal = [Chain::new("alice").journal(4), Chain::new("bob").journal(2)].concat();
        let rows = Vec::from_iter(journal.iter().map(stored));
        assert_eq!(broken(&rows), [0_i64; 0]);
        let without = |index: usize| {
            let mut rows = rows.clone();
            rows.remove(index);
            broken(&rows)
        };
        assert_eq!(without(0), [2], "the first of a wallet");
        assert_eq!(without(2), [4], "one in the middle");
        assert_eq!(without(3), [0_i64; 0], "an end is told by the ledger only");
        assert_eq!(without(4), [2], "the first of the next wallet");

        let changed = |change: fn(&mut StoredRow)| {
            let mut rows = rows.clone();
            change(&mut rows[1]);
            broken(&rows)
        };
        assert_eq!(changed(|row| row.content = Content::Nothing), [2]);
        assert_eq!(changed(|row| row.content = Content::OfAnotherBuild), [2]);
        assert_eq!(changed(|row| row.hash = Hash::ZERO), [2, 3]);
        let reworded = |row: &mut StoredRow| {
            if let Content::Event(event) = &mut row.content {
                event.actor = "mallory".to_owned();
            }
        };
        assert_eq!(changed(reworded), [2]);
    }

    #[test]
    fn a_row_says_what_its_event_says_in_every_column() {
        let event = Chain::new("alice").journal(2).remove(1);
        let row = stored(&event);
        assert!(row.says(&event));
        assert!(!row.says(&Chain::rival(&event)));
        let other_hash = StoredRow {
            hash: Hash::ZERO,
            ..row
        };
        assert!(!other_hash.says(&event));
    }
}
