//! A new wallet: nothing can object to it.

use super::{Decision, event_builder::EventBuilder};
use crate::ledger::model::{
    command::Command,
    wallet::{NewWallet, Wallet},
};

pub(super) fn create(command: &Command, new: &NewWallet) -> Decision {
    let (id, now) = (command.new_wallet_id(), command.received_at);
    let mut builder = EventBuilder::new(command);
    let wallet = builder.create(Wallet::before_first_event(id, new.clone(), now));
    builder.finish(wallet, None)
}
