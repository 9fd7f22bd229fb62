//! Wallets whose journal has events that their rows know nothing of: rows were changed or deleted by hand.
//!
//! The next event of such a wallet has a number that is taken, and its batch fails at it, whatever is tried. So when that
//! is what a batch failed at, it is looked which wallets the journal contradicts, and they are remembered with the version
//! of their row. For as long as the row says that version it counts as one that cannot be read: its own commands fail, and
//! no batch does.

use std::collections::HashMap;

use shared::{
    Sequence, WalletId,
    server::postgres_error::{PostgresErrorClass, constraint_hint},
};

use super::Writer;
use crate::ledger::{
    model::wallet::UnreadableWallet,
    store::{WriteError, wallets::WalletFound},
};

/// By wallet, the version that its row says.
#[derive(Debug, Default)]
pub(super) struct Contradicted(HashMap<WalletId, Sequence>);

impl Contradicted {
    /// So many are remembered. Forgetting one costs a batch that is decided again.
    const MAX: usize = 10_000;

    /// What a look at the wallet found, or that nothing can be decided on it. A row that says another version was mended.
    pub(super) fn checked(
        &mut self,
        id: WalletId,
        found: Option<WalletFound>,
    ) -> Option<WalletFound> {
        let Some(contradicted) = self.0.get(&id) else {
            return found;
        };
        let version = match &found {
            Some(Ok(wallet)) => wallet.version,
            Some(Err(_)) => return found,
            None => Sequence::ZERO,
        };
        if version == *contradicted {
            return Some(Err(UnreadableWallet { id }));
        }
        self.0.remove(&id);
        found
    }

    /// Takes in what the journal contradicts. Tells whether something of it is new.
    fn remember(&mut self, found: Vec<(WalletId, Sequence)>) -> bool {
        if self.0.len() >= Self::MAX {
            self.0.clear();
        }
        let mut is_new = false;
        for (id, version) in found {
            if self.0.insert(id, version) == Some(version) {
                continue;
            }
            is_new = true;
            tracing::error!(
                error = "the journal has events after its version",
                wallet_id = %id,
                version = version.get(),
                "nothing can be decided on a wallet's row"
            );
        }
        is_new
    }
}

impl Writer {
    /// Whether a batch that touched these wallets failed at one that the journal contradicts. It is known from then on, so
    /// the same is not found a second time.
    pub(super) async fn journal_contradicts(
        &mut self,
        error: &WriteError,
        wallets: &[WalletId],
    ) -> bool {
        if !is_number_taken(error) {
            return false;
        }
        match self.lookup.contradicted(wallets).await {
            Ok(found) => self.contradicted.remember(found),
            Err(_) => false,
        }
    }
}

/// The number of an event was taken, or the server does not say what was.
fn is_number_taken(error: &WriteError) -> bool {
    let WriteError::Conflict(cause) = error else {
        return false;
    };
    PostgresErrorClass::of(cause) == PostgresErrorClass::Duplicate
        && constraint_hint(cause).is_none_or(|name| name.starts_with("wallet_events_pkey"))
}
