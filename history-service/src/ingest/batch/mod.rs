//! One batch of messages, one transaction: offsets, rows and heads together or not at all.
//!
//! The phases are in this order for a reason. The offsets move first: their compare-and-set is what finds out that
//! another consumer has the partition, before anything is read that it may have changed. Everything is decided before
//! anything is written, and an event's number is taken once: a decision on a head that has moved clashes.

mod decide;
mod rest;

use std::{collections::HashMap, sync::Arc};

use shared::{
    Sequence, Timestamp, WalletId,
    event::WalletEvent,
    server::postgres_error::{PostgresErrorClass, constraint_hint},
};
use sqlx::{Connection, PgConnection};

use super::{
    applied::Applied,
    apply::Decisions,
    heads::HeadCache,
    message::{Message, Reason, Refused},
    store::{self, Advance, Ids, Replaced, SetAside, reports::SHARD_OF_THE_REST},
};

pub(super) use self::rest::set_rest_aside;

/// Why a batch was rolled back.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// The offsets are not where this consumer left them: it is a zombie, or a commit whose answer was lost went
    /// through. The database is right, and this consumer has to ask it where to go on.
    #[error("the offsets in the database are not the expected ones")]
    Overtaken,
    /// The number of an event was taken meanwhile: by another consumer, or by a refill of that wallet. Decided again, on
    /// the heads as they are now, it comes out right. So it does where an id was taken, whose sequence is moved on then.
    #[error("a wallet has moved since its head was read")]
    HeadsMoved,
    /// The database will never take this: a value it cannot hold, or a constraint.
    #[error("the database refuses what the batch says")]
    Unstorable(#[source] sqlx::Error),
    /// Everything that may pass: connection, timeout, deadlock, shutdown.
    #[error("the database is not available")]
    Unavailable(#[from] sqlx::Error),
}

/// Projects a batch; thin owner of the transaction. The caller runs it to its end on a connection of its own, and drops
/// that connection after an error. `heads` is empty after an error, and when this is dropped on the way.
pub async fn apply(
    connection: &mut PgConnection,
    heads: &mut HeadCache,
    topic: &str,
    messages: &[Arc<Message>],
    steps: &[Advance],
) -> Result<Applied, BatchError> {
    in_transaction(connection, heads, topic, steps, Work::Batch(messages)).await
}

/// Sets a message aside that the database refused, alone and again.
pub async fn set_aside(
    connection: &mut PgConnection,
    heads: &mut HeadCache,
    topic: &str,
    message: &Arc<Message>,
    detail: String,
    steps: &[Advance],
) -> Result<Applied, BatchError> {
    let work = Work::SetAside(message, detail);
    in_transaction(connection, heads, topic, steps, work).await
}

/// Projects a message alone, after the database refused it together with others. What is parked behind it is left to the
/// sweep: the refusal may have been of that.
pub async fn apply_alone(
    connection: &mut PgConnection,
    heads: &mut HeadCache,
    topic: &str,
    message: &Arc<Message>,
    steps: &[Advance],
) -> Result<Applied, BatchError> {
    in_transaction(connection, heads, topic, steps, Work::Alone(message)).await
}

/// Decides messages that do not come from Kafka now, in the caller's transaction, on heads that are read.
pub(super) async fn decide_again(
    connection: &mut PgConnection,
    messages: &[Arc<Message>],
) -> Result<Decisions, BatchError> {
    store::share_heads(connection).await?;
    let nothing_cached = HeadCache::default();
    let decisions = decide::arrived(
        connection,
        &nothing_cached,
        messages,
        decide::ParkedBehind::TakenUp,
    )
    .await?;
    write(connection, SHARD_OF_THE_REST, &decisions)
        .await
        .map_err(judged)?;
    Ok(decisions)
}

/// Takes up what is parked behind these wallets and is due, at most `limit` events, in the caller's transaction.
pub(super) async fn take_up_parked(
    connection: &mut PgConnection,
    wallets: &[WalletId],
    limit: i64,
) -> Result<Decisions, BatchError> {
    store::share_heads(connection).await?;
    let decisions = decide::parked(connection, wallets, limit).await?;
    write(connection, SHARD_OF_THE_REST, &decisions)
        .await
        .map_err(judged)?;
    Ok(decisions)
}

/// Applies what the ledger says of wallets beside what arrives.
pub(in crate::ingest) async fn refill(
    connection: &mut PgConnection,
    messages: &[Arc<Message>],
) -> Result<Applied, BatchError> {
    let heads = &mut HeadCache::default();
    in_transaction(connection, heads, "", &[], Work::Refill(messages)).await
}

/// Sets the end of a wallet's events aside and puts the ledger's in their place, in one transaction, so that no reader
/// sees the wallet without either.
pub(in crate::ingest) async fn repair(
    connection: &mut PgConnection,
    set_aside: &SetAside,
    messages: &[Arc<Message>],
) -> Result<Applied, BatchError> {
    let heads = &mut HeadCache::default();
    let work = Work::Repair(set_aside, messages);
    in_transaction(connection, heads, "", &[], work).await
}

/// The ledger's rows of a wallet for what is missing or wrong in the middle of history's.
#[derive(Debug)]
pub(in crate::ingest) struct Mend {
    pub(in crate::ingest) wallet: WalletId,
    /// To be inserted; proved to be the ledger's.
    pub(in crate::ingest) events: Vec<WalletEvent>,
    /// What leaves for some of them.
    pub(in crate::ingest) replaced: Vec<Replaced>,
    /// The numbers under which history had other events: what these came to is counted out, and what comes in their place is
    /// counted. What is missing or damaged was counted when it was written, unless the sums were counted anew since then.
    pub(in crate::ingest) others: Vec<Sequence>,
    /// A person's word that they are of a branch that the ledger does not have: with its reason and actor, messages that did
    /// not fit it are settled.
    pub(in crate::ingest) superseded_by: Option<(String, String)>,
}

/// Puts the ledger's rows in the place of history's, in one transaction.
pub(in crate::ingest) async fn mend(
    connection: &mut PgConnection,
    mend: &Mend,
) -> Result<(), BatchError> {
    let mut transaction = connection.begin().await?;
    match mend_in_order(&mut transaction, mend).await {
        Ok(()) => transaction.commit().await.map_err(judged),
        Err(error) => {
            transaction.rollback().await?;
            Err(error)
        }
    }
}

/// Settles all quarantined messages of a repaired wallet that did not fit: those that say what stands now have come to pass,
/// and the others are of a branch that the ledger does not have.
async fn settle_misfits(
    connection: &mut PgConnection,
    wallet: WalletId,
    (reason, actor): (&str, &str),
) -> Result<(), BatchError> {
    settle_what_stands(connection, wallet).await?;
    Ok(store::supersede(connection, wallet, reason, actor).await?)
}

/// Settles quarantined messages of a wallet that did not fit when they came, and say what stands in history now.
pub(in crate::ingest) async fn settle_what_stands(
    connection: &mut PgConnection,
    wallet: WalletId,
) -> Result<(), BatchError> {
    let misfits = store::open_misfits(connection, wallet).await?;
    let events = Vec::from_iter(misfits.iter().filter_map(|(id, message)| {
        let event = message.decode().ok()?;
        Some((*id, (event.wallet_id, event.sequence), event.hash))
    }));
    if events.is_empty() {
        return Ok(());
    }
    let numbers = Vec::from_iter(events.iter().map(|(_, number, _)| *number));
    let stored = store::stored_hashes(connection, &numbers).await?;
    let standing = events
        .iter()
        .filter(|(_, number, hash)| stored.get(number) == Some(hash));
    let ids = Vec::from_iter(standing.map(|(id, ..)| *id));
    Ok(store::settle_standing(connection, &ids).await?)
}

async fn mend_in_order(connection: &mut PgConnection, mend: &Mend) -> Result<(), BatchError> {
    if mend.replaced.is_empty() {
        store::share_heads(connection).await?;
    } else {
        // What another instance remembers of the wallet's end may be of a row that goes.
        store::own_heads(connection).await?;
    }
    store::reports::take_out(connection, mend.wallet, &mend.others).await?;
    for replaced in &mend.replaced {
        let leaving = store::set_rows_aside(connection, replaced).await;
        leaving.map_err(judged)?;
    }
    let inserted = store::insert_events(connection, &mend.events).await;
    inserted.map_err(judged)?;
    let counted = mend.events.iter();
    let counted = counted.filter(|event| mend.others.contains(&event.sequence));
    store::reports::count(connection, SHARD_OF_THE_REST, counted).await?;
    if let Some((reason, actor)) = &mend.superseded_by {
        settle_misfits(connection, mend.wallet, (reason, actor)).await?;
    }
    Ok(store::recounts::ask(connection).await?)
}

/// What was parked of a wallet before a moment, and lies beyond the ledger's last event.
#[derive(Clone, Copy, Debug)]
pub(in crate::ingest) struct Strays {
    pub(in crate::ingest) wallet: WalletId,
    pub(in crate::ingest) last: Sequence,
    pub(in crate::ingest) before: Timestamp,
}

/// Moves strays to the quarantine.
pub(in crate::ingest) async fn refuse_strays(
    connection: &mut PgConnection,
    strays: Strays,
) -> Result<Applied, BatchError> {
    let heads = &mut HeadCache::default();
    in_transaction(connection, heads, "", &[], Work::Strays(strays)).await
}

enum Work<'a> {
    Batch(&'a [Arc<Message>]),
    Alone(&'a Arc<Message>),
    SetAside(&'a Arc<Message>, String),
    Refill(&'a [Arc<Message>]),
    Repair(&'a SetAside, &'a [Arc<Message>]),
    Strays(Strays),
}

async fn in_transaction(
    connection: &mut PgConnection,
    heads: &mut HeadCache,
    topic: &str,
    steps: &[Advance],
    work: Work<'_>,
) -> Result<Applied, BatchError> {
    // They come back when the commit is known to have happened, and only then.
    let mut cached = std::mem::take(heads);
    let mut transaction = connection.begin().await?;
    match in_order(&mut transaction, &mut cached, topic, steps, work).await {
        Ok(decisions) => {
            transaction.commit().await.map_err(judged)?;
            let applied = Applied::of(&decisions);
            let applied = applied.with_written(decisions.events, decisions.recorded_at);
            for (wallet, advanced) in decisions.heads {
                cached.insert(wallet, advanced.to);
            }
            *heads = cached;
            Ok(applied)
        }
        Err(error) => {
            transaction.rollback().await?;
            Err(past_taken_ids(connection, error).await)
        }
    }
}

async fn in_order(
    connection: &mut PgConnection,
    cached: &mut HeadCache,
    topic: &str,
    steps: &[Advance],
    work: Work<'_>,
) -> Result<Decisions, BatchError> {
    let repaired = if let Work::Repair(set_aside, _) = &work {
        Some(*set_aside)
    } else {
        None
    };
    // 1. Fence. Nobody sets events aside from here to the commit, so no head goes back.
    let mut gone = 0;
    let mut recorded_at = None;
    if let Some(set_aside) = repaired {
        store::own_heads(connection).await?;
        store::reports::take_out_above(connection, set_aside).await?;
        gone = store::set_events_aside(connection, set_aside).await?;
    } else if steps.is_empty() {
        store::share_heads(connection).await?;
    } else {
        let moved = store::advance_offsets(connection, topic, steps).await?;
        if moved.len() != steps.len() {
            return Err(BatchError::Overtaken);
        }
        cached.forget_what_was_set_aside(&moved);
        recorded_at = moved.first().map(|moved| moved.at);
    }
    // 2. Read and decide.
    let mut decisions = match work {
        Work::Batch(messages) => {
            let behind = decide::ParkedBehind::TakenUp;
            decide::arrived(connection, cached, messages, behind).await?
        }
        Work::Alone(message) => {
            let (alone, behind) = (std::slice::from_ref(message), decide::ParkedBehind::Left);
            decide::arrived(connection, cached, alone, behind).await?
        }
        Work::SetAside(message, detail) => decide::set_aside(message, detail),
        Work::Refill(messages) => decide::from_ledger(connection, messages).await?,
        Work::Repair(_, messages) => {
            let decisions = decide::from_ledger(connection, messages).await?;
            // The wallet moved since it was compared.
            if !decisions.contradicted.is_empty() {
                return Err(BatchError::HeadsMoved);
            }
            decisions
        }
        Work::Strays(strays) => decide::strays(connection, &strays).await?,
    };
    decisions.set_aside = usize::try_from(gone).unwrap_or(usize::MAX);
    decisions.recorded_at = recorded_at;
    // 3. Write.
    let is_from_ledger = steps.is_empty() && !decisions.events.is_empty();
    let partitions = steps.iter().map(|step| step.partition);
    let shard = partitions.min().unwrap_or(SHARD_OF_THE_REST);
    write(connection, shard, &decisions).await.map_err(judged)?;
    if let Some(repaired) = repaired {
        let word = (repaired.reason.as_str(), repaired.actor.as_str());
        settle_misfits(connection, repaired.wallet, word).await?;
    }
    if is_from_ledger || gone > 0 {
        store::recounts::ask(connection).await?;
    }
    Ok(decisions)
}

async fn write(
    connection: &mut PgConnection,
    shard: i32,
    decisions: &Decisions,
) -> sqlx::Result<()> {
    if !decisions.unknown.is_empty() {
        store::wait(connection, &decisions.unknown).await?;
    }
    let mut are_all_new = true;
    if !decisions.events.is_empty() {
        store::insert_events(connection, &decisions.events).await?;
        let new = new_events(connection, shard, decisions).await?;
        are_all_new = new.len() == decisions.events.len();
        store::reports::count(connection, shard, new.into_iter()).await?;
    }
    let born = decisions
        .heads
        .iter()
        .filter(|(_, advanced)| advanced.from == Sequence::ZERO);
    let born = Vec::from_iter(born.map(|(wallet, advanced)| (wallet, &advanced.to)));
    if !born.is_empty() {
        store::insert_wallets(connection, &born).await?;
    }
    if !decisions.unparked.is_empty() {
        store::unpark(connection, &decisions.unparked).await?;
    }
    if !decisions.parked.is_empty() {
        store::park(connection, &decisions.parked).await?;
    }
    if !decisions.refused.is_empty() {
        store::quarantine(connection, &decisions.refused).await?;
    }
    let mut in_doubt = wallets_in_doubt(&decisions.refused);
    in_doubt.extend(&decisions.damaged);
    if !in_doubt.is_empty() {
        store::refills::ask_about_conflicts(connection, &in_doubt).await?;
    }
    if !are_all_new {
        store::recounts::ask(connection).await?;
    }
    Ok(())
}

/// Without the events that were counted when they were written first: what fills a hole, and what was proved and is missing.
async fn new_events<'a>(
    connection: &mut PgConnection,
    shard: i32,
    decisions: &'a Decisions,
) -> sqlx::Result<Vec<&'a WalletEvent>> {
    let is_new = |event: &&WalletEvent| {
        let advanced = decisions.heads.get(&event.wallet_id);
        advanced.is_some_and(|advanced| event.sequence > advanced.from)
    };
    let new = decisions.events.iter().filter(is_new);
    let mut proved = HashMap::new();
    if shard == SHARD_OF_THE_REST {
        let wallets = Vec::from_iter(decisions.heads.keys().copied());
        for checkpoint in store::proofs::checkpoints(connection, &wallets).await? {
            proved.insert(checkpoint.wallet_id, checkpoint.sequence);
        }
    }
    let new = new.filter(|event| {
        let proved = proved.get(&event.wallet_id);
        proved.is_none_or(|proved| event.sequence > *proved)
    });
    Ok(new.collect())
}

/// The wallets of which something came that contradicts what is stored: the ledger knows which of the two is true.
fn wallets_in_doubt(refused: &[Refused]) -> Vec<WalletId> {
    let contradicts = |refused: &&Refused| {
        matches!(
            refused.refusal.reason,
            Reason::ConflictingEvent | Reason::ChainBroken
        )
    };
    let refused = refused.iter().filter(contradicts);
    refused
        .filter_map(|refused| refused.claim.map(|(wallet, _)| wallet))
        .collect()
}

/// What came of a transaction that was rolled back, with the sequence moved on if it had given an id that a row has.
pub(super) async fn past_taken_ids(connection: &mut PgConnection, error: BatchError) -> BatchError {
    let ids = match &error {
        BatchError::Unstorable(refused) => Ids::taken(refused),
        BatchError::Overtaken | BatchError::HeadsMoved | BatchError::Unavailable(_) => None,
    };
    match ids {
        None => error,
        Some(ids) => match ids.move_on(connection).await {
            Ok(()) => BatchError::HeadsMoved,
            Err(error) => BatchError::Unavailable(error),
        },
    }
}

/// Tells a refusal of the values apart from everything that may pass. A duplicate says that another writer has given the
/// number of an event away, unless it is known to be of another key.
pub(super) fn judged(error: sqlx::Error) -> BatchError {
    match PostgresErrorClass::of(&error) {
        PostgresErrorClass::Duplicate
            if constraint_hint(&error).is_none_or(|constraint| constraint == "events_pkey") =>
        {
            BatchError::HeadsMoved
        }
        PostgresErrorClass::Duplicate | PostgresErrorClass::RefusedValue => {
            BatchError::Unstorable(error)
        }
        PostgresErrorClass::ConnectionLost
        | PostgresErrorClass::Denied
        | PostgresErrorClass::TimedOut
        | PostgresErrorClass::Contention
        | PostgresErrorClass::OutOfResources
        | PostgresErrorClass::ReadOnly
        // A statement that is wrong is nothing that setting a message aside would mend.
        | PostgresErrorClass::Defect => BatchError::Unavailable(error),
    }
}

#[cfg(test)]
mod tests;
