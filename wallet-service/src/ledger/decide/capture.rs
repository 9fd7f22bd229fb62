//! Money that was set aside leaves: to the wallet that the hold names, or that the capture does, or out of the system.

use shared::{
    Balance, WalletId,
    event::{EventBody, HoldCaptured},
};

use super::{
    Decision, LedgerView, NotDone, Rules,
    checks::{can_go_to, find, is_trusted_with_settlement},
    event_builder::EventBuilder,
    hold::{open_hold, part_of, without},
    payment::settlement,
    posting::{Posting, post},
    reference::is_reference_new,
};
use crate::ledger::model::{
    answer::{Refusal, Role, Transaction, TransactionKind},
    command::Command,
    hold::{Capture, Hold, HoldAfter, HoldRef, HoldStatus},
    wallet::Wallet,
};

pub(super) fn capture(
    command: &Command,
    ledger: &dyn LedgerView,
    rules: Rules,
    of: HoldRef,
    capture: &Capture,
) -> Result<Decision, NotDone> {
    let (wallet, hold) = open_hold(command, ledger, of)?;
    let taking = taking(command, ledger, rules, wallet, goes_to(hold, capture)?)?;
    let amount = part_of(hold, capture.amount)?;
    is_reference_new(command, ledger)?;
    let captured = Balance::from(amount);
    let left = hold.remaining().minor().saturating_sub(amount.minor());
    let released = Balance::new(if capture.is_final { left } else { 0 });

    let mut builder = EventBuilder::of_hold(command, wallet, hold);
    builder.not_before(taking.wallet.updated_at);
    if taking.wallet.is_settlement() {
        builder.leaving();
    }
    let wallet = builder.lifted(wallet.clone())?;
    let (wallet, hold) = without(wallet, hold, captured, released, HoldStatus::Captured);
    let hold = Hold {
        updated_at: builder.occurred_at(),
        ..hold
    };
    let (hold_id, remaining) = (hold.id, hold.remaining());
    let giving = Posting {
        role: Role::Wallet,
        wallet,
        body: move |movement| {
            EventBody::HoldCaptured(HoldCaptured {
                hold_id,
                released,
                remaining,
                movement,
            })
        },
    };
    let kind = TransactionKind::Capture;
    let details = &capture.details;
    let (wallet, transaction) = post(&mut builder, kind, amount, details, giving, taking)?;
    let transaction = Transaction {
        hold_id: Some(hold_id),
        ..transaction
    };
    let after = HoldAfter::Changed(hold.into());
    Ok(builder.finish_hold(wallet, Some(transaction), after))
}

/// What was agreed when the money was set aside is not changed by who takes it.
fn goes_to(hold: &Hold, capture: &Capture) -> Result<Option<WalletId>, Refusal> {
    match (hold.to_wallet_id, capture.to_wallet_id) {
        (Some(agreed), Some(asked)) if asked != agreed => Err(Refusal::HoldDestination {
            to_wallet_id: agreed,
        }),
        (agreed, asked) => Ok(agreed.or(asked)),
    }
}

/// The side that takes it.
fn taking(
    command: &Command,
    ledger: &dyn LedgerView,
    rules: Rules,
    wallet: &Wallet,
    to: Option<WalletId>,
) -> Result<Posting, Refusal> {
    let body = EventBody::TransferReceived;
    let Some(to) = to else {
        is_trusted_with_settlement(command, rules)?;
        return Ok(Posting {
            role: Role::Settlement,
            wallet: settlement(command, ledger, rules, wallet.currency),
            body,
        });
    };
    if to == wallet.id {
        return Err(Refusal::SameWallet);
    }
    let role = Role::Destination;
    let destination = find(command, ledger, rules, to, role)?;
    can_go_to(wallet, destination, role)?;
    Ok(Posting {
        role,
        wallet: destination.clone(),
        body,
    })
}
