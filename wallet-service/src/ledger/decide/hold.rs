//! Money set aside: placed, more or for longer, released, and ended by itself. What is captured is in [`super::capture`].
//!
//! A wallet that no money may leave sets none aside either; releasing, extending and ending move no money, and go on while it
//! is frozen. A hold is over at its end by the clock of the command that meets it, whether or not that was written down yet.

use shared::{
    Amount, Balance, Timestamp, WalletId,
    event::{EventBody, HoldChanged, HoldPlaced},
};

use super::{
    Decision, LedgerView, NotDone, Rules,
    checks::{balance_after, can_go_to, find, is_open, payable, seen, within_maximum},
    event_builder::EventBuilder,
};
use crate::ledger::model::{
    answer::{Refusal, Role},
    command::{AskedAmount, Command},
    hold::{Hold, HoldAfter, HoldEnd, HoldRef, HoldStatus, NewHold},
    wallet::Wallet,
};

/// Sets money aside.
pub(super) fn place(
    command: &Command,
    ledger: &dyn LedgerView,
    rules: Rules,
    wallet_id: WalletId,
    new: &NewHold,
) -> Result<Decision, NotDone> {
    if new.to_wallet_id == Some(wallet_id) {
        return Err(Refusal::SameWallet.into());
    }
    // The wallet in the path is looked at first, so that it is named when both are missing.
    find(command, ledger, rules, wallet_id, Role::Wallet)?;
    let role = Role::Destination;
    let destination = match new.to_wallet_id {
        Some(to) => Some(find(command, ledger, rules, to, role)?),
        None => None,
    };
    let (wallet, amount) = payable(command, ledger, rules, wallet_id, &new.payment)?;
    if let Some(destination) = destination {
        can_go_to(wallet, destination, role)?;
        is_open(command, destination, role)?;
    }
    let mut builder = EventBuilder::of(command, wallet);
    let now = builder.occurred_at();
    let expires_at = new.expires_at(now, rules.holds);
    if expires_at <= now {
        return Err(Refusal::HoldEndPassed { now }.into());
    }
    let wallet = builder.lifted(wallet.clone())?;
    let wallet = setting_aside(command, wallet, amount)?;
    let hold = Hold {
        id: command.new_hold_id(),
        wallet_id: wallet.id,
        user_id: wallet.user_id.clone(),
        currency: wallet.currency,
        status: HoldStatus::Open,
        amount,
        captured: Balance::ZERO,
        released: Balance::ZERO,
        to_wallet_id: new.to_wallet_id,
        expires_at,
        due_at: Some(rules.holds.due_at(expires_at, now)),
        details: new.payment.details.clone(),
        created_at: now,
        updated_at: now,
    };
    let body = EventBody::HoldPlaced(HoldPlaced {
        hold_id: hold.id,
        amount: Balance::new(amount.minor()),
        to_wallet_id: hold.to_wallet_id,
        expires_at,
        details: hold.details.clone(),
    });
    let wallet = builder.append(wallet, None, body)?;
    Ok(builder.finish_hold(wallet, None, HoldAfter::Placed(hold.into())))
}

/// Sets more aside.
pub(super) fn increase(
    command: &Command,
    ledger: &dyn LedgerView,
    rules: Rules,
    of: HoldRef,
    amount: AskedAmount,
) -> Result<Decision, NotDone> {
    let (wallet, hold) = open_hold(command, ledger, of)?;
    let more = amount.in_currency(wallet.currency).map_err(Refusal::from)?;
    // All of it may be captured at once.
    let total = hold.amount.minor().checked_add(more.minor());
    let total = total.and_then(Amount::try_new);
    let total = total.ok_or(Refusal::AmountOutOfRange)?;
    within_maximum(wallet, total, rules)?;
    let mut builder = EventBuilder::of_hold(command, wallet, hold);
    let wallet = builder.lifted(wallet.clone())?;
    let wallet = setting_aside(command, wallet, more)?;
    let hold = Hold {
        amount: total,
        ..hold.clone()
    };
    let changed = (EventBody::HoldIncreased as Body, Some(more));
    changed_by(builder, wallet, hold, changed)
}

/// Sets it aside for longer.
pub(super) fn extend(
    command: &Command,
    ledger: &dyn LedgerView,
    rules: Rules,
    of: HoldRef,
    end: HoldEnd,
) -> Result<Decision, NotDone> {
    let (wallet, hold) = open_hold(command, ledger, of)?;
    let mut builder = EventBuilder::of_hold(command, wallet, hold);
    let now = builder.occurred_at();
    let expires_at = end.after(now);
    if expires_at <= hold.expires_at {
        return Err(Refusal::HoldEndNotLater {
            expires_at: hold.expires_at,
            is_in_seconds: matches!(end, HoldEnd::In { .. }),
        }
        .into());
    }
    let wallet = builder.lifted(wallet.clone())?;
    let hold = Hold {
        expires_at,
        due_at: Some(rules.holds.due_at(expires_at, now)),
        ..hold.clone()
    };
    changed_by(builder, wallet, hold, (EventBody::HoldExtended, None))
}

/// Gives back what is set aside, or a part of it.
pub(super) fn release(
    command: &Command,
    ledger: &dyn LedgerView,
    of: HoldRef,
    amount: Option<AskedAmount>,
) -> Result<Decision, NotDone> {
    let (wallet, hold) = open_hold(command, ledger, of)?;
    let amount = part_of(hold, amount)?;
    let mut builder = EventBuilder::of_hold(command, wallet, hold);
    let wallet = builder.lifted(wallet.clone())?;
    let (wallet, hold) = without(
        wallet,
        hold,
        Balance::ZERO,
        amount.into(),
        HoldStatus::Released,
    );
    let changed = (EventBody::HoldReleased as Body, Some(amount));
    changed_by(builder, wallet, hold, changed)
}

/// What the clock brings: the end is near, or has come. Of several who ask the first does it; the others are refused.
pub(super) fn fall_due(
    command: &Command,
    ledger: &dyn LedgerView,
    of: HoldRef,
) -> Result<Decision, NotDone> {
    let (wallet, hold) = named(command, ledger, of)?;
    let mut builder = EventBuilder::of_hold(command, wallet, hold);
    let now = builder.occurred_at();
    if hold.due_at.is_none_or(|due_at| due_at > now) {
        return Err(Refusal::HoldNotDue.into());
    }
    let wallet = builder.lifted(wallet.clone())?;
    if !hold.has_ended(now) {
        let hold = Hold {
            due_at: Some(hold.expires_at),
            ..hold.clone()
        };
        return changed_by(builder, wallet, hold, (EventBody::HoldExpiring, None));
    }
    let left = hold.remaining();
    let (wallet, hold) = without(wallet, hold, Balance::ZERO, left, HoldStatus::Expired);
    let changed = (
        EventBody::HoldExpired as Body,
        Amount::try_new(left.minor()),
    );
    changed_by(builder, wallet, hold, changed)
}

type Body = fn(HoldChanged) -> EventBody;

/// Ends a command that moves no money with the event that says what became of the hold.
fn changed_by(
    mut builder: EventBuilder<'_>,
    wallet: Wallet,
    hold: Hold,
    (body, amount): (Body, Option<Amount>),
) -> Result<Decision, NotDone> {
    let hold = Hold {
        updated_at: builder.occurred_at(),
        ..hold
    };
    let body = body(HoldChanged {
        hold_id: hold.id,
        amount: amount.map(Balance::from),
        remaining: hold.remaining(),
        expires_at: hold.expires_at,
    });
    let wallet = builder.append(wallet, None, body)?;
    Ok(builder.finish_hold(wallet, None, HoldAfter::Changed(hold.into())))
}

/// The wallet with more set aside, if it may leave.
fn setting_aside(command: &Command, wallet: Wallet, amount: Amount) -> Result<Wallet, Refusal> {
    let role = Role::Wallet;
    balance_after(command, &wallet, role, amount.debit(), amount)?;
    let held = wallet.held.after(amount.credit());
    let held = held.ok_or(Refusal::BalanceOverflow { role })?;
    Ok(Wallet { held, ..wallet })
}

/// Wallet and hold with so much less set aside. When nothing is left the hold is over, in the way that `last` says.
pub(super) fn without(
    wallet: Wallet,
    hold: &Hold,
    captured: Balance,
    released: Balance,
    last: HoldStatus,
) -> (Wallet, Hold) {
    let sum = |a: Balance, b: Balance| Balance::new(a.minor().saturating_add(b.minor()));
    let less = |a: Balance, b: Balance| Balance::new(a.minor().saturating_sub(b.minor()));
    // None of it is above what remains, and that is a part of what is held.
    let held = less(wallet.held, sum(captured, released));
    let mut hold = Hold {
        captured: sum(hold.captured, captured),
        released: sum(hold.released, released),
        ..hold.clone()
    };
    if hold.remaining() == Balance::ZERO {
        hold.status = last;
        hold.due_at = None;
    }
    (Wallet { held, ..wallet }, hold)
}

/// How much of what is left: all of it when nothing is said.
pub(super) fn part_of(hold: &Hold, amount: Option<AskedAmount>) -> Result<Amount, Refusal> {
    let remaining = hold.remaining();
    let left = Amount::try_new(remaining.minor());
    let asked = match amount {
        Some(amount) => Some(amount.in_currency(hold.currency)?),
        None => left,
    };
    match (asked, left) {
        (Some(asked), Some(left)) if asked <= left => Ok(asked),
        (asked, _) => Err(Refusal::InsufficientHold {
            currency: hold.currency,
            required: asked.map_or(Balance::ZERO, Balance::from),
            remaining,
        }),
    }
}

/// The hold and its wallet, when money is set aside still.
pub(super) fn open_hold<'ledger>(
    command: &Command,
    ledger: &'ledger dyn LedgerView,
    of: HoldRef,
) -> Result<(&'ledger Wallet, &'ledger Hold), Refusal> {
    let (wallet, hold) = named(command, ledger, of)?;
    let now: Timestamp = command.received_at.max(wallet.updated_at);
    let (hold_id, expires_at) = (hold.id, hold.expires_at);
    match hold.status {
        HoldStatus::Open if !hold.has_ended(now) => Ok((wallet, hold)),
        HoldStatus::Open | HoldStatus::Expired => Err(Refusal::HoldExpired {
            hold_id,
            expires_at,
        }),
        status @ (HoldStatus::Captured | HoldStatus::Released) => {
            Err(Refusal::HoldClosed { hold_id, status })
        }
    }
}

/// The hold and its wallet, when the caller reaches it, saw it as it is, and something may be done to it.
fn named<'ledger>(
    command: &Command,
    ledger: &'ledger dyn LedgerView,
    of: HoldRef,
) -> Result<(&'ledger Wallet, &'ledger Hold), Refusal> {
    let HoldRef { hold_id, place } = of;
    let found = place.and_then(|place| {
        let wallet = ledger.wallet(place.wallet_id)?;
        let hold = ledger.hold(hold_id)?;
        let is_reached = command.caller.reach.includes(&wallet.user_id);
        (is_reached && hold.wallet_id == wallet.id).then_some((wallet, hold))
    });
    let (wallet, hold) = found.ok_or(Refusal::HoldNotFound { hold_id })?;
    seen(command, wallet)?;
    is_open(command, wallet, Role::Wallet)?;
    Ok((wallet, hold))
}
