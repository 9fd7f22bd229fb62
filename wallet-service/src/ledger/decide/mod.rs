//! The rules: a command and the wallets as they are give either what changes or why nothing does.
//!
//! Pure. The clock, ids and randomness come in with the command, so the same command on the same wallets always
//! decides the same; that is what makes deciding again safe.
//!
//! Rules are looked at in this order, and the first that objects is the answer: the wallets exist, the version is the
//! one the caller saw, the request makes sense for these wallets, the reference is new, the wallets take the change.

mod checks;
mod create;
mod event_builder;
mod payment;
mod posting;
#[cfg(test)]
mod tests;

use shared::{TransactionId, WalletId, event::WalletEvent};

use super::model::{
    answer::{Receipt, Refusal},
    command::{Command, Intent},
    settlement::SettlementShard,
    wallet::Wallet,
};

/// What an accepted command changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// Every wallet that changes, as it is afterwards.
    pub wallets: Vec<Wallet>,
    /// What happened, in order; each event's wallet is in `wallets`.
    pub events: Vec<WalletEvent>,
    pub receipt: Receipt,
}

/// What a decision may look at: the wallets that the command names, or that they do not exist.
pub trait LedgerView {
    fn wallet(&self, id: WalletId) -> Option<&Wallet>;

    /// The transaction that already has this reference of the command's owner.
    fn referenced(&self, command: &Command, reference: &str) -> Option<TransactionId>;
}

/// Decides one command. A new command has its rules in a file here, made of `checks` where it can, and one line in
/// this match.
pub fn decide(
    command: &Command,
    ledger: &dyn LedgerView,
    shard: SettlementShard,
) -> Result<Decision, Refusal> {
    match &command.intent {
        Intent::CreateWallet(new) => Ok(create::create(command, new)),
        Intent::Fund { wallet_id, payment } => {
            payment::fund(command, ledger, shard, *wallet_id, payment)
        }
        Intent::Withdraw { wallet_id, payment } => {
            payment::withdraw(command, ledger, shard, *wallet_id, payment)
        }
        Intent::Transfer { from, to, payment } => {
            payment::transfer(command, ledger, *from, *to, payment)
        }
    }
}
