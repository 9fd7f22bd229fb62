//! What is known of commands with any number of legs: those that post them, and those that take a transaction back.

use shared::{Currency, WalletId};
use uuid::Uuid;

use super::{Concerns, Intent, SlotOf};
use crate::ledger::model::posting::{NewPosting, NewReversal};

impl Intent {
    /// The reversal that it is.
    pub const fn reversal(&self) -> Option<&NewReversal> {
        if let Self::Reverse(reversal) = self {
            Some(reversal)
        } else {
            None
        }
    }

    /// The same, to be told what is taken back.
    pub const fn reversal_mut(&mut self) -> Option<&mut NewReversal> {
        if let Self::Reverse(reversal) = self {
            Some(reversal)
        } else {
            None
        }
    }

    const fn posting(&self) -> Option<&NewPosting> {
        if let Self::Post(posting) = self {
            Some(posting)
        } else {
            None
        }
    }

    /// The wallets of its legs, where there can be more than two.
    pub(super) fn wallets_of_legs(&self) -> Vec<WalletId> {
        let posted = self.posting().into_iter().flat_map(NewPosting::wallets);
        let taken_back = self.reversal().into_iter().flat_map(NewReversal::wallets);
        posted.chain(taken_back).collect()
    }

    /// The currencies whose settlement wallets it moves by its own word.
    pub(super) fn settled_currencies(&self) -> Vec<Currency> {
        let posted = self.posting().into_iter().flat_map(NewPosting::settled);
        let taken_back = self.reversal().into_iter().flat_map(NewReversal::settled);
        posted.chain(taken_back).collect()
    }

    /// How many legs it has, where there can be more than two.
    pub(super) fn leg_count(&self) -> usize {
        let original = self
            .reversal()
            .and_then(|reversal| reversal.original.as_ref());
        let posted = self.posting().map(|posting| posting.legs.len());
        let taken_back = original.map(|original| original.legs.len());
        posted.or(taken_back).unwrap_or_default()
    }
}

impl<'intent> Concerns<'intent> {
    pub(super) fn of_posting(posting: &'intent NewPosting) -> Self {
        let wallet_id = posting.wallet_id();
        // The edge takes none that names no wallet.
        let slot_of = wallet_id.unwrap_or_else(|| WalletId::from_uuid(Uuid::nil()));
        Self {
            slot: SlotOf::Wallet(slot_of),
            wallets: [wallet_id, None],
            settled_wallet: None,
            details: Some(&posting.details),
            reason: None,
            hold: None,
        }
    }

    pub(super) fn of_reversal(reversal: &'intent NewReversal) -> Self {
        let wallet_id = reversal.wallet_id();
        let slot = match wallet_id {
            Some(wallet_id) => SlotOf::Wallet(wallet_id),
            None => SlotOf::Transaction(reversal.transaction_id),
        };
        Self {
            slot,
            wallets: [wallet_id, None],
            settled_wallet: None,
            details: Some(&reversal.details),
            reason: Some(&reversal.reason),
            hold: None,
        }
    }
}
