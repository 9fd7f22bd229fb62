//! A new wallet: nothing can object to it but that its user is beyond the caller's reach.

use super::{Decision, NotDone, event_builder::EventBuilder};
use crate::ledger::model::{
    answer::Refusal,
    command::Command,
    wallet::{NewWallet, Wallet},
};

pub(super) fn create(command: &Command, new: &NewWallet) -> Result<Decision, NotDone> {
    if !command.caller.reach.includes(&new.user_id) {
        let user_id = new.user_id.clone();
        return Err(Refusal::UserNotFound { user_id }.into());
    }
    let (id, now) = (command.new_wallet_id(), command.received_at);
    let mut builder = EventBuilder::new(command, &new.user_id);
    let wallet = builder.create(Wallet::before_first_event(id, new.clone(), now))?;
    Ok(builder.finish(wallet, None))
}
