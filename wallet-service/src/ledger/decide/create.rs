//! A new wallet: nothing can object to it.

use shared::{Currency, UserId};

use super::{Decision, event_builder::EventBuilder};
use crate::ledger::model::{command::Command, wallet::Wallet};

pub(super) fn create(command: &Command, user_id: &UserId, currency: Currency) -> Decision {
    let (id, now) = (command.new_wallet_id(), command.received_at);
    let mut builder = EventBuilder::new(command);
    let wallet = builder.create(Wallet::before_first_event(
        id,
        user_id.clone(),
        currency,
        now,
    ));
    builder.finish(wallet, None)
}
