//! What only one command at a time may be deciding about: an idempotency key, a reference, or a name of a wallet, of one
//! owner; a transaction that is taken back.
//!
//! A second command with the same key would break the unique index for its whole batch. So it waits until the first one
//! is answered, and then finds that answer stored.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
};

use shared::TransactionId;

use crate::ledger::model::command::Command;

/// The keys, references and names of the batch being made and of the one in flight, as hashes: no text is copied for them. Two
/// that share a hash cost the second one a wait, and nothing else.
#[derive(Debug, Default)]
pub(super) struct InFlightKeys {
    hashes: HashSet<u64>,
    hasher: RandomState,
}

#[derive(Hash)]
enum InFlightKey<'command> {
    Key {
        owner: &'command str,
        key: &'command str,
    },
    Reference {
        owner: &'command str,
        reference: &'command str,
    },
    ExternalId {
        owner: &'command str,
        external_id: &'command str,
    },
    Reversed(TransactionId),
}

impl InFlightKeys {
    /// Takes what the command needs, all or nothing. Tells whether it did.
    #[must_use]
    pub(super) fn take(&mut self, command: &Command) -> bool {
        let hashes = self.hashes_of(command);
        let wanted = || hashes.into_iter().flatten();
        let free = wanted().all(|hash| !self.hashes.contains(&hash));
        if free {
            self.hashes.extend(wanted());
        }
        free
    }

    pub(super) fn release(&mut self, command: &Command) {
        for hash in self.hashes_of(command).into_iter().flatten() {
            self.hashes.remove(&hash);
        }
    }

    /// Takes what the command needs, whether or not another command has it as well.
    pub(super) fn add(&mut self, command: &Command) {
        self.hashes
            .extend(self.hashes_of(command).into_iter().flatten());
    }

    /// Whether a command has one of those that this one needs.
    pub(super) fn has_any_of(&self, command: &Command) -> bool {
        let mut needed = self.hashes_of(command).into_iter().flatten();
        needed.any(|hash| self.hashes.contains(&hash))
    }

    pub(super) fn clear(&mut self) {
        self.hashes.clear();
    }

    fn hashes_of(&self, command: &Command) -> [Option<u64>; 4] {
        let owner = command.caller.owner.as_str();
        let key = command.key.as_ref().map(|key| InFlightKey::Key {
            owner,
            key: key.as_str(),
        });
        let reference = command
            .reference()
            .map(|reference| InFlightKey::Reference { owner, reference });
        let external_id = command
            .external_id()
            .map(|external_id| InFlightKey::ExternalId { owner, external_id });
        let reversed = command.reverses().map(InFlightKey::Reversed);
        [key, reference, external_id, reversed]
            .map(|taken| taken.map(|taken| self.hasher.hash_one(taken)))
    }
}
