//! A wallet is closed, for ever: with nothing in it, or with what is in it sent to another wallet in the same transaction.

use shared::{
    Amount, Balance, WalletId,
    event::{Closed, Details, EventBody},
};

use super::{
    Decision, LedgerView, NotDone, Rules,
    checks::{can_go_to, find, open, within_maximum},
    event_builder::EventBuilder,
    posting::{Posting, post},
};
use crate::ledger::model::{
    answer::{Refusal, Role, TransactionKind},
    command::Command,
    wallet::{Status, Wallet},
};

pub(super) fn close(
    command: &Command,
    ledger: &dyn LedgerView,
    rules: Rules,
    wallet_id: WalletId,
    reason: &str,
    drain_to: Option<WalletId>,
) -> Result<Decision, NotDone> {
    // First, so that nothing else is said of a wallet that is not the caller's.
    find(command, ledger, rules, wallet_id, Role::Wallet)?;
    let destination = match drain_to {
        Some(to) => Some(destination(command, ledger, rules, wallet_id, to)?),
        None => None,
    };
    let wallet = open(command, ledger, rules, wallet_id)?;
    if let Some(destination) = destination {
        can_go_to(wallet, destination, Role::DrainTo)?;
    }
    let amount = what_is_left(wallet, destination)?;
    let mut builder = EventBuilder::of(command, wallet);
    let wallet = wallet.clone();
    let (wallet, transaction) = match (destination, amount) {
        (Some(destination), Some(amount)) => {
            within_maximum(&wallet, amount, rules)?;
            let [giving, taking] = drain(wallet, destination.clone());
            let kind = TransactionKind::Close;
            let details = Details::default();
            let drained = post(&mut builder, kind, amount, &details, giving, taking)?;
            (drained.0, Some(drained.1))
        }
        _ => (builder.lifted(wallet)?, None),
    };
    let closed = Wallet {
        status: Status::Closed,
        freeze: None,
        ..wallet
    };
    let body = EventBody::WalletClosed(Closed {
        reason: reason.to_owned(),
        drained_to: transaction.as_ref().and(drain_to),
    });
    let closed = builder.append(closed, None, body)?;
    Ok(builder.finish(closed, transaction))
}

/// The wallet that is to take what is left.
fn destination<'ledger>(
    command: &Command,
    ledger: &'ledger dyn LedgerView,
    rules: Rules,
    wallet_id: WalletId,
    drain_to: WalletId,
) -> Result<&'ledger Wallet, Refusal> {
    if drain_to == wallet_id {
        return Err(Refusal::DrainToItself);
    }
    find(command, ledger, rules, drain_to, Role::DrainTo)
}

/// What has to go elsewhere; nothing of an empty wallet. What is held belongs to others until it is released, and a debt
/// is paid before, not passed on.
fn what_is_left(wallet: &Wallet, destination: Option<&Wallet>) -> Result<Option<Amount>, Refusal> {
    let is_empty = wallet.balance == Balance::ZERO && wallet.held == Balance::ZERO;
    if is_empty {
        return Ok(None);
    }
    let amount = Amount::try_new(wallet.balance.minor());
    match (destination, amount) {
        (Some(_), Some(amount)) if wallet.held == Balance::ZERO => Ok(Some(amount)),
        _ => Err(Refusal::WalletNotEmpty {
            currency: wallet.currency,
            balance: wallet.balance,
            held: wallet.held,
        }),
    }
}

/// Money goes the way of a transfer.
fn drain(wallet: Wallet, destination: Wallet) -> [Posting; 2] {
    let giving: Posting = Posting {
        role: Role::Wallet,
        wallet,
        body: EventBody::TransferSent,
    };
    let taking: Posting = Posting {
        role: Role::DrainTo,
        wallet: destination,
        body: EventBody::TransferReceived,
    };
    [giving, taking]
}
