//! What is beyond a caller's reach is to that caller as if it did not exist: the same answers, word for word.
//!
//! Commands carry the reach into the ledger, whose rules look at it ([`crate::ledger::decide`]). Reads look here.

use shared::{UserId, WalletId, access::Caller, problem::Problem};

use super::{context::Api, error};
use crate::ledger::{Answer, Outcome, Wallet, model::answer::Transaction};

/// # Errors
/// As when there is no such wallet, when there is none or it is another's.
pub(super) fn wallet(
    caller: &Caller,
    id: WalletId,
    found: Option<Wallet>,
) -> Result<Wallet, Problem> {
    found
        .filter(|wallet| caller.reach.includes(&wallet.user_id))
        .ok_or_else(|| error::wallet_not_found(id))
}

/// A transaction is seen by all who have a leg in it.
pub(super) fn transaction(caller: &Caller, found: &Transaction) -> bool {
    let mut legs = found.legs.iter();
    legs.any(|leg| caller.reach.includes(&leg.user_id))
}

/// # Errors
/// When the user is none of those the caller reaches, whether or not there is one of that name.
pub(super) fn user(caller: &Caller, user: &UserId) -> Result<(), Problem> {
    if caller.reach.includes(user) {
        Ok(())
    } else {
        Err(error::user_not_found(user))
    }
}

/// An answer from before is given again only while its wallet is within reach.
///
/// # Errors
/// As when there is no such wallet.
pub(super) async fn still_reached(
    api: &Api,
    caller: &Caller,
    source: Option<WalletId>,
    outcome: &Outcome,
) -> Result<(), Problem> {
    let answer = match outcome {
        Outcome::Decided(_) => return Ok(()),
        Outcome::Replayed(answer) => answer,
    };
    if !caller.acts_for_some() {
        return Ok(());
    }
    if let Answer::Accepted(receipt) = &**answer {
        let created = receipt.wallet.clone();
        return wallet(caller, created.id, Some(created)).map(drop);
    }
    match source {
        Some(id) => wallet(caller, id, api.reader.find_wallet(id).await?).map(drop),
        None => Ok(()),
    }
}
