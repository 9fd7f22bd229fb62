//! A new wallet: nothing can object to it but that its user is beyond the caller's reach, or that another wallet has its
//! name. A user's main wallet is made once; after that it is there, and is answered as it is.

use shared::{Currency, UserId};

use super::{Decision, LedgerView, NotDone, event_builder::EventBuilder};
use crate::ledger::model::{
    answer::Refusal,
    command::Command,
    description::main_wallet_id,
    wallet::{NewWallet, Wallet, WalletCurrency},
};

pub(super) fn create(
    command: &Command,
    ledger: &dyn LedgerView,
    new: &NewWallet,
) -> Result<Decision, NotDone> {
    reaches(command, &new.user_id)?;
    is_name_new(command, ledger, new)?;
    let (id, now) = (command.new_wallet_id(), command.received_at);
    made(command, Wallet::before_first_event(id, new.clone(), now))
}

pub(super) fn main_wallet(
    command: &Command,
    ledger: &dyn LedgerView,
    user_id: &UserId,
    currency: Currency,
) -> Result<Decision, NotDone> {
    reaches(command, user_id)?;
    let id = main_wallet_id(user_id, currency);
    if let Some(wallet) = ledger.wallet(id) {
        return Ok(Decision::of_nothing(wallet.clone()));
    }
    let new = NewWallet::new(user_id.clone(), WalletCurrency::Named(currency));
    made(
        command,
        Wallet::before_first_event(id, new, command.received_at),
    )
}

fn reaches(command: &Command, user_id: &UserId) -> Result<(), Refusal> {
    if command.caller.reach.includes(user_id) {
        return Ok(());
    }
    let user_id = user_id.clone();
    Err(Refusal::UserNotFound { user_id })
}

/// Whether the caller calls no other wallet so.
fn is_name_new(command: &Command, ledger: &dyn LedgerView, new: &NewWallet) -> Result<(), Refusal> {
    let name = new.external_id.as_deref();
    match name.and_then(|name| ledger.named(command, name)) {
        Some(wallet_id) => Err(Refusal::ExternalIdExists { wallet_id }),
        None => Ok(()),
    }
}

fn made(command: &Command, before_first_event: Wallet) -> Result<Decision, NotDone> {
    let mut builder = EventBuilder::new(command, &before_first_event.user_id);
    let wallet = builder.create(before_first_event)?;
    Ok(builder.finish(wallet, None))
}
