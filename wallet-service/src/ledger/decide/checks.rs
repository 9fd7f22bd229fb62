//! What more than one rule book asks: whether a wallet is there for the caller, whether the command makes sense for it,
//! and whether it takes the change.

use shared::{Amount, Balance, WalletId, money::Change};

use super::{LedgerView, Rules};
use crate::ledger::model::{
    answer::{Refusal, Role},
    command::{Command, Payment},
    wallet::{BalanceError, Wallet},
};

/// The wallet, when there is one and the caller reaches it. What is beyond the reach is as if it did not exist.
pub(super) fn find<'ledger>(
    command: &Command,
    ledger: &'ledger dyn LedgerView,
    rules: Rules,
    wallet_id: WalletId,
    role: Role,
) -> Result<&'ledger Wallet, Refusal> {
    let is_reached = |wallet: &&Wallet| match role {
        Role::Wallet => command.caller.reach.includes(&wallet.user_id),
        Role::Destination => {
            rules.user_rights.transfer_to_anyone || command.caller.reach.includes(&wallet.user_id)
        }
        // Which one it is, is nothing that a caller chose.
        Role::Settlement => true,
    };
    let found = ledger.wallet(wallet_id).filter(is_reached);
    found.ok_or(Refusal::WalletNotFound { wallet_id, role })
}

/// Whether the caller may have money come into the wallet from outside, or leave it.
pub(super) fn may_settle(
    command: &Command,
    ledger: &dyn LedgerView,
    rules: Rules,
    wallet_id: WalletId,
) -> Result<(), Refusal> {
    // First, so that nothing else is said of a wallet that is not the caller's.
    find(command, ledger, rules, wallet_id, Role::Wallet)?;
    if rules.user_rights.fund || command.caller.is_trusted_with_settlement() {
        Ok(())
    } else {
        Err(Refusal::ServiceTokenRequired)
    }
}

/// The path's wallet and the amount in its currency, when the command makes sense for it.
pub(super) fn payable<'ledger>(
    command: &Command,
    ledger: &'ledger dyn LedgerView,
    rules: Rules,
    wallet_id: WalletId,
    payment: &Payment,
) -> Result<(&'ledger Wallet, Amount), Refusal> {
    let wallet = find(command, ledger, rules, wallet_id, Role::Wallet)?;
    if command
        .if_match
        .is_some_and(|version| version != wallet.version)
    {
        return Err(Refusal::VersionMismatch {
            current: wallet.version,
        });
    }
    if wallet.is_settlement() {
        return Err(Refusal::SettlementWallet { role: Role::Wallet });
    }
    if let Some(asked) = payment.currency.filter(|asked| *asked != wallet.currency) {
        let (expected, actual) = (asked, wallet.currency);
        return Err(Refusal::CurrencyMismatch {
            role: Role::Wallet,
            expected,
            actual,
        });
    }
    let amount = payment.amount_in(wallet.currency)?;
    if amount > rules.amount_max {
        return Err(Refusal::AmountAboveMaximum {
            currency: wallet.currency,
            maximum: rules.amount_max,
        });
    }
    if let Some(transaction_id) = command
        .reference()
        .and_then(|reference| ledger.referenced(command, reference))
    {
        return Err(Refusal::ReferenceExists { transaction_id });
    }
    Ok((wallet, amount))
}

/// The balance after `change`, which the command asks for as `amount`.
pub(super) fn balance_after(
    wallet: &Wallet,
    role: Role,
    change: Change,
    amount: Amount,
) -> Result<Balance, Refusal> {
    let after = wallet.balance_after(change);
    after.map_err(|error| not_taken(error, wallet, role, amount))
}

/// Why the wallet does not take `amount`.
pub(super) const fn not_taken(
    error: BalanceError,
    wallet: &Wallet,
    role: Role,
    amount: Amount,
) -> Refusal {
    match error {
        BalanceError::Frozen | BalanceError::Closed => Refusal::WalletNotActive {
            role,
            status: wallet.status,
        },
        BalanceError::BelowFloor { available } => Refusal::InsufficientFunds {
            currency: wallet.currency,
            required: amount,
            available,
        },
        BalanceError::Overflow => Refusal::BalanceOverflow { role },
    }
}
