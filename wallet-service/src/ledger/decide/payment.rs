//! Fund, withdraw and transfer: a payment between the path's wallet and one other.

use shared::{Currency, WalletId, event::EventBody};

use super::{
    Decision, LedgerView, Rules,
    checks::{find, payable},
    posting::{Posting, move_money},
};
use crate::ledger::model::{
    answer::{Refusal, Role, TransactionKind},
    command::{Command, Payment},
    wallet::Wallet,
};

pub(super) fn fund(
    command: &Command,
    ledger: &dyn LedgerView,
    rules: Rules,
    wallet_id: WalletId,
    payment: &Payment,
) -> Result<Decision, Refusal> {
    let (wallet, amount) = payable(command, ledger, rules, wallet_id, payment)?;
    let settlement = settlement(command, ledger, rules, wallet.currency);
    let postings = [
        Posting {
            role: Role::Settlement,
            wallet: settlement,
            change: amount.debit(),
            body: EventBody::TransferSent,
        },
        Posting {
            role: Role::Wallet,
            wallet: wallet.clone(),
            change: amount.credit(),
            body: EventBody::WalletFunded,
        },
    ];
    move_money(command, TransactionKind::Fund, amount, payment, postings)
}

pub(super) fn withdraw(
    command: &Command,
    ledger: &dyn LedgerView,
    rules: Rules,
    wallet_id: WalletId,
    payment: &Payment,
) -> Result<Decision, Refusal> {
    let (wallet, amount) = payable(command, ledger, rules, wallet_id, payment)?;
    let settlement = settlement(command, ledger, rules, wallet.currency);
    let postings = [
        Posting {
            role: Role::Wallet,
            wallet: wallet.clone(),
            change: amount.debit(),
            body: EventBody::WalletWithdrawn,
        },
        Posting {
            role: Role::Settlement,
            wallet: settlement,
            change: amount.credit(),
            body: EventBody::TransferReceived,
        },
    ];
    move_money(
        command,
        TransactionKind::Withdraw,
        amount,
        payment,
        postings,
    )
}

pub(super) fn transfer(
    command: &Command,
    ledger: &dyn LedgerView,
    rules: Rules,
    from: WalletId,
    to: WalletId,
    payment: &Payment,
) -> Result<Decision, Refusal> {
    if from == to {
        return Err(Refusal::SameWallet);
    }
    // The wallet in the path is looked at first, so that it is named when both are missing.
    find(ledger, from, Role::Wallet)?;
    let role = Role::Destination;
    let destination = find(ledger, to, role)?;
    let (wallet, amount) = payable(command, ledger, rules, from, payment)?;
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
    let postings = [
        Posting {
            role: Role::Wallet,
            wallet: wallet.clone(),
            change: amount.debit(),
            body: EventBody::TransferSent,
        },
        Posting {
            role,
            wallet: destination.clone(),
            change: amount.credit(),
            body: EventBody::TransferReceived,
        },
    ];
    move_money(
        command,
        TransactionKind::Transfer,
        amount,
        payment,
        postings,
    )
}

/// The settlement wallet of a currency that this instance uses now: as it is, or before its first event.
fn settlement(
    command: &Command,
    ledger: &dyn LedgerView,
    rules: Rules,
    currency: Currency,
) -> Wallet {
    let mut wallets = rules.shard.settlement_wallets(currency);
    let usable = wallets.find(|id| !ledger.gives_way(*id));
    let id = usable.unwrap_or_else(|| rules.shard.settlement_wallet(currency));
    ledger
        .wallet(id)
        .cloned()
        .unwrap_or_else(|| Wallet::settlement_before_first_event(id, currency, command.received_at))
}
