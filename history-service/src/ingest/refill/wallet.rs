//! Wallets that were asked for, brought to the ledger's state as far as that takes nothing away.

use std::{collections::BTreeMap, sync::Arc};

use futures::future::join_all;
use shared::{Sequence, WalletId};
use sqlx::PgConnection;

use super::{
    RefillError,
    claimed::Claimed,
    fork::{common_sequence, forked, repair, set_rest_aside},
    ledger::{Journal, Ledger},
    rows::{self, Found, Mended},
};
use crate::{
    ingest::{
        batch::{self, BatchError, Strays},
        message::Message,
        store::{
            drifts, proofs, rebuilds,
            refills::{self, Done, End, Refill, Stuck},
        },
    },
    progress::Progress,
};

/// How many wallets are asked for at once and applied in one transaction.
const TOGETHER: i64 = 16;

/// What the ledger's answer means for a wallet.
enum Verdict {
    /// Nothing is missing, or it is applied.
    Whole {
        version: Sequence,
    },
    /// Here is more; there may be more after it.
    More {
        messages: Vec<Arc<Message>>,
    },
    Forked {
        version: Sequence,
    },
    Unknown,
    Unreadable(String),
    Contradictory(String),
}

/// Takes up some wallets. Says whether there may be more.
pub(super) async fn some(
    connection: &mut PgConnection,
    ledger: &Ledger,
    progress: &Progress,
    claims: &mut Claimed,
) -> Result<bool, RefillError> {
    let claimed = refills::claim(connection, TOGETHER).await?;
    if claimed.is_empty() {
        return Ok(false);
    }
    let wallets: Vec<WalletId> = claimed.iter().map(|refill| refill.wallet_id).collect();
    claims.take_wallets(&wallets);
    let asked = claimed.iter().map(|refill| {
        let last = refill.last_sequence.unwrap_or(Sequence::ZERO);
        // The last event that is known here comes along, to see whether it is the ledger's.
        let above = Sequence::try_from(last.get() - 1).unwrap_or(Sequence::ZERO);
        ledger.events(refill.wallet_id, above)
    });
    let mut verdicts = Vec::with_capacity(claimed.len());
    for (refill, journal) in claimed.iter().zip(join_all(Vec::from_iter(asked)).await) {
        verdicts.push(judge(refill, journal?));
    }
    let came = apply(connection, &verdicts, progress).await?;
    for (refill, verdict) in claimed.iter().zip(verdicts) {
        settle(connection, ledger, progress, refill, verdict, &came).await?;
        claims.settled(refill.wallet_id);
    }
    Ok(true)
}

/// What came of the ledger's new events.
#[derive(Default)]
struct Came {
    reached: BTreeMap<WalletId, Sequence>,
    /// The first event of a wallet that does not follow on what is here.
    misfits: BTreeMap<WalletId, String>,
}

fn judge(refill: &Refill, journal: Option<Journal>) -> Verdict {
    let Some(mut journal) = journal else {
        return Verdict::Unknown;
    };
    if let (Some(last), Some(hash)) = (refill.last_sequence, refill.last_hash) {
        let is_same = journal
            .events
            .first()
            .is_some_and(|(_, event)| event.sequence == last && event.hash == hash);
        if is_same && journal.version < last {
            let version = journal.version;
            return Verdict::Contradictory(format!(
                "the ledger's row of this wallet is at event {version}, and its journal has event {last} as history has it"
            ));
        }
        if journal.version < last || (!is_same && !journal.events.is_empty()) {
            return Verdict::Forked {
                version: journal.version,
            };
        }
        if is_same {
            journal.events.remove(0);
        }
    }
    match (journal.unreadable.take(), journal.events.is_empty()) {
        (Some(detail), true) => Verdict::Unreadable(detail),
        (None, true) => Verdict::Whole {
            version: journal.version,
        },
        (_, false) => Verdict::More {
            messages: journal.messages(),
        },
    }
}

/// All that is new, in one transaction. If another writer was faster with one of the wallets, they are tried again with
/// what is missing by then.
async fn apply(
    connection: &mut PgConnection,
    verdicts: &[Verdict],
    progress: &Progress,
) -> Result<Came, RefillError> {
    let mut messages = Vec::new();
    for verdict in verdicts {
        if let Verdict::More { messages: more } = verdict {
            messages.extend(more.iter().cloned());
        }
    }
    let mut came = Came::default();
    if messages.is_empty() {
        return Ok(came);
    }
    match batch::refill(connection, &messages).await {
        Ok(applied) => {
            came.reached
                .extend(applied.applied_sequences.iter().copied());
            for refused in &applied.contradicted {
                if let Some((wallet, _)) = refused.claim {
                    let detail = || refused.refusal.detail.clone();
                    came.misfits.entry(wallet).or_insert_with(detail);
                }
            }
            progress.refilled(applied.events);
            applied.report(progress);
            Ok(came)
        }
        Err(BatchError::HeadsMoved) => Ok(came),
        Err(error) => Err(error.into()),
    }
}

async fn settle(
    connection: &mut PgConnection,
    ledger: &Ledger,
    progress: &Progress,
    refill: &Refill,
    verdict: Verdict,
    came: &Came,
) -> Result<(), RefillError> {
    match verdict {
        Verdict::Whole { version } => {
            if let Some(checked_to) = refill.rows_checked_to
                && !are_rows_sound(connection, ledger, progress, refill, checked_to).await?
            {
                return Ok(());
            }
            whole(connection, progress, refill, version).await
        }
        Verdict::More { .. } => more(connection, ledger, progress, refill, came).await,
        Verdict::Unreadable(detail) => unreadable(connection, refill, &detail).await,
        Verdict::Contradictory(detail) => contradictory(connection, refill, &detail).await,
        Verdict::Unknown => unknown(connection, ledger, progress, refill).await,
        Verdict::Forked { version } => {
            let last = refill.last_sequence.unwrap_or(Sequence::ZERO);
            let common = common_sequence(connection, ledger, refill, last.min(version)).await?;
            let Some(common) = common else {
                return contradictory(connection, refill, &beneath(refill)).await;
            };
            if refill.repair_reason.is_some() {
                return repair(connection, ledger, progress, refill, common).await;
            }
            // Rows that are no events are no branch: the end may be damaged, and nothing else.
            if refill.rows_checked_to.is_some() && common < last.min(version) {
                let (_, done) = rows::mend(connection, ledger, refill, common.next()).await?;
                if done.added > 0 {
                    progress.refilled(done.added);
                    return Ok(refills::go_on(connection, refill, Some(common), done).await?);
                }
            }
            forked(connection, refill, last, version, common).await
        }
    }
}

/// The ledger has no such wallet. By a person's word all that is here of it is set aside: its events, and then what is
/// parked or waits.
async fn unknown(
    connection: &mut PgConnection,
    ledger: &Ledger,
    progress: &Progress,
    refill: &Refill,
) -> Result<(), RefillError> {
    let wallet = refill.wallet_id;
    if refill.archived_to.is_some() {
        return contradictory(connection, refill, &beneath(refill)).await;
    }
    let has_events = refill.last_sequence.is_some();
    if refill.repair_reason.is_some() {
        if has_events {
            return repair(connection, ledger, progress, refill, Sequence::ZERO).await;
        }
        if refills::is_anything_left(connection, wallet).await? {
            return set_rest_aside(connection, refill).await;
        }
    } else if has_events || refills::are_events_parked(connection, wallet).await? {
        let detail = "the ledger knows no such wallet";
        if refills::mark_stuck(connection, refill, Stuck::Unknown, detail).await? {
            tracing::error!(%wallet, "events are here of a wallet that the ledger does not know");
        }
        return Ok(());
    }
    // Asked for by a wrong id, or set aside: there is nothing of it anywhere.
    forget_proof(connection, refill).await?;
    drifts::compared(connection, &[wallet], &[]).await?;
    tracing::info!(%wallet, "neither history nor the ledger knows this wallet");
    Ok(refills::finish(connection, refill, End::Unknown).await?)
}

/// What nobody can decide while events of the wallet are in an archive: where it is stays its last event.
fn beneath(refill: &Refill) -> String {
    let archived_to = refill.archived_to.unwrap_or(Sequence::ZERO);
    format!(
        "none of the events that are here is in the ledger, and those up to {archived_to} are in an archive: walletctl restore first"
    )
}

async fn unreadable(
    connection: &mut PgConnection,
    refill: &Refill,
    detail: &str,
) -> Result<(), RefillError> {
    let wallet = refill.wallet_id;
    let detail = format!("an event of the ledger cannot be read by this build: {detail}");
    if refills::mark_stuck(connection, refill, Stuck::Unreadable, &detail).await? {
        tracing::error!(%wallet, "a wallet cannot be refilled: GET /admin/projection says why");
    }
    Ok(())
}

/// Nothing is taken from history for it: what is wrong is wrong in the ledger.
async fn contradictory(
    connection: &mut PgConnection,
    refill: &Refill,
    detail: &str,
) -> Result<(), RefillError> {
    let wallet = refill.wallet_id;
    if refills::mark_stuck(connection, refill, Stuck::Contradictory, detail).await? {
        tracing::error!(%wallet, "the ledger's row of a wallet contradicts its journal: see walletctl verify");
    }
    Ok(())
}

/// New events came, or did not fit: then what they should follow on is not what it was.
async fn more(
    connection: &mut PgConnection,
    ledger: &Ledger,
    progress: &Progress,
    refill: &Refill,
    came: &Came,
) -> Result<(), RefillError> {
    let wallet = refill.wallet_id;
    if let Some(misfit) = came.misfits.get(&wallet) {
        let checked_to = refill.rows_checked_to.unwrap_or(Sequence::ZERO);
        if are_rows_sound(connection, ledger, progress, refill, checked_to).await? {
            return contradictory(connection, refill, misfit).await;
        }
        return Ok(());
    }
    let here = refill.last_sequence.unwrap_or(Sequence::ZERO);
    let reached = came.reached.get(&wallet).copied().unwrap_or(here);
    let done = Done {
        added: usize::try_from(reached.get() - here.get()).unwrap_or_default(),
        set_aside: 0,
    };
    Ok(refills::go_on(connection, refill, refill.rows_checked_to, done).await?)
}

/// Whether the rows above a number are what they should be. Where they are not, they are mended, or it is noted why they
/// cannot be; the wallet's turn is over then.
async fn are_rows_sound(
    connection: &mut PgConnection,
    ledger: &Ledger,
    progress: &Progress,
    refill: &Refill,
    checked_to: Sequence,
) -> Result<bool, RefillError> {
    let wallet = refill.wallet_id;
    let at = match rows::look(connection, wallet, checked_to).await? {
        Found::Sound => return Ok(true),
        Found::SoundUpTo(sequence) => {
            refills::go_on(connection, refill, Some(sequence), Done::default()).await?;
            return Ok(false);
        }
        Found::Broken(at) => at,
    };
    let (mended, done) = rows::mend(connection, ledger, refill, at).await?;
    progress.refilled(done.added);
    let checked_to = match mended {
        Mended::UpTo(sequence) => sequence,
        Mended::Moved => checked_to,
        Mended::Forked { .. } if done.added > 0 => checked_to,
        Mended::Forked { common, last } => {
            let here = refill.last_sequence.unwrap_or(Sequence::ZERO);
            forked(connection, refill, here, last, common).await?;
            return Ok(false);
        }
        Mended::Unreadable(detail) => {
            unreadable(connection, refill, &detail).await?;
            return Ok(false);
        }
        Mended::Contradictory(detail) => {
            contradictory(connection, refill, &detail).await?;
            return Ok(false);
        }
    };
    refills::go_on(connection, refill, Some(checked_to), done).await?;
    Ok(false)
}

/// History has what the ledger has. What was parked beyond that, before the ledger was asked, is not the ledger's; and
/// messages that did not fit and say what stands in history now are settled.
async fn whole(
    connection: &mut PgConnection,
    progress: &Progress,
    refill: &Refill,
    version: Sequence,
) -> Result<(), RefillError> {
    let strays = Strays {
        wallet: refill.wallet_id,
        last: version,
        before: refill.asked_at,
    };
    let refused = batch::refuse_strays(connection, strays).await?;
    if !refused.refused.is_empty() {
        refused.report(progress);
    }
    let mut row_mended = false;
    if refill.rows_checked_to.is_some() {
        row_mended = rebuilds::mend_wallet_rows(connection, &[refill.wallet_id]).await? > 0;
        batch::settle_what_stands(connection, refill.wallet_id).await?;
    }
    forget_proof(connection, refill).await?;
    Ok(refills::finish(connection, refill, End::Whole { row_mended }).await?)
}

/// What was proved of a wallet, and is neither here nor in the ledger, is all that tells of it: a person's word ends that.
async fn forget_proof(connection: &mut PgConnection, refill: &Refill) -> sqlx::Result<()> {
    let wallet = refill.wallet_id;
    if let Some(ordered_by) = &refill.ordered_by
        && proofs::forget_what_is_gone(connection, wallet).await?
    {
        tracing::warn!(%wallet, ordered_by, "events had been proved that are neither here nor in the ledger");
    }
    Ok(())
}
