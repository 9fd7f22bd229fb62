//! Which idempotency keys are being answered by this instance, for those that ask what became of one.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::model::command::Command;

/// Cheap to clone: all share one list. Keys are kept as hashes, so that no text is copied for them; two that share a hash
/// are under way as long as either is.
#[derive(Clone, Debug, Default)]
pub(super) struct UnderwayKeys(Arc<Keys>);

#[derive(Debug, Default)]
struct Keys {
    hasher: RandomState,
    /// How many commands are under way with each.
    counts: Mutex<HashMap<u64, u32>>,
}

/// A key that is under way until this is dropped.
#[derive(Debug)]
pub(super) struct Underway {
    keys: UnderwayKeys,
    hash: u64,
}

impl UnderwayKeys {
    /// None for a command without a key.
    pub(super) fn begin(&self, command: &Command) -> Option<Underway> {
        let hash = self.hash(&command.caller.owner, command.key.as_ref()?.as_str());
        *self.counts().entry(hash).or_default() += 1;
        let keys = self.clone();
        Some(Underway { keys, hash })
    }

    pub(super) fn contains(&self, owner: &str, key: &str) -> bool {
        self.counts().contains_key(&self.hash(owner, key))
    }

    fn hash(&self, owner: &str, key: &str) -> u64 {
        self.0.hasher.hash_one((owner, key))
    }

    /// Counts are whole between any two statements, also where one panicked.
    fn counts(&self) -> MutexGuard<'_, HashMap<u64, u32>> {
        let counts = &self.0.counts;
        counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        let mut counts = self.keys.counts();
        if let Some(count) = counts.get_mut(&self.hash) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.hash);
            }
        }
    }
}
