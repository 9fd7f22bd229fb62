//! What only one command at a time may be deciding about: an idempotency key, or a reference, of one owner.
//!
//! A second command with the same key would break the unique index for its whole batch. So it waits until the first one
//! is answered, and then finds that answer stored.

use std::collections::HashSet;

use super::command::Command;

/// The keys and references of the batch being made and of the one in flight.
#[derive(Debug, Default)]
pub(super) struct Claims(HashSet<Claim>);

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Claim {
    Key { owner: String, key: String },
    Reference { owner: String, reference: String },
}

impl Claims {
    /// Takes what the command needs, all or nothing. Tells whether it did.
    #[must_use]
    pub(super) fn take(&mut self, command: &Command) -> bool {
        let free = claims(command).all(|claim| !self.0.contains(&claim));
        if free {
            self.0.extend(claims(command));
        }
        free
    }

    pub(super) fn release(&mut self, command: &Command) {
        for claim in claims(command) {
            self.0.remove(&claim);
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

fn claims(command: &Command) -> impl Iterator<Item = Claim> {
    let owner = &command.caller.owner;
    let key = command.key.as_ref().map(|key| Claim::Key {
        owner: owner.clone(),
        key: key.as_str().to_owned(),
    });
    let reference = command.reference().map(|text| Claim::Reference {
        owner: owner.clone(),
        reference: text.to_owned(),
    });
    key.into_iter().chain(reference)
}
