//! Where the events of a wallet begin that are here: behind the last one that is in an archive. Pure.

use shared::{Balance, Hash, Sequence, Timestamp, WalletId, event::WalletEvent};

use super::{
    Candidate, Head, Reason, Refusal,
    holes::Filled,
    proof::Proved,
    stored::{Content, StoredRow},
};

/// The state after the last event that is in an archive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Base {
    pub wallet_id: WalletId,
    pub sequence: Sequence,
    pub hash: Hash,
    pub balance: Balance,
    pub held: Balance,
    pub occurred_at: Timestamp,
}

impl Base {
    pub const fn proved(&self) -> Proved {
        Proved {
            sequence: self.sequence,
            hash: self.hash,
            balance: self.balance,
            held: self.held,
        }
    }

    /// What was there before the wallet's next event, and what of it was held. Whose the wallet is and in which currency, no
    /// base says: the hash of the event does.
    pub fn before(&self, next: &WalletEvent) -> (Head, Balance) {
        let head = Head {
            user_id: next.user_id.clone(),
            currency: next.currency,
            last_sequence: self.sequence,
            last_hash: self.hash,
            balance: self.balance,
            last_occurred_at: self.occurred_at,
        };
        (head, self.held)
    }

    /// The row of that event, of which the hash alone is known.
    pub fn row(&self) -> StoredRow {
        StoredRow {
            wallet_id: self.wallet_id,
            sequence: self.sequence,
            hash: self.hash,
            content: Content::OfAnotherBuild,
        }
    }

    /// What comes under a number that is in an archive. There is nothing to compare it with but the last hash: it is taken for
    /// the event that came before.
    pub fn settle(&self, candidate: Candidate, filled: &mut Filled) {
        let event = &candidate.event;
        if event.sequence == self.sequence && event.hash != self.hash {
            let refusal = Refusal::new(Reason::ConflictingEvent, self.differs(event));
            filled.refused.push((candidate, refusal));
        } else {
            filled.repeated.push(candidate);
        }
    }

    pub fn differs(&self, event: &WalletEvent) -> String {
        format!(
            "restore the archive first: it holds event {} with the hash {}, this one has {}",
            self.sequence, self.hash, event.hash
        )
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ingest::{
        apply::{Origin, proof::ProofWalk},
        samples::{Chain, message},
    };

    fn base(event: &WalletEvent) -> Base {
        Base {
            wallet_id: event.wallet_id,
            sequence: event.sequence,
            hash: event.hash,
            balance: event.balance_after,
            held: event.held_after,
            occurred_at: event.occurred_at,
        }
    }

    fn row(event: &WalletEvent) -> StoredRow {
        StoredRow {
            wallet_id: event.wallet_id,
            sequence: event.sequence,
            hash: event.hash,
            content: Content::Event(Box::new(event.clone())),
        }
    }

    #[test]
    fn a_proof_goes_on_behind_a_base_as_behind_its_event() {
        let journal = Chain::new("alice").journal(5);
        let walked = |base: Base| {
            let mut walk = ProofWalk::behind_base(&base);
            for event in &journal[3..] {
                walk.step(row(event));
            }
            walk
        };
        let right = walked(base(&journal[2]));
        assert_eq!(right.fault(), None);
        assert_eq!(right.proved().sequence, journal[4].sequence);
        let true_one = base(&journal[2]);
        let wrong = [
            Base {
                hash: Hash::ZERO,
                ..true_one
            },
            Base {
                balance: Balance::new(7),
                ..true_one
            },
            Base {
                held: Balance::new(7),
                ..true_one
            },
            base(&journal[1]),
        ];
        for wrong in wrong {
            let walk = walked(wrong);
            assert!(walk.fault().is_some(), "{wrong:?}");
            assert_eq!(walk.proved(), wrong.proved());
        }
    }

    #[test]
    fn what_comes_again_of_an_archive_is_a_repetition_and_another_last_event_is_refused() {
        let journal = Chain::new("alice").journal(4);
        let base = base(&journal[2]);
        let settled = |event: &WalletEvent| {
            let mut filled = Filled::default();
            let candidate = Candidate {
                event: event.clone(),
                message: Arc::new(message(event, 0)),
                origin: Origin::Kafka,
            };
            base.settle(candidate, &mut filled);
            (filled.repeated.len(), filled.refused.len())
        };
        assert_eq!(settled(&journal[0]), (1, 0));
        assert_eq!(settled(&journal[2]), (1, 0));
        assert_eq!(settled(&Chain::rival(&journal[2])), (0, 1));
    }
}
