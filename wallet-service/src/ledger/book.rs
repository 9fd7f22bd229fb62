//! The wallets as the writer knows them: read from the database, or kept from the batches before.
//!
//! Kept state saves the read of each batch. It may be out of date, because another instance wrote in between; the
//! version guard makes that harmless for what is accepted, and [`Book::read_since`] tells what a refusal may rest on.

use std::collections::HashMap;

use shared::{TransactionId, WalletId};

use super::{command::Command, decide::Decision, wallet::Wallet};

/// Counts the rounds of gathering commands: state read in a command's own round, or later, is as new as the command.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Round(u64);

impl Round {
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

#[derive(Clone, Debug)]
struct Entry {
    /// None: there is no such wallet.
    wallet: Option<Wallet>,
    read: Round,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Book {
    recent: HashMap<WalletId, Entry>,
    /// What was in `recent` before it was full. Dropped whole when `recent` fills again, so the book is bounded by
    /// twice [`Book::GENERATION`] and never forgets a wallet of the last few batches.
    older: HashMap<WalletId, Entry>,
    /// Trusted for one round only, like `references`: another instance may make them at any time.
    absent: Vec<WalletId>,
    references: HashMap<(String, String), TransactionId>,
}

impl Book {
    /// About 400 bytes a wallet: 50,000 of them, twice, are 40 MB.
    const GENERATION: usize = 50_000;

    /// The wallet, or none if there is no such wallet or it was not read.
    pub fn wallet(&self, id: WalletId) -> Option<&Wallet> {
        self.entry(id)?.wallet.as_ref()
    }

    /// Whether it is known what this wallet is, or that it is not.
    pub fn knows(&self, id: WalletId) -> bool {
        self.entry(id).is_some()
    }

    /// Whether the wallet was read in `round` or later.
    pub fn read_since(&self, id: WalletId, round: Round) -> bool {
        self.entry(id).is_some_and(|entry| entry.read >= round)
    }

    /// The transaction that already has this reference of the command's owner.
    pub fn referenced(&self, command: &Command, reference: &str) -> Option<TransactionId> {
        self.references
            .get(&(command.caller.owner.clone(), reference.to_owned()))
            .copied()
    }

    /// Takes in what the database said about a wallet.
    pub fn enter(&mut self, id: WalletId, wallet: Option<Wallet>, read: Round) {
        if wallet.is_none() {
            self.absent.push(id);
        }
        self.put(id, Entry { wallet, read });
    }

    /// Takes in what the database said about a reference.
    pub fn enter_reference(
        &mut self,
        owner: String,
        reference: String,
        transaction_id: TransactionId,
    ) {
        self.references.insert((owner, reference), transaction_id);
    }

    /// Carries out a decision.
    pub fn apply(&mut self, decision: &Decision) {
        for wallet in &decision.wallets {
            let read = self
                .entry(wallet.id)
                .map(|entry| entry.read)
                .unwrap_or_default();
            self.put(
                wallet.id,
                Entry {
                    wallet: Some(wallet.clone()),
                    read,
                },
            );
        }
    }

    /// Lets go of what can only be trusted for one round: references, and wallets that did not exist.
    pub fn end_round(&mut self) {
        self.references.clear();
        for id in std::mem::take(&mut self.absent) {
            if self.wallet(id).is_none() {
                self.forget(id);
            }
        }
    }

    pub fn forget(&mut self, id: WalletId) {
        self.recent.remove(&id);
        self.older.remove(&id);
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn entry(&self, id: WalletId) -> Option<&Entry> {
        self.recent.get(&id).or_else(|| self.older.get(&id))
    }

    fn put(&mut self, id: WalletId, entry: Entry) {
        if self.recent.len() >= Self::GENERATION && !self.recent.contains_key(&id) {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(id, entry);
    }
}
