//! One batch of messages, one transaction: offsets, rows and heads together or not at all.
//!
//! The phases are in this order for a reason. The offsets move first: their compare-and-set is what finds out that
//! another consumer has the partition, before anything is read that it may have changed. Everything is decided before
//! anything is written, and an event's number is taken once: a decision on a head that has moved clashes.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use shared::{
    Sequence, WalletId,
    server::postgres_error::{PostgresErrorClass, constraint_hint},
};
use sqlx::{Connection, PgConnection};

use super::{
    applied::Applied,
    apply::{Candidate, Decisions, Known, Origin, WalletProjector},
    heads::KeptHeads,
    message::{Message, Reason, Refusal, Refused},
    store::{self, Advance},
};

/// Why a batch was rolled back.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// The offsets are not where this consumer left them: it is a zombie, or a commit whose answer was lost went
    /// through. Or a head is not, because two consumers had messages of one wallet. Either way the database is right, and
    /// this consumer has to ask it where to go on.
    #[error("the offsets or heads in the database are not the expected ones")]
    Overtaken,
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
    heads: &mut KeptHeads,
    topic: &str,
    messages: &[Arc<Message>],
    steps: &[Advance],
) -> Result<Applied, BatchError> {
    in_transaction(connection, heads, topic, steps, Work::Batch(messages)).await
}

/// Sets a message aside that the database refused, alone and again.
pub async fn set_aside(
    connection: &mut PgConnection,
    heads: &mut KeptHeads,
    topic: &str,
    message: &Arc<Message>,
    detail: String,
    steps: &[Advance],
) -> Result<Applied, BatchError> {
    let work = Work::SetAside(message, detail);
    in_transaction(connection, heads, topic, steps, work).await
}

/// Takes up what is parked although its predecessor is there. Nothing happens, usually.
pub async fn apply_due_parked(
    connection: &mut PgConnection,
    heads: &mut KeptHeads,
) -> Result<Applied, BatchError> {
    let wallets = store::wallets_with_due_parked(connection).await?;
    if wallets.is_empty() {
        return Ok(Applied::default());
    }
    in_transaction(connection, heads, "", &[], Work::Parked(wallets)).await
}

enum Work<'a> {
    Batch(&'a [Arc<Message>]),
    SetAside(&'a Arc<Message>, String),
    Parked(Vec<WalletId>),
}

async fn in_transaction(
    connection: &mut PgConnection,
    heads: &mut KeptHeads,
    topic: &str,
    steps: &[Advance],
    work: Work<'_>,
) -> Result<Applied, BatchError> {
    // They come back when the commit is known to have happened, and only then.
    let mut kept = std::mem::take(heads);
    let mut transaction = connection.begin().await?;
    match in_order(&mut transaction, &kept, topic, steps, work).await {
        Ok(decisions) => {
            transaction.commit().await.map_err(judged)?;
            let applied = Applied::of(&decisions);
            for (wallet, advanced) in decisions.heads {
                kept.keep(wallet, advanced.to);
            }
            *heads = kept;
            Ok(applied)
        }
        Err(error) => {
            transaction.rollback().await?;
            Err(error)
        }
    }
}

async fn in_order(
    connection: &mut PgConnection,
    kept: &KeptHeads,
    topic: &str,
    steps: &[Advance],
    work: Work<'_>,
) -> Result<Decisions, BatchError> {
    // 1. Fence.
    if !steps.is_empty() {
        let moved = store::advance_offsets(connection, topic, steps).await?;
        if usize::try_from(moved) != Ok(steps.len()) {
            return Err(BatchError::Overtaken);
        }
    }
    // 2. Read and decide.
    let decisions = match work {
        Work::Batch(messages) => decide_batch(connection, kept, messages).await?,
        Work::Parked(wallets) => decide_parked(connection, &wallets).await?,
        Work::SetAside(message, detail) => Decisions {
            refused: vec![refused_by_database(message, detail)],
            ..Decisions::default()
        },
    };
    // 3. Write.
    write(connection, &decisions).await.map_err(judged)?;
    Ok(decisions)
}

async fn decide_batch(
    connection: &mut PgConnection,
    kept: &KeptHeads,
    messages: &[Arc<Message>],
) -> sqlx::Result<Decisions> {
    let (candidates, poison) = read_messages(messages);
    let mut heads = kept.carried_on_by(&candidates);
    let unknown: BTreeSet<WalletId> = candidates
        .iter()
        .map(|candidate| candidate.event.wallet_id)
        .filter(|wallet| !heads.contains_key(wallet))
        .collect();
    if !unknown.is_empty() {
        heads.extend(store::read_heads(connection, &Vec::from_iter(unknown)).await?);
    }
    let again: Vec<(WalletId, Sequence)> = candidates
        .iter()
        .map(|candidate| (candidate.event.wallet_id, candidate.event.sequence))
        .filter(|(wallet, sequence)| {
            heads
                .get(wallet)
                .is_some_and(|head| *sequence <= head.last_sequence)
        })
        .collect();
    let hashes = if again.is_empty() {
        HashMap::new()
    } else {
        store::stored_hashes(connection, &again).await?
    };
    let mut projector = WalletProjector::new(Known { heads, hashes });
    projector.offer(candidates);
    let due: Vec<(WalletId, Sequence)> = projector.applied_sequences().collect();
    let mut decisions = with_parked(connection, projector, &due).await?;
    decisions.refused.extend(poison);
    Ok(decisions)
}

async fn decide_parked(
    connection: &mut PgConnection,
    wallets: &[WalletId],
) -> sqlx::Result<Decisions> {
    let heads = store::read_heads(connection, wallets).await?;
    let due: Vec<(WalletId, Sequence)> = heads
        .iter()
        .map(|(wallet, head)| (*wallet, head.last_sequence))
        .collect();
    let projector = WalletProjector::new(Known {
        heads,
        ..Known::default()
    });
    with_parked(connection, projector, &due).await
}

/// Adds what was parked behind the wallets that advanced, and decides the rest.
async fn with_parked(
    connection: &mut PgConnection,
    mut projector: WalletProjector,
    due: &[(WalletId, Sequence)],
) -> sqlx::Result<Decisions> {
    let parked = if due.is_empty() {
        Vec::new()
    } else {
        store::parked_behind(connection, due).await?
    };
    let mut unreadable = Vec::new();
    let mut candidates = Vec::with_capacity(parked.len());
    for parked in parked {
        let number = (parked.wallet_id, parked.sequence);
        projector.learn(parked.stored_hash.map(|hash| (number, hash)));
        match parked.message.decode() {
            Ok(event) => candidates.push(Candidate {
                event,
                message: parked.message,
                origin: Origin::Parked,
            }),
            // It could be read when it was parked, so this build reads less than the one that parked it.
            Err(refusal) => unreadable.push((
                parked.hash,
                Refused {
                    message: parked.message,
                    refusal,
                    claim: Some(number),
                },
            )),
        }
    }
    projector.offer(candidates);
    let mut decisions = projector.finish();
    for (hash, refused) in unreadable {
        decisions.unparked.extend(
            refused
                .claim
                .map(|(wallet, sequence)| (wallet, sequence, hash)),
        );
        decisions.refused.push(refused);
    }
    Ok(decisions)
}

fn read_messages(messages: &[Arc<Message>]) -> (Vec<Candidate>, Vec<Refused>) {
    let mut candidates = Vec::with_capacity(messages.len());
    let mut poison = Vec::new();
    for message in messages {
        let message = Arc::clone(message);
        match message.decode() {
            Ok(event) => candidates.push(Candidate {
                event,
                message,
                origin: Origin::Kafka,
            }),
            Err(refusal) => poison.push(Refused {
                message,
                refusal,
                claim: None,
            }),
        }
    }
    (candidates, poison)
}

fn refused_by_database(message: &Arc<Message>, detail: String) -> Refused {
    let claim = message
        .decode()
        .ok()
        .map(|event| (event.wallet_id, event.sequence));
    Refused {
        message: Arc::clone(message),
        refusal: Refusal::new(Reason::NotStorable, detail),
        claim,
    }
}

async fn write(connection: &mut PgConnection, decisions: &Decisions) -> sqlx::Result<()> {
    if !decisions.events.is_empty() {
        store::insert_events(connection, &decisions.events).await?;
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
    Ok(())
}

/// Tells a refusal of the values apart from everything that may pass. A duplicate says that another writer has given the
/// number of an event away, unless it is known to be of another key.
fn judged(error: sqlx::Error) -> BatchError {
    match PostgresErrorClass::of(&error) {
        PostgresErrorClass::Duplicate
            if constraint_hint(&error).is_none_or(|constraint| constraint == "events_pkey") =>
        {
            BatchError::Overtaken
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
