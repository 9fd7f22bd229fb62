//! The heads as this consumer's own batches left them, so that the next batch need not read them.
//!
//! A cached head may be out of date: another consumer can have had the wallet in between. So it is used only for a batch
//! that carries on from it. Such a batch gives the next number to an event, and a number is taken once
//! (the primary key of `events`): out of date, it is found out. What parks, repeats or refuses an
//! event is always a head that was read.
//!
//! One thing takes a head back: events that are set aside. That is counted beside every offset, and a count that has
//! changed empties the cache.

use std::collections::{BTreeMap, HashMap};

use shared::{WalletId, event::WalletEvent};

use super::{
    apply::{Candidate, Head},
    store::Moved,
};

/// See the module.
#[derive(Debug, Default)]
pub struct HeadCache {
    recent: HashMap<WalletId, Head>,
    /// What was in `recent` before it was full. Dropped whole when `recent` fills again.
    older: HashMap<WalletId, Head>,
    /// By partition, how often events had been set aside when a batch of it was last applied.
    set_asides: BTreeMap<i32, i64>,
}

impl HeadCache {
    /// About 200 bytes a wallet: 50,000 of them, twice, are 20 MB.
    const GENERATION: usize = 50_000;

    /// The heads that these candidates carry on from.
    pub(super) fn carried_on_by(&self, candidates: &[Candidate]) -> HashMap<WalletId, Head> {
        let mut first: HashMap<WalletId, &WalletEvent> = HashMap::with_capacity(candidates.len());
        for Candidate { event, .. } in candidates {
            let first = first.entry(event.wallet_id).or_insert(event);
            if event.sequence < first.sequence {
                *first = event;
            }
        }
        let carried_on = |(wallet, event): (WalletId, &WalletEvent)| {
            let head = self
                .recent
                .get(&wallet)
                .or_else(|| self.older.get(&wallet))?;
            let follows =
                event.sequence == head.last_sequence.next() && event.prev_hash == head.last_hash;
            follows.then(|| (wallet, head.clone()))
        };
        first.into_iter().filter_map(carried_on).collect()
    }

    /// Forgets every head if events were set aside since a partition was last looked at.
    pub(super) fn forget_what_was_set_aside(&mut self, moved: &[Moved]) {
        let mut is_new = false;
        for Moved {
            partition,
            set_asides,
            at: _,
        } in moved
        {
            is_new |= self.set_asides.insert(*partition, *set_asides) != Some(*set_asides);
        }
        if is_new {
            self.recent.clear();
            self.older.clear();
        }
    }

    /// Takes in where a committed batch left a wallet.
    pub(super) fn insert(&mut self, wallet: WalletId, head: Head) {
        if self.recent.len() >= Self::GENERATION && !self.recent.contains_key(&wallet) {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(wallet, head);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ingest::{
        apply::Origin,
        samples::{Chain, message},
    };

    fn candidates<'a>(events: impl IntoIterator<Item = &'a WalletEvent>) -> Vec<Candidate> {
        let candidate = |event: &WalletEvent| Candidate {
            event: event.clone(),
            message: Arc::new(message(event, 0)),
            origin: Origin::Kafka,
        };
        events.into_iter().map(candidate).collect()
    }

    #[test]
    fn a_kept_head_is_used_only_by_what_carries_on_from_it() {
        let mut chain = Chain::new("alice");
        let journal = chain.journal(2);
        let mut another_way = chain.clone();
        let (three, four) = (chain.funded(1), chain.funded(1));
        let other_three = another_way.funded(2);
        let mut other_four = another_way.funded(1);
        other_four.sequence = three.sequence;
        let mut heads = HeadCache::default();
        heads.insert(three.wallet_id, Head::after(&journal[1]));

        let used = |events: &[&WalletEvent]| {
            let used = heads.carried_on_by(&candidates(events.iter().copied()));
            used.get(&three.wallet_id).map(|head| head.last_sequence)
        };
        assert_eq!(
            used(&[&four, &three]),
            Some(journal[1].sequence),
            "in any order"
        );
        assert_eq!(used(&[&other_three]), Some(journal[1].sequence));
        assert_eq!(used(&[&other_four]), None, "another hash");
        assert_eq!(used(&[&four]), None, "a gap");
        assert_eq!(used(&[&journal[1], &three]), None, "a repetition");
    }

    #[test]
    fn only_so_many_heads_are_kept() {
        let event = Chain::new("alice").opened();
        let mut heads = HeadCache::default();
        for _ in 0..=2 * HeadCache::GENERATION {
            heads.insert(WalletId::generate(), Head::after(&event));
        }
        assert_eq!(
            heads.recent.len() + heads.older.len(),
            HeadCache::GENERATION + 1
        );
    }
}
