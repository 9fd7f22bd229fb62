//! Events of numbers that a wallet is past, and that are missing in the middle of it: which of them belong there. Pure.
//!
//! The event behind a hole says by its hash what stood in the hole, so from there back everything is proved. Where that
//! event is missing as well, the rule is that of any next event: it has to follow from the one before it.

use std::collections::{BTreeMap, HashMap};

use shared::{Hash, Sequence, WalletId, event::WalletEvent};

use super::{
    Candidate, Head, Reason, Refusal, follow,
    stored::{Content, Follows, StoredRow},
};

/// What is to become of candidates for holes.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Filled {
    /// They belong where they say.
    pub fitting: Vec<Candidate>,
    /// Nothing beside them says whether they do.
    pub open: Vec<Candidate>,
    pub refused: Vec<(Candidate, Refusal)>,
    /// The same event once more.
    pub repeated: Vec<Candidate>,
}

/// `around` are the rows beside the holes, as far as there are any.
pub fn fill(
    candidates: Vec<Candidate>,
    around: &HashMap<(WalletId, Sequence), StoredRow>,
) -> Filled {
    let mut holes: BTreeMap<(WalletId, Sequence), Vec<Candidate>> = BTreeMap::new();
    for candidate in candidates {
        let number = (candidate.event.wallet_id, candidate.event.sequence);
        holes.entry(number).or_default().push(candidate);
    }
    let mut holes = Holes {
        around,
        fitting: HashMap::new(),
        filled: Filled::default(),
        left: holes,
    };
    // Back from what stands behind them, then on from what stands before them.
    let numbers = Vec::from_iter(holes.left.keys().copied());
    for number in numbers.iter().rev() {
        holes.decide(*number, Holes::by_what_is_behind);
    }
    for number in &numbers {
        holes.decide(*number, Holes::by_what_is_before);
    }
    let Holes {
        mut filled, left, ..
    } = holes;
    filled.open = left.into_values().flatten().collect();
    filled
}

struct Holes<'a> {
    around: &'a HashMap<(WalletId, Sequence), StoredRow>,
    /// Those that belong where they say.
    fitting: HashMap<(WalletId, Sequence), WalletEvent>,
    filled: Filled,
    left: BTreeMap<(WalletId, Sequence), Vec<Candidate>>,
}

impl Holes<'_> {
    /// Decides the candidates for one number, as far as the rule says something.
    fn decide(
        &mut self,
        number: (WalletId, Sequence),
        rule: fn(&Self, &WalletEvent) -> Option<Result<(), Refusal>>,
    ) {
        let candidates = self.left.remove(&number).unwrap_or_default();
        let mut left = Vec::new();
        for candidate in candidates {
            if let Some(fitting) = self.fitting.get(&number) {
                if fitting.hash == candidate.event.hash {
                    self.filled.repeated.push(candidate);
                } else {
                    let why = format!("another event belongs under {}", number.1);
                    let refusal = Refusal::new(Reason::ConflictingEvent, why);
                    self.filled.refused.push((candidate, refusal));
                }
                continue;
            }
            match rule(self, &candidate.event) {
                Some(Ok(())) => {
                    self.fitting.insert(number, candidate.event.clone());
                    self.filled.fitting.push(candidate);
                }
                Some(Err(refusal)) => self.filled.refused.push((candidate, refusal)),
                None => left.push(candidate),
            }
        }
        if !left.is_empty() {
            self.left.insert(number, left);
        }
    }

    /// Nothing when no event stands behind it, or this build cannot tell.
    fn by_what_is_behind(&self, event: &WalletEvent) -> Option<Result<(), Refusal>> {
        let next = (event.wallet_id, event.sequence.next());
        let follows = match (self.fitting.get(&next), self.around.get(&next)) {
            (Some(fitting), _) => fitting.prev_hash == event.hash,
            (None, Some(row)) => match row.follows(event.hash) {
                Follows::Yes => true,
                Follows::No => false,
                Follows::Unknown => return None,
            },
            (None, None) => return None,
        };
        Some(follows.then_some(()).ok_or_else(|| {
            let why = format!("the stored event {} does not follow on it", next.1);
            Refusal::new(Reason::ConflictingEvent, why)
        }))
    }

    /// Nothing when the event before it is missing, or this build cannot tell.
    fn by_what_is_before(&self, event: &WalletEvent) -> Option<Result<(), Refusal>> {
        if event.sequence == Sequence::FIRST {
            return Some(follow(None, event).map(drop));
        }
        let before = Sequence::try_from(event.sequence.get() - 1).ok()?;
        let before = (event.wallet_id, before);
        if let Some(fitting) = self.fitting.get(&before) {
            return Some(follow(Some(&Head::after(fitting)), event).map(drop));
        }
        let row = self.around.get(&before)?;
        let Content::Event(stored) = &row.content else {
            return same_hash(row.hash, event);
        };
        let stored = WalletEvent {
            hash: row.hash,
            ..(**stored).clone()
        };
        Some(follow(Some(&Head::after(&stored)), event).map(drop))
    }
}

/// Of a row that cannot be read, only the hash can be compared: one that differs says nothing, for it may be wrong itself.
fn same_hash(hash: Hash, event: &WalletEvent) -> Option<Result<(), Refusal>> {
    (hash == event.prev_hash).then_some(Ok(()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ingest::{
        apply::Origin,
        samples::{Chain, message},
    };

    fn candidate(event: &WalletEvent) -> Candidate {
        Candidate {
            event: event.clone(),
            message: Arc::new(message(event, 0)),
            origin: Origin::Kafka,
        }
    }

    fn around(events: &[&WalletEvent]) -> HashMap<(WalletId, Sequence), StoredRow> {
        let row = |event: &&WalletEvent| {
            let row = StoredRow {
                wallet_id: event.wallet_id,
                sequence: event.sequence,
                hash: event.hash,
                content: Content::Event(Box::new((*event).clone())),
            };
            (row.number(), row)
        };
        events.iter().map(row).collect()
    }

    fn filled(candidates: &[&WalletEvent], stored: &[&WalletEvent]) -> [Vec<i64>; 3] {
        let candidates = candidates.iter().map(|event| candidate(event)).collect();
        let filled = fill(candidates, &around(stored));
        let numbers = |candidates: &[Candidate]| {
            let numbers = candidates
                .iter()
                .map(|candidate| candidate.event.sequence.get());
            let mut numbers = Vec::from_iter(numbers);
            numbers.sort_unstable();
            numbers
        };
        let refused = Vec::from_iter(filled.refused.into_iter().map(|(candidate, _)| candidate));
        [
            numbers(&filled.fitting),
            numbers(&filled.open),
            numbers(&refused),
        ]
    }

    #[test]
    fn a_hole_is_filled_back_from_what_stands_behind_it() {
        let j = Chain::new("alice").journal(8);
        let none = Vec::new;
        assert_eq!(
            filled(&[&j[3], &j[5], &j[4]], &[&j[2], &j[6]]),
            [vec![4, 5, 6], none(), none()]
        );
        assert_eq!(
            filled(&[&j[0]], &[&j[1]]),
            [vec![1], none(), none()],
            "the first"
        );
        assert_eq!(
            filled(&[&j[5]], &[&j[6]]),
            [vec![6], none(), none()],
            "nothing before it"
        );
        assert_eq!(
            filled(&[&j[3], &j[4]], &[&j[2]]),
            [vec![4, 5], none(), none()],
            "nothing behind it"
        );
        assert_eq!(filled(&[&j[4]], &[]), [none(), vec![5], none()], "nothing");
    }

    #[test]
    fn what_does_not_belong_into_a_hole_is_refused_and_the_true_one_taken() {
        let j = Chain::new("alice").journal(8);
        let rival = Chain::rival(&j[4]);
        assert_eq!(
            filled(&[&rival, &j[4]], &[&j[3], &j[5]]),
            [vec![5], vec![], vec![5]]
        );
        assert_eq!(
            filled(&[&rival], &[&j[3], &j[5]]),
            [vec![], vec![], vec![5]]
        );
        // What stands behind the last of several says it of those before it as well, though nothing stands before them.
        assert_eq!(
            filled(&[&j[3], &j[4], &j[5]], &[&j[6]]),
            [vec![4, 5, 6], vec![], vec![]]
        );
        assert_eq!(
            filled(&[&j[3], &rival, &j[5]], &[&j[2], &j[6]]),
            [vec![4, 6], vec![], vec![5]]
        );
        // Nothing behind it tells that it is not the true one, as with any next event.
        assert_eq!(filled(&[&rival], &[&j[3]]), [vec![5], vec![], vec![]]);
        let stranger = Chain::new("alice").journal(5).remove(4);
        let stranger = WalletEvent {
            wallet_id: j[0].wallet_id,
            ..stranger
        }
        .sealed();
        assert_eq!(filled(&[&stranger], &[&j[3]]), [vec![], vec![], vec![5]]);
        let twice = fill(vec![candidate(&j[4]), candidate(&j[4])], &around(&[&j[5]]));
        assert_eq!((twice.fitting.len(), twice.repeated.len()), (1, 1));
    }
}
