//! What more than one rule book asks: whether a wallet is there for the caller, whether the command makes sense for it,
//! whether it is open, and whether it takes the change.

use shared::{Amount, Balance, Currency, Sequence, WalletId, money::Change};

use super::{LedgerView, Rules, reference::is_reference_new};
use crate::ledger::model::{
    answer::{Refusal, Role},
    command::{Command, Payment},
    freeze::FreezeTold,
    wallet::{BalanceError, Status, Wallet},
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
        Role::Destination | Role::DrainTo => {
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
    is_trusted_with_settlement(command, rules)
}

/// The same of a wallet that the caller reaches.
pub(super) fn is_trusted_with_settlement(command: &Command, rules: Rules) -> Result<(), Refusal> {
    if rules.user_rights.fund || command.caller.is_trusted_with_settlement() {
        Ok(())
    } else {
        Err(Refusal::ServiceTokenRequired)
    }
}

/// The path's wallet, when the caller reaches it, saw it as it is, and may have anything done to it.
pub(super) fn addressed<'ledger>(
    command: &Command,
    ledger: &'ledger dyn LedgerView,
    rules: Rules,
    wallet_id: WalletId,
) -> Result<&'ledger Wallet, Refusal> {
    let wallet = find(command, ledger, rules, wallet_id, Role::Wallet)?;
    seen(command, wallet)?;
    if wallet.is_settlement() {
        return Err(Refusal::SettlementWallet { role: Role::Wallet });
    }
    Ok(wallet)
}

/// Whether the wallet is at the version that the caller saw.
pub(super) fn seen(command: &Command, wallet: &Wallet) -> Result<(), Refusal> {
    is_at(wallet, command.if_match)
}

/// Whether the wallet is at this version, if one is said.
pub(super) fn is_at(wallet: &Wallet, version: Option<Sequence>) -> Result<(), Refusal> {
    match version {
        Some(version) if version != wallet.version => Err(Refusal::VersionMismatch {
            current: wallet.version,
        }),
        Some(_) | None => Ok(()),
    }
}

/// The same of a wallet whose status is to change: one that is closed stays so.
pub(super) fn open<'ledger>(
    command: &Command,
    ledger: &'ledger dyn LedgerView,
    rules: Rules,
    wallet_id: WalletId,
) -> Result<&'ledger Wallet, Refusal> {
    let wallet = addressed(command, ledger, rules, wallet_id)?;
    is_open(command, wallet, Role::Wallet)?;
    Ok(wallet)
}

/// Whether something may change of the wallet still.
pub(super) fn is_open(command: &Command, wallet: &Wallet, role: Role) -> Result<(), Refusal> {
    match wallet.status {
        Status::Active | Status::Frozen => Ok(()),
        Status::Closed => Err(not_active(command, wallet, role)),
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
    let wallet = addressed(command, ledger, rules, wallet_id)?;
    is_of_currency(wallet, payment.currency)?;
    let amount = payment.amount_in(wallet.currency)?;
    within_maximum(wallet, amount, rules)?;
    is_reference_new(command, ledger)?;
    Ok((wallet, amount))
}

/// Whether the wallet is of the currency that the caller takes it to be of, if that is said.
pub(super) fn is_of_currency(wallet: &Wallet, asked: Option<Currency>) -> Result<(), Refusal> {
    match asked.filter(|asked| *asked != wallet.currency) {
        Some(expected) => Err(Refusal::CurrencyMismatch {
            role: Role::Wallet,
            expected,
            actual: wallet.currency,
        }),
        None => Ok(()),
    }
}

/// Whether one command may move as much.
pub(super) fn within_maximum(wallet: &Wallet, amount: Amount, rules: Rules) -> Result<(), Refusal> {
    if amount > rules.amount_max {
        return Err(Refusal::AmountAboveMaximum {
            currency: wallet.currency,
            maximum: rules.amount_max,
        });
    }
    Ok(())
}

/// Whether money of `wallet` can go to `destination`.
pub(super) fn can_go_to(wallet: &Wallet, destination: &Wallet, role: Role) -> Result<(), Refusal> {
    if destination.is_settlement() {
        return Err(Refusal::SettlementWallet { role });
    }
    if destination.currency != wallet.currency {
        let (expected, actual) = (wallet.currency, destination.currency);
        return Err(Refusal::CurrencyMismatch {
            role,
            expected,
            actual,
        });
    }
    Ok(())
}

/// The balance after `change`, which the command asks for as `amount`.
pub(super) fn balance_after(
    command: &Command,
    wallet: &Wallet,
    role: Role,
    change: Change,
    amount: Amount,
) -> Result<Balance, Refusal> {
    let after = wallet.balance_after(change);
    after.map_err(|error| not_taken(error, command, wallet, role, amount))
}

/// Why the wallet does not take `amount`.
fn not_taken(
    error: BalanceError,
    command: &Command,
    wallet: &Wallet,
    role: Role,
    amount: Amount,
) -> Refusal {
    match error {
        BalanceError::Frozen | BalanceError::Closed => not_active(command, wallet, role),
        BalanceError::BelowFloor { available, floor } => Refusal::InsufficientFunds {
            currency: wallet.currency,
            required: amount,
            available,
            floor,
        },
        BalanceError::Overflow => Refusal::BalanceOverflow { role },
    }
}

/// What stands in the way. Why, and until when, is told to those who reach the wallet.
fn not_active(command: &Command, wallet: &Wallet, role: Role) -> Refusal {
    let is_reached = command.caller.reach.includes(&wallet.user_id);
    let freeze = wallet.freeze.as_ref();
    Refusal::WalletNotActive {
        role,
        status: wallet.status,
        freeze: freeze.map(|freeze| FreezeTold::of(freeze, is_reached).into()),
    }
}
