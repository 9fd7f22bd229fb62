//! How a wallet is described, changed: its label and its notes. Money is no part of it, so a freeze is none either.

use std::sync::Arc;

use shared::{WalletId, event::EventBody};

use super::{Decision, LedgerView, NotDone, Rules, checks::open, event_builder::EventBuilder};
use crate::ledger::model::{
    answer::Refusal,
    command::Command,
    description::{Description, DescriptionChange, TooManyEntries},
    wallet::Wallet,
};

pub(super) fn update(
    command: &Command,
    ledger: &dyn LedgerView,
    rules: Rules,
    wallet_id: WalletId,
    change: &DescriptionChange,
) -> Result<Decision, NotDone> {
    let wallet = open(command, ledger, rules, wallet_id)?;
    let updated = change.applied_to(wallet.description.as_deref());
    let updated = updated.map_err(|TooManyEntries| Refusal::TooManyEntries)?;
    let mut builder = EventBuilder::of(command, wallet);
    let wallet = builder.lifted(wallet.clone())?;
    let described = wallet.description.as_deref();
    let description = Description::after(described, &updated, wallet.version.next());
    let wallet = Wallet {
        description: description.map(Arc::new),
        ..wallet
    };
    let wallet = builder.append(wallet, None, EventBody::WalletUpdated(updated))?;
    Ok(builder.finish(wallet, None))
}
