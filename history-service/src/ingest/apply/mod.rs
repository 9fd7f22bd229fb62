//! The rule by which events become history: pure, so that every order of arrival can be tried without a database.
//!
//! A wallet's events take effect in the order of their sequence, each once, and only if they follow from the one before.
//! `head + 1` that follows is applied; `≤ head` is a duplicate when its hash is the stored one and an alarm when not;
//! `> head + 1` waits. A fault in one wallet's events never stops another wallet.
//!
//! - [`holes`]: what is missing in the middle of a wallet. [`stored`]: whether a row is what its hash says.
//! - [`proof`]: whether all rows of a wallet are what they should be. [`base`]: where they begin, when the first ones are in an
//!   archive.

pub mod base;
pub mod holes;
pub mod proof;
pub mod stored;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use shared::{Balance, Currency, Hash, Sequence, Timestamp, UserId, WalletId, event::WalletEvent};

use super::message::{Message, Reason, Refusal, Refused, Unknown};

/// The state of a wallet after its last event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Head {
    pub user_id: UserId,
    pub currency: Currency,
    pub last_sequence: Sequence,
    pub last_hash: Hash,
    pub balance: Balance,
    pub last_occurred_at: Timestamp,
}

impl Head {
    pub(super) fn after(event: &WalletEvent) -> Self {
        Self {
            user_id: event.user_id.clone(),
            currency: event.currency,
            last_sequence: event.sequence,
            last_hash: event.hash,
            balance: event.balance_after,
            last_occurred_at: event.occurred_at,
        }
    }
}

/// A well-formed event on its way to its wallet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Candidate {
    pub event: WalletEvent,
    pub message: Arc<Message>,
    pub origin: Origin,
}

/// Where a candidate comes from, which decides what there is to do when it is settled or has to wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    Kafka,
    /// It stands in `parked_events`: to be removed there once settled, and left there while it waits.
    Parked,
    /// The ledger says it itself. What does not fit it here is not the event's fault.
    Ledger,
}

/// What the database knows about the wallets of a batch, before it.
#[derive(Clone, Default, Debug)]
pub struct Known {
    pub heads: HashMap<WalletId, Head>,
    /// The hashes of rows that already stand under a number that came again.
    pub hashes: HashMap<(WalletId, Sequence), Hash>,
}

/// A head that gets on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeadAdvance {
    /// [`Sequence::ZERO`] when the wallet is new here.
    pub from: Sequence,
    pub to: Head,
}

/// What is to be written.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Decisions {
    /// New rows; each wallet's in order.
    pub events: Vec<WalletEvent>,
    /// The heads that advanced.
    pub heads: BTreeMap<WalletId, HeadAdvance>,
    /// Arrived before their predecessors.
    pub parked: Vec<Candidate>,
    /// No longer waiting: applied, duplicate or refused.
    pub unparked: Vec<(WalletId, Sequence, Hash)>,
    pub refused: Vec<Refused>,
    /// Of a kind or a version that this build does not know. The rule never sees them.
    pub unknown: Vec<Unknown>,
    /// What the ledger says and does not fit what is stored.
    pub contradicted: Vec<Refused>,
    /// Wallets with a row that is not what its hash says.
    pub damaged: BTreeSet<WalletId>,
    /// How many of the events were missing in the middle of a wallet.
    pub filled: usize,
    /// How many were set aside before this was decided.
    pub set_aside: usize,
    /// What the rows say of when they were written, where that is known.
    pub recorded_at: Option<Timestamp>,
    pub duplicates: usize,
}

/// A batch being decided. Offer what arrived, then what was parked behind it, then [`finish`](Self::finish).
#[derive(Debug)]
pub struct WalletProjector {
    known: Known,
    /// By wallet and sequence; more than one candidate under a number only if they differ, or came twice.
    waiting: BTreeMap<WalletId, BTreeMap<Sequence, VecDeque<Candidate>>>,
    /// The wallets that advanced, with the number they were at before.
    advanced: BTreeMap<WalletId, Sequence>,
    decisions: Decisions,
}

impl WalletProjector {
    pub fn new(known: Known) -> Self {
        Self {
            known,
            waiting: BTreeMap::new(),
            advanced: BTreeMap::new(),
            decisions: Decisions::default(),
        }
    }

    /// Applies what can be applied now, in the order of each wallet's sequence and not of arrival.
    pub fn offer(&mut self, candidates: impl IntoIterator<Item = Candidate>) {
        let mut wallets = BTreeSet::new();
        for candidate in candidates {
            let (wallet, sequence) = (candidate.event.wallet_id, candidate.event.sequence);
            // Nearly all arrive in order: those need not queue up.
            if sequence <= self.next(wallet) && !self.waiting.contains_key(&wallet) {
                self.settle(candidate);
                continue;
            }
            wallets.insert(wallet);
            self.waiting
                .entry(wallet)
                .or_default()
                .entry(sequence)
                .or_default()
                .push_back(candidate);
        }
        for wallet in wallets {
            while let Some(candidate) = self.next_due(wallet) {
                self.settle(candidate);
            }
        }
    }

    /// Adds hashes of stored rows, read later than [`Known`].
    pub fn learn(&mut self, hashes: impl IntoIterator<Item = ((WalletId, Sequence), Hash)>) {
        self.known.hashes.extend(hashes);
    }

    /// The wallets whose head advanced so far, with the number they are at: what may have been waiting for it is due.
    pub fn applied_sequences(&self) -> impl Iterator<Item = (WalletId, Sequence)> + '_ {
        self.advanced
            .keys()
            .filter_map(|wallet| Some((*wallet, self.known.heads.get(wallet)?.last_sequence)))
    }

    /// Everything that was decided. What waits is parked, or left where it is.
    pub fn finish(mut self) -> Decisions {
        let waiting = std::mem::take(&mut self.waiting)
            .into_values()
            .flat_map(BTreeMap::into_values)
            .flatten();
        let mut seen = BTreeSet::new();
        for candidate in waiting {
            let identity = (
                candidate.event.wallet_id,
                candidate.event.sequence,
                *candidate.event.hash.as_bytes(),
            );
            match (candidate.origin, seen.insert(identity)) {
                (Origin::Parked | Origin::Ledger, _) => {}
                (Origin::Kafka, true) => self.decisions.parked.push(candidate),
                (Origin::Kafka, false) => self.decisions.duplicates += 1,
            }
        }
        let mut heads = self.known.heads;
        self.decisions.heads = self
            .advanced
            .into_iter()
            .filter_map(|(wallet, from)| {
                let to = heads.remove(&wallet)?;
                Some((wallet, HeadAdvance { from, to }))
            })
            .collect();
        self.decisions
    }

    /// The number that the wallet's next event has.
    fn next(&self, wallet: WalletId) -> Sequence {
        let head = self.known.heads.get(&wallet);
        head.map_or(Sequence::FIRST, |head| head.last_sequence.next())
    }

    /// Takes the wallet's lowest candidate, unless a number is missing before it.
    fn next_due(&mut self, wallet: WalletId) -> Option<Candidate> {
        let next = self.next(wallet);
        let mut lowest = self.waiting.get_mut(&wallet)?.first_entry()?;
        if *lowest.key() > next {
            return None;
        }
        let candidate = lowest.get_mut().pop_front();
        if lowest.get().is_empty() {
            lowest.remove();
        }
        candidate
    }

    /// Decides a candidate whose predecessors are all there.
    fn settle(&mut self, candidate: Candidate) {
        let event = &candidate.event;
        let identity = (event.wallet_id, event.sequence);
        if candidate.origin == Origin::Parked {
            self.decisions
                .unparked
                .push((event.wallet_id, event.sequence, event.hash));
        }
        let head = self.known.heads.get(&event.wallet_id);
        if head.is_some_and(|head| event.sequence <= head.last_sequence) {
            match self.known.hashes.get(&identity) {
                Some(stored) if *stored == event.hash => self.decisions.duplicates += 1,
                stored => {
                    let refusal = conflict(stored, event);
                    self.refuse(candidate, refusal);
                }
            }
            return;
        }
        match follow(head, event) {
            Ok(after) => {
                let from = head.map_or(Sequence::ZERO, |head| head.last_sequence);
                self.advanced.entry(event.wallet_id).or_insert(from);
                self.known.hashes.insert(identity, event.hash);
                self.known.heads.insert(event.wallet_id, after);
                self.decisions.events.push(candidate.event);
            }
            Err(refusal) => self.refuse(candidate, refusal),
        }
    }

    fn refuse(&mut self, candidate: Candidate, refusal: Refusal) {
        self.decisions.refuse(candidate, refusal);
    }
}

impl Decisions {
    fn refuse(&mut self, candidate: Candidate, refusal: Refusal) {
        let claim = Some((candidate.event.wallet_id, candidate.event.sequence));
        let refused = Refused {
            message: candidate.message,
            refusal,
            claim,
        };
        match candidate.origin {
            Origin::Ledger => self.contradicted.push(refused),
            Origin::Kafka | Origin::Parked => self.refused.push(refused),
        }
    }

    /// Takes in what was decided about holes.
    pub fn fill(&mut self, filled: holes::Filled) {
        let holes::Filled {
            fitting,
            open,
            refused,
            repeated,
        } = filled;
        let settled = fitting.iter().chain(&repeated);
        let settled = settled.chain(refused.iter().map(|(candidate, _)| candidate));
        let parked = settled.filter(|candidate| candidate.origin == Origin::Parked);
        self.unparked.extend(parked.map(|candidate| {
            let event = &candidate.event;
            (event.wallet_id, event.sequence, event.hash)
        }));
        self.filled += fitting.len();
        self.duplicates += repeated.len();
        self.events
            .extend(fitting.into_iter().map(|candidate| candidate.event));
        for (candidate, refusal) in refused {
            self.refuse(candidate, refusal);
        }
        let arrived = open
            .into_iter()
            .filter(|candidate| candidate.origin == Origin::Kafka);
        self.parked.extend(arrived);
    }
}

fn conflict(stored: Option<&Hash>, event: &WalletEvent) -> Refusal {
    let detail = match stored {
        Some(stored) => format!(
            "the stored event {} has the hash {stored}, this one {}",
            event.sequence, event.hash
        ),
        None => format!(
            "the wallet is past event {}, but no such row is stored",
            event.sequence
        ),
    };
    Refusal::new(Reason::ConflictingEvent, detail)
}

/// The head after `event`, if it follows from the head before it.
fn follow(head: Option<&Head>, event: &WalletEvent) -> Result<Head, Refusal> {
    let broken = |detail: String| Refusal::new(Reason::ChainBroken, detail);
    let (last_hash, balance) = match head {
        Some(head) => (head.last_hash, head.balance),
        None => (Hash::ZERO, Balance::ZERO),
    };
    if event.prev_hash != last_hash {
        return Err(broken(format!(
            "it follows the hash {}, the wallet's last is {last_hash}",
            event.prev_hash
        )));
    }
    let expected = match event.amount {
        Some(change) => balance.after(change),
        None => Some(balance),
    };
    if expected != Some(event.balance_after) {
        let (before, after) = (
            event.currency.text(balance.minor()),
            event.currency.text(event.balance_after.minor()),
        );
        return Err(broken(format!(
            "its amount does not lead from the balance {before} to {after}"
        )));
    }
    if let Some(head) = head {
        if event.user_id != head.user_id || event.currency != head.currency {
            return Err(broken(format!(
                "the wallet is {}'s in {}, the event says {} in {}",
                head.user_id, head.currency, event.user_id, event.currency
            )));
        }
        if event.occurred_at < head.last_occurred_at {
            return Err(broken(format!(
                "it happened at {}, before {}",
                event.occurred_at, head.last_occurred_at
            )));
        }
    }
    Ok(Head::after(event))
}

#[cfg(test)]
mod tests;
