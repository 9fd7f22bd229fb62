//! What a person decides on a quarantined message, or on one that waits: decide it once more, or do without it.

use std::collections::HashSet;

use shared::Timestamp;
use sqlx::PgConnection;

use super::session::Session;
use crate::{
    ingest::{
        applied::Applied,
        apply::Decisions,
        batch::{self, BatchError},
        message::Message,
        store::{self, Resolution, Settled},
    },
    progress::Progress,
};

/// What is to become of a message, by whose word and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    pub id: i64,
    pub verdict: Verdict,
    pub reason: String,
    pub actor: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Decide its bytes once more, by the same rule.
    Replay,
    /// Nothing is missing without it.
    Discard,
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    Discarded,
    Applied,
    /// The same event stands in history.
    Duplicate,
    /// An event before it is missing.
    Parked,
    /// This build does not know its kind or version.
    Waiting,
    /// As before. It stays open.
    Refused {
        reason: &'static str,
        detail: String,
    },
}

impl Outcome {
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Discarded => "discarded",
            Self::Applied => "applied",
            Self::Duplicate => "duplicate",
            Self::Parked => "parked",
            Self::Waiting => "waiting",
            Self::Refused { .. } => "refused",
        }
    }

    const fn refused_for(&self) -> Option<&'static str> {
        match self {
            Self::Refused { reason, .. } => Some(reason),
            Self::Discarded | Self::Applied | Self::Duplicate | Self::Parked | Self::Waiting => {
                None
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    #[error("no message {0} is in the quarantine")]
    NotFound(i64),
    #[error("message {id} was {resolution} by {actor} at {resolved_at}: {reason}")]
    AlreadyResolved {
        id: i64,
        resolution: Settled,
        reason: String,
        actor: String,
        resolved_at: Timestamp,
    },
    #[error("other decisions are being carried out")]
    Busy,
    #[error("the quarantine cannot be settled now")]
    Database(#[from] BatchError),
}

const ATTEMPTS: u32 = 5;

/// What a transaction found.
enum Found {
    Nothing,
    Resolved(Resolution),
    Done(Outcome, Option<Box<Decisions>>),
}

/// Discards in one statement, of these decisions, those that are to discard what is open. Gives their ids; what it does
/// not give is settled one by one, which tells why.
///
/// # Errors
/// When the database does not say that it is done: each is looked at by itself then.
pub(super) async fn discard_together(
    session: &mut Session,
    decisions: &[Decision],
) -> Result<HashSet<i64>, BatchError> {
    let Some(Decision { reason, actor, .. }) = decisions.first() else {
        return Ok(HashSet::new());
    };
    let same = |decision: &&Decision| {
        decision.verdict == Verdict::Discard
            && (&decision.reason, &decision.actor) == (reason, actor)
    };
    let ids: Vec<i64> = decisions.iter().filter(same).map(|it| it.id).collect();
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let discarded = session
        .transaction(async |connection| {
            Ok(store::discard_open(connection, &ids, reason, actor).await?)
        })
        .await?;
    if let (Some(first), Some(last)) = (discarded.iter().min(), discarded.iter().max()) {
        let messages = discarded.len();
        tracing::info!(
            messages,
            first,
            last,
            actor,
            reason,
            "quarantined messages were discarded"
        );
    }
    Ok(discarded.into_iter().collect())
}

pub(super) async fn resolve(
    session: &mut Session,
    decision: &Decision,
    progress: &Progress,
) -> Result<Outcome, ResolveError> {
    let id = decision.id;
    let mut attempt = 1;
    let found = loop {
        let found = session
            .transaction(async |connection| in_transaction(connection, decision).await)
            .await;
        match found {
            // The stream took the number at the same moment: decided again, it comes out as a duplicate.
            Err(BatchError::HeadsMoved) if attempt < ATTEMPTS => attempt += 1,
            found => break found,
        }
    };
    match found {
        Ok(Found::Nothing) => Err(ResolveError::NotFound(id)),
        Ok(Found::Resolved(resolution)) => {
            let Resolution {
                resolution,
                reason,
                actor,
                resolved_at,
            } = resolution;
            Err(ResolveError::AlreadyResolved {
                id,
                resolution,
                reason,
                actor,
                resolved_at,
            })
        }
        Ok(Found::Done(outcome, decisions)) => {
            tracing::info!(
                id,
                outcome = outcome.as_str(),
                refused_for = outcome.refused_for(),
                actor = decision.actor,
                reason = decision.reason,
                "a quarantined message was decided on"
            );
            if let Some(decisions) = decisions {
                Applied::of(&decisions).report(progress);
            }
            Ok(outcome)
        }
        // Alone, so it is the message itself that the database refuses.
        Err(BatchError::Unstorable(error)) => Ok(Outcome::Refused {
            reason: "not_storable",
            detail: error.to_string(),
        }),
        Err(error) => Err(error.into()),
    }
}

async fn in_transaction(
    connection: &mut PgConnection,
    decision: &Decision,
) -> Result<Found, BatchError> {
    let id = decision.id;
    let (message, waits) = match store::lock_quarantined(connection, id).await? {
        Some(message) => (message, false),
        None => match store::lock_waiting(connection, id).await? {
            Some(message) => (message, true),
            None => return Ok(Found::Nothing),
        },
    };
    if let Some(resolution) = store::resolution_of(connection, id).await? {
        return Ok(Found::Resolved(resolution));
    }
    let (reason, actor) = (&decision.reason, &decision.actor);
    if decision.verdict == Verdict::Discard {
        if waits {
            store::discard_waiting(connection, id).await?;
        }
        store::resolve(connection, id, Settled::Discarded, reason, actor).await?;
        return Ok(Found::Done(Outcome::Discarded, None));
    }
    // Away first: what still waits is written again, under its content.
    if waits {
        if message
            .decode()
            .is_err_and(|refusal| refusal.reason.waits())
        {
            return Ok(Found::Done(Outcome::Waiting, None));
        }
        store::remove_waiting(connection, &[id]).await?;
    }
    let mut decisions = batch::decide_again(connection, std::slice::from_ref(&message)).await?;
    let outcome = outcome_of(&message, &decisions);
    if !waits {
        // It was there before: that it stays is no news.
        decisions
            .refused
            .retain(|refused| *refused.message != *message);
    }
    if !waits && !matches!(outcome, Outcome::Refused { .. }) {
        store::resolve(connection, id, Settled::Replayed, reason, actor).await?;
    }
    Ok(Found::Done(outcome, Some(Box::new(decisions))))
}

/// What became of the one message that was decided.
fn outcome_of(message: &Message, decisions: &Decisions) -> Outcome {
    if let Some(refused) = decisions
        .refused
        .iter()
        .find(|refused| *refused.message == *message)
    {
        let refusal = &refused.refusal;
        return Outcome::Refused {
            reason: refusal.reason.as_str(),
            detail: refusal.detail.clone(),
        };
    }
    if !decisions.unknown.is_empty() {
        return Outcome::Waiting;
    }
    if decisions
        .parked
        .iter()
        .any(|parked| *parked.message == *message)
    {
        return Outcome::Parked;
    }
    let event = message.decode().ok();
    let is_applied = event.is_some_and(|event| decisions.events.contains(&event));
    if is_applied {
        Outcome::Applied
    } else {
        Outcome::Duplicate
    }
}
