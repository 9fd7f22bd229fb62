//! Wallets on which history and ledger part, because the ledger was restored to an earlier point: how far both agree, and
//! what becomes of the rest by a person's word.

use std::sync::Arc;

use shared::{Hash, Sequence, WalletId};
use sqlx::PgConnection;

use super::{
    ITSELF, PAUSE, RefillError,
    ledger::{Ledger, PAGE},
};
use crate::{
    ingest::{
        batch::{self, BatchError},
        message::Message,
        store::{
            SetAside, orders, rebuilds,
            refills::{self, Done, Refill, Stuck},
        },
    },
    progress::Progress,
};

/// Events that take the place of a dead branch in one transaction; what is beyond them comes after it.
const BRANCH_MAX: usize = 10_000;
/// The same in bytes, of which there are several times as many in memory.
const BRANCH_BYTES_MAX: usize = 12 * 1024 * 1024;

/// Notes that history and ledger part, and has all other wallets looked at.
pub(super) async fn forked(
    connection: &mut PgConnection,
    refill: &Refill,
    last: Sequence,
    version: Sequence,
    common: Sequence,
) -> Result<(), RefillError> {
    let wallet = refill.wallet_id;
    let detail = format!(
        "history and ledger agree up to event {common}; history is at {last}, the ledger at {version}"
    );
    let stuck = Stuck::Forked { common };
    if refills::mark_stuck(connection, refill, stuck, &detail).await? {
        tracing::error!(
            %wallet, %common, history = %last, ledger = %version,
            "history and ledger have other events of this wallet: was the ledger restored?"
        );
        // Others may have parted as well without anything having come of them.
        let reason = "history and ledger part on a wallet";
        if !rebuilds::is_underway(connection, reason).await? {
            orders::request_rebuild(connection, reason, ITSELF).await?;
        }
    }
    Ok(())
}

/// The ledger wins, by a person's word: what history has above `common` is set aside, the ledger's comes in its place.
pub(super) async fn repair(
    connection: &mut PgConnection,
    ledger: &Ledger,
    progress: &Progress,
    refill: &Refill,
    common: Sequence,
) -> Result<(), RefillError> {
    let wallet = refill.wallet_id;
    let (Some(reason), Some(actor)) = (refill.repair_reason.clone(), refill.repair_actor.clone())
    else {
        return Ok(());
    };
    let messages = branch(ledger, wallet, common).await?;
    let set_aside = SetAside {
        wallet,
        keep: common,
        reason,
        actor,
    };
    match batch::repair(connection, &set_aside, &messages).await {
        Ok(applied) => {
            tracing::warn!(%wallet, %common, actor = set_aside.actor, reason = set_aside.reason, "events were set aside, the ledger's are in their place");
            let done = Done {
                added: applied.events,
                set_aside: applied.set_aside,
            };
            progress.refilled(applied.events);
            applied.report(progress);
            // The word is good until the wallet is whole: what stands before the end is looked at under it as well.
            Ok(refills::go_on(connection, refill, refill.rows_checked_to, done).await?)
        }
        Err(BatchError::HeadsMoved) => Ok(refills::give_back(connection, &[wallet], PAUSE).await?),
        Err(error) => Err(error.into()),
    }
}

/// What is left of a wallet that the ledger does not know and that has no events here any more, by the same word: events
/// that are parked or wait.
pub(super) async fn set_rest_aside(
    connection: &mut PgConnection,
    refill: &Refill,
) -> Result<(), RefillError> {
    let (Some(reason), Some(actor)) = (refill.repair_reason.clone(), refill.repair_actor.clone())
    else {
        return Ok(());
    };
    let word = SetAside {
        wallet: refill.wallet_id,
        keep: Sequence::ZERO,
        reason,
        actor,
    };
    let set_aside = batch::set_rest_aside(connection, &word, refill.asked_at).await?;
    if set_aside > 0 {
        tracing::warn!(wallet = %word.wallet, events = set_aside, actor = word.actor, reason = word.reason, "events that were parked or waited were set aside: the ledger knows no such wallet");
    }
    let done = Done {
        added: 0,
        set_aside,
    };
    Ok(refills::go_on(connection, refill, refill.rows_checked_to, done).await?)
}

/// The ledger's events above a number, for those that leave: readers never see the wallet without either.
async fn branch(
    ledger: &Ledger,
    wallet: WalletId,
    above: Sequence,
) -> Result<Vec<Arc<Message>>, RefillError> {
    let (mut messages, mut above) = (Vec::new(), above);
    let mut bytes = 0;
    while messages.len() < BRANCH_MAX && bytes < BRANCH_BYTES_MAX {
        let Some(journal) = ledger.events(wallet, above).await? else {
            break;
        };
        let Some((_, last)) = journal.events.last() else {
            break;
        };
        above = last.sequence;
        let page = journal.messages();
        bytes += page.iter().map(|message| message.bytes()).sum::<usize>();
        messages.extend(page);
        if journal.unreadable.is_some() || above >= journal.version {
            break;
        }
    }
    Ok(messages)
}

/// The highest number up to `upto` under which history and ledger have the same event: looked for backwards, for forks
/// are short. None when it is not among the events that are here, and others are in an archive.
pub(super) async fn common_sequence(
    connection: &mut PgConnection,
    ledger: &Ledger,
    refill: &Refill,
    upto: Sequence,
) -> Result<Option<Sequence>, RefillError> {
    let wallet = refill.wallet_id;
    let page = i64::try_from(PAGE).unwrap_or(1);
    let archived = refill.archived_to.map_or(0, Sequence::get);
    let mut upto = upto.get();
    while upto > archived {
        let above = sequence((upto - page).max(archived));
        let Some(there) = hashes_between(ledger, wallet, (above, sequence(upto))).await? else {
            break;
        };
        let here: Vec<(Sequence, Hash)> =
            refills::hashes_from(connection, wallet, above.next(), page).await?;
        let same = there.iter().rev().find(|event| here.contains(event));
        if let Some((sequence, _)) = same {
            return Ok(Some(*sequence));
        }
        upto = above.get();
    }
    Ok(refill.archived_to.is_none().then_some(Sequence::ZERO))
}

/// The ledger's events above a number up to another, as far as it can read them; none when it does not know the wallet. A page
/// of large ones ends before that.
async fn hashes_between(
    ledger: &Ledger,
    wallet: WalletId,
    (mut above, upto): (Sequence, Sequence),
) -> Result<Option<Vec<(Sequence, Hash)>>, RefillError> {
    let mut hashes = Vec::new();
    while above < upto {
        let Some(journal) = ledger.events(wallet, above).await? else {
            return Ok(None);
        };
        let events = journal.events.iter().map(|(_, event)| event);
        let wanted = events.take_while(|event| event.sequence <= upto);
        let before = hashes.len();
        hashes.extend(wanted.map(|event| (event.sequence, event.hash)));
        match hashes.get(before..).and_then(<[_]>::last) {
            Some((last, _)) if journal.unreadable.is_none() => above = *last,
            _ => break,
        }
    }
    Ok(Some(hashes))
}

fn sequence(number: i64) -> Sequence {
    Sequence::try_from(number).unwrap_or(Sequence::ZERO)
}
