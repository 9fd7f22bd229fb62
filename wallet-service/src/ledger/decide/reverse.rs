//! A transaction is taken back, whole or in parts: money goes the way it came, and never more of it than came.
//!
//! Who has the money gives it back, or a service that acts for them; never who sent it. What a wallet has spent cannot be
//! taken from it, unless an operator says so.

use shared::{
    Amount, Balance,
    event::{EventBody, Posted, Reversed},
    money::Change,
};

use super::{
    Decision, LedgerView, NotDone, Rules,
    checks::{balance_after, is_trusted_with_settlement, seen},
    event_builder::EventBuilder,
    payment::settlement,
    posting::{Entry, post_all},
    reference::is_reference_new,
};
use crate::ledger::model::{
    answer::{Leg, Refusal, Role, Transaction, TransactionKind},
    command::Command,
    posting::{NewReversal, ReversedSoFar, Reverses},
    wallet::Wallet,
};

pub(super) fn reverse(
    command: &Command,
    ledger: &dyn LedgerView,
    rules: Rules,
    reversal: &NewReversal,
) -> Result<Decision, NotDone> {
    let original = original(command, reversal)?;
    let wallet = answered_with(command, ledger, reversal)?;
    is_the_callers_to_give_back(command, rules, original)?;
    seen(command, wallet)?;
    if original.kind == TransactionKind::Reversal {
        return Err(Refusal::ReversalOfReversal.into());
    }
    let (amount, reverses) = reverses(ledger, original, reversal)?;
    is_reference_new(command, ledger)?;
    let wallet_id = wallet.id;
    let mut builder = EventBuilder::of(command, wallet);
    let legs = legs_back(command, ledger, rules, original, amount)?;
    for (wallet, _) in &legs {
        builder.not_before(wallet.updated_at);
    }
    let entries = entries(&mut builder, reversal, legs)?;
    let (wallet, legs) = post_all(&mut builder, wallet_id, entries, |_, refusal| refusal)?;
    let transaction = Transaction {
        id: command.transaction_id(),
        kind: TransactionKind::Reversal,
        wallet_id,
        user_id: wallet.user_id.clone(),
        currency: original.currency,
        amount,
        details: reversal.details.clone(),
        occurred_at: builder.occurred_at(),
        legs,
        hold_id: None,
        reverses: Some(reverses.into()),
    };
    Ok(builder.finish(wallet, Some(transaction)))
}

/// The transaction, when there is one and the caller reaches a leg of it.
fn original<'command>(
    command: &Command,
    reversal: &'command NewReversal,
) -> Result<&'command Transaction, Refusal> {
    let transaction_id = reversal.transaction_id;
    let is_reached = |original: &&Transaction| {
        let mut legs = original.legs.iter();
        legs.any(|leg| command.caller.reach.includes(&leg.user_id))
    };
    let found = reversal.original.as_deref().filter(is_reached);
    found.ok_or(Refusal::TransactionNotFound { transaction_id })
}

fn answered_with<'ledger>(
    command: &Command,
    ledger: &'ledger dyn LedgerView,
    reversal: &NewReversal,
) -> Result<&'ledger Wallet, Refusal> {
    let transaction_id = reversal.transaction_id;
    let wallet = reversal.wallet_id().and_then(|id| ledger.wallet(id));
    let wallet = wallet.ok_or(Refusal::TransactionNotFound { transaction_id })?;
    if command.caller.reach.includes(&wallet.user_id) {
        Ok(wallet)
    } else {
        Err(Refusal::NotTheCallersToGiveBack)
    }
}

/// Whether the caller acts for all whom money is taken from; and may have it come from outside, or leave.
fn is_the_callers_to_give_back(
    command: &Command,
    rules: Rules,
    original: &Transaction,
) -> Result<(), Refusal> {
    let is_settled = original.legs.iter().any(|leg| leg.user_id.is_system());
    if is_settled {
        is_trusted_with_settlement(command, rules)?;
    }
    let gives = |leg: &&Leg| leg.amount.minor() > 0 && !leg.user_id.is_system();
    let mut giving = original.legs.iter().filter(gives);
    if giving.all(|leg| command.caller.reach.includes(&leg.user_id)) {
        Ok(())
    } else {
        Err(Refusal::NotTheCallersToGiveBack)
    }
}

/// How much is taken back, and how far that is with it: all that is left when nothing is said.
fn reverses(
    ledger: &dyn LedgerView,
    original: &Transaction,
    reversal: &NewReversal,
) -> Result<(Amount, Reverses), Refusal> {
    let (transaction_id, currency) = (original.id, original.currency);
    let before = ledger.reversed(transaction_id);
    let (parts, taken) = before.map_or((0, 0), |before| (before.parts, before.amount.minor()));
    let left = original.amount.minor().saturating_sub(taken);
    let left = Amount::try_new(left).ok_or(Refusal::AlreadyReversed {
        transaction_id,
        currency,
        amount: original.amount,
    })?;
    let amount = match reversal.amount {
        Some(asked) => asked.in_currency(currency)?,
        None => left,
    };
    if amount > left {
        return Err(Refusal::ReversalTooLarge {
            currency,
            required: amount,
            reversible: left.into(),
        });
    }
    if amount != original.amount && original.legs.len() > 2 {
        let amount = original.amount;
        return Err(Refusal::ReversedWholeOnly { currency, amount });
    }
    let all = taken.checked_add(amount.minor()).and_then(Amount::try_new);
    let so_far = ReversedSoFar {
        parts: parts.saturating_add(1),
        amount: all.ok_or(Refusal::AmountOutOfRange)?,
    };
    let reverses = Reverses {
        transaction_id,
        of: original.amount,
        so_far,
        reason: reversal.reason.clone(),
    };
    Ok((amount, reverses))
}

/// The wallets of the original as they are, each with what it gives or gets; those that give first. The outside world is
/// this instance's settlement wallet, whichever it was then.
fn legs_back(
    command: &Command,
    ledger: &dyn LedgerView,
    rules: Rules,
    original: &Transaction,
    amount: Amount,
) -> Result<Vec<(Wallet, Change)>, Refusal> {
    let transaction_id = original.id;
    let is_whole = amount == original.amount;
    let mut legs = Vec::with_capacity(original.legs.len());
    for leg in &original.legs {
        let wallet = if leg.user_id.is_system() {
            settlement(command, ledger, rules, leg.currency)
        } else {
            let wallet = ledger.wallet(leg.wallet_id).cloned();
            wallet.ok_or(Refusal::TransactionNotFound { transaction_id })?
        };
        let came = leg.amount.minor();
        let change = if is_whole {
            came.checked_neg().and_then(Change::try_new)
        } else {
            Some(if came > 0 {
                amount.debit()
            } else {
                amount.credit()
            })
        };
        legs.push((wallet, change.ok_or(Refusal::AmountOutOfRange)?));
    }
    legs.sort_by_key(|(_, change)| change.minor() > 0);
    Ok(legs)
}

fn entries(
    builder: &mut EventBuilder<'_>,
    reversal: &NewReversal,
    legs: Vec<(Wallet, Change)>,
) -> Result<Vec<Entry>, NotDone> {
    let ids: Vec<_> = legs.iter().map(|(wallet, _)| wallet.id).collect();
    let leg_count = u16::try_from(legs.len()).unwrap_or(u16::MAX);
    let mut entries = Vec::with_capacity(legs.len());
    for (place, (wallet, change)) in legs.into_iter().enumerate() {
        let wallet = builder.lifted(wallet)?;
        let (wallet, balance) = taken_or_given(builder.command(), reversal, wallet, change)?;
        let counterparty_wallet_id = (ids.len() == 2).then(|| ids[1 - place]);
        let body = EventBody::TransactionReversed(Reversed {
            reverses: reversal.transaction_id,
            reason: reversal.reason.clone(),
            below_floor: change.minor() < 0 && wallet.overdrawn > Balance::ZERO,
            posted: Posted {
                counterparty_wallet_id,
                leg_count,
                details: reversal.details.clone(),
            },
        });
        entries.push(Entry {
            wallet,
            change,
            balance,
            body,
        });
    }
    Ok(entries)
}

/// The balance after it, and the wallet, which may be overdrawn by an operator's word alone.
fn taken_or_given(
    command: &Command,
    reversal: &NewReversal,
    wallet: Wallet,
    change: Change,
) -> Result<(Wallet, Balance), Refusal> {
    let role = if wallet.is_settlement() {
        Role::Settlement
    } else {
        Role::Wallet
    };
    let amount = change.minor().checked_abs().and_then(Amount::try_new);
    let amount = amount.ok_or(Refusal::AmountOutOfRange)?;
    match balance_after(command, &wallet, role, change, amount) {
        Ok(balance) => Ok((wallet, balance)),
        Err(Refusal::InsufficientFunds { .. }) if reversal.allow_negative => {
            let without_floor = Wallet {
                floor: None,
                ..wallet.clone()
            };
            let balance = balance_after(command, &without_floor, role, change, amount)?;
            let after = Wallet {
                balance,
                ..wallet.clone()
            };
            let overdrawn = after.shortfall();
            Ok((
                Wallet {
                    overdrawn,
                    ..wallet
                },
                balance,
            ))
        }
        Err(Refusal::InsufficientFunds {
            currency,
            required,
            available,
            floor,
        }) => {
            let spendable = available.minor().saturating_sub(floor.minor());
            Err(Refusal::NotRecoverable {
                wallet_id: wallet.id,
                currency,
                required,
                recoverable: Balance::new(spendable.max(0)),
            })
        }
        Err(refusal) => Err(refusal),
    }
}
