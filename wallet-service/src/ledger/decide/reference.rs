//! References: one transaction at most has a caller's own id, and who asks for the same again hears how it was done.

use super::{LedgerView, NotDone};
use crate::ledger::model::{
    answer::{Referenced, Refusal},
    command::Command,
};

/// Whether the same was not done before under the command's reference. What may be said against it may have come since, so
/// this comes first.
pub(super) fn is_not_done_yet(command: &Command, ledger: &dyn LedgerView) -> Result<(), NotDone> {
    match first(command, ledger) {
        Some(first) if first.intent == command.intent.fingerprint() => {
            Err(NotDone::DoneBefore(first.receipt.clone()))
        }
        Some(_) | None => Ok(()),
    }
}

/// Whether no transaction has the command's reference.
pub(super) fn is_reference_new(command: &Command, ledger: &dyn LedgerView) -> Result<(), Refusal> {
    match first(command, ledger) {
        Some(Referenced { transaction_id, .. }) => Err(Refusal::ReferenceReused {
            transaction_id: *transaction_id,
        }),
        None => Ok(()),
    }
}

fn first<'ledger>(
    command: &Command,
    ledger: &'ledger dyn LedgerView,
) -> Option<&'ledger Referenced> {
    ledger.referenced(command, command.reference()?)
}
