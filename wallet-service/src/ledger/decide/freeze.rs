//! Frozen, and not frozen any more.
//!
//! A freeze with an end is over when the end has come, by the clock of the command that meets it, whether or not that was
//! written down yet: the first command that meets it writes it down ([`EventBuilder::lifted`]). What comes after the end
//! is therefore never refused for it, and no event of a wallet stands between the end and the event that says so.

use shared::{
    WalletId,
    event::{EventBody, Frozen, UnfreezeCause, Unfrozen},
};

use super::{Decision, LedgerView, NotDone, Rules, checks::open, event_builder::EventBuilder};
use crate::ledger::model::{
    answer::Refusal,
    command::Command,
    freeze::Freeze,
    wallet::{Status, Wallet},
};

/// Freezes a wallet. A freeze that stands is replaced.
pub(super) fn freeze(
    command: &Command,
    ledger: &dyn LedgerView,
    rules: Rules,
    wallet_id: WalletId,
    frozen: &Frozen,
) -> Result<Decision, NotDone> {
    let wallet = open(command, ledger, rules, wallet_id)?;
    let mut builder = EventBuilder::of(command, wallet);
    let now = builder.occurred_at();
    if frozen.until.is_some_and(|until| until <= now) {
        return Err(Refusal::FreezeEndPassed { now }.into());
    }
    let wallet = builder.lifted(wallet.clone())?;
    let freeze = Freeze::of(frozen.clone(), command.caller.actor.clone(), now);
    let wallet = Wallet {
        status: Status::Frozen,
        freeze: Some(Box::new(freeze)),
        ..wallet
    };
    let body = EventBody::WalletFrozen(frozen.clone());
    let wallet = builder.append(wallet, None, body)?;
    Ok(builder.finish(wallet, None))
}

/// Lifts the freeze that stands.
pub(super) fn unfreeze(
    command: &Command,
    ledger: &dyn LedgerView,
    rules: Rules,
    wallet_id: WalletId,
    reason: &str,
) -> Result<Decision, NotDone> {
    let wallet = open(command, ledger, rules, wallet_id)?;
    let mut builder = EventBuilder::of(command, wallet);
    let stands = wallet.status == Status::Frozen && !wallet.freeze_has_ended(builder.occurred_at());
    if !stands {
        return Err(Refusal::NotFrozen.into());
    }
    let body = EventBody::WalletUnfrozen(Unfrozen {
        cause: UnfreezeCause::Request,
        reason: Some(reason.to_owned()),
    });
    let wallet = builder.append(wallet.clone().unfrozen(), None, body)?;
    Ok(builder.finish(wallet, None))
}

/// Writes down that a freeze has ended. Of several who ask the first does it; the others are refused.
pub(super) fn expire(
    command: &Command,
    ledger: &dyn LedgerView,
    rules: Rules,
    wallet_id: WalletId,
) -> Result<Decision, NotDone> {
    let wallet = open(command, ledger, rules, wallet_id)?;
    let mut builder = EventBuilder::of(command, wallet);
    if !wallet.freeze_has_ended(builder.occurred_at()) {
        return Err(Refusal::NotFrozen.into());
    }
    let wallet = builder.lifted(wallet.clone())?;
    Ok(builder.finish(wallet, None))
}
