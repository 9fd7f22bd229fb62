//! Fund, withdraw and transfer: a payment between the path's wallet and one other.

use shared::{Currency, WalletId, event::EventBody};

use super::{
    Decision, LedgerView, NotDone, Rules,
    checks::{can_go_to, find, may_settle, payable},
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
) -> Result<Decision, NotDone> {
    may_settle(command, ledger, rules, wallet_id)?;
    let (wallet, amount) = payable(command, ledger, rules, wallet_id, payment)?;
    let settlement = settlement(command, ledger, rules, wallet.currency);
    let giving: Posting = Posting {
        role: Role::Settlement,
        wallet: settlement,
        body: EventBody::TransferSent,
    };
    let taking: Posting = Posting {
        role: Role::Wallet,
        wallet: wallet.clone(),
        body: EventBody::WalletFunded,
    };
    let kind = TransactionKind::Fund;
    move_money(command, kind, amount, payment, [giving, taking])
}

pub(super) fn withdraw(
    command: &Command,
    ledger: &dyn LedgerView,
    rules: Rules,
    wallet_id: WalletId,
    payment: &Payment,
) -> Result<Decision, NotDone> {
    may_settle(command, ledger, rules, wallet_id)?;
    let (wallet, amount) = payable(command, ledger, rules, wallet_id, payment)?;
    let settlement = settlement(command, ledger, rules, wallet.currency);
    let giving: Posting = Posting {
        role: Role::Wallet,
        wallet: wallet.clone(),
        body: EventBody::WalletWithdrawn,
    };
    let taking: Posting = Posting {
        role: Role::Settlement,
        wallet: settlement,
        body: EventBody::TransferReceived,
    };
    let kind = TransactionKind::Withdraw;
    move_money(command, kind, amount, payment, [giving, taking])
}

pub(super) fn transfer(
    command: &Command,
    ledger: &dyn LedgerView,
    rules: Rules,
    from: WalletId,
    to: WalletId,
    payment: &Payment,
) -> Result<Decision, NotDone> {
    if from == to {
        return Err(Refusal::SameWallet.into());
    }
    // The wallet in the path is looked at first, so that it is named when both are missing.
    find(command, ledger, rules, from, Role::Wallet)?;
    let role = Role::Destination;
    let destination = find(command, ledger, rules, to, role)?;
    let (wallet, amount) = payable(command, ledger, rules, from, payment)?;
    can_go_to(wallet, destination, role)?;
    let giving: Posting = Posting {
        role: Role::Wallet,
        wallet: wallet.clone(),
        body: EventBody::TransferSent,
    };
    let taking: Posting = Posting {
        role,
        wallet: destination.clone(),
        body: EventBody::TransferReceived,
    };
    let kind = TransactionKind::Transfer;
    move_money(command, kind, amount, payment, [giving, taking])
}

/// The settlement wallet of a currency that this instance uses now: as it is, or before its first event.
pub(super) fn settlement(
    command: &Command,
    ledger: &dyn LedgerView,
    rules: Rules,
    currency: Currency,
) -> Wallet {
    let mut wallets = rules.shard.settlement_wallets(currency);
    let usable = wallets.find(|id| !ledger.gives_way(*id, currency));
    let id = usable.unwrap_or_else(|| rules.shard.settlement_wallet(currency));
    ledger
        .wallet(id)
        .cloned()
        .unwrap_or_else(|| Wallet::settlement_before_first_event(id, currency, command.received_at))
}
