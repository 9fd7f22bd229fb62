//! A batch: commands that are decided together, and written together or not at all.

use std::{borrow::Cow, sync::Arc, time::Duration};

use shared::server::{metrics::Histogram, outage::Outage};
use sqlx::postgres::PgConnectOptions;
use tokio::{task::JoinHandle, time::Instant};

use crate::ledger::{
    model::answer::Outcome,
    pace::Pace,
    queue::{BATCH_BYTES_MAX, Job},
    store::{
        WriteError,
        rows::Writes,
        session::{Backend, Session, in_time},
        write_batch::write_batch,
    },
};

/// Commands that are decided but not yet on their way to the database.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) decided: Vec<(Job, Outcome)>,
    pub(super) writes: Writes,
    /// When the first of the commands was taken from the queue.
    pub(super) gathered: Option<Instant>,
}

/// A batch on its way to the database.
pub(super) struct InFlight {
    pub(super) decided: Vec<(Job, Outcome)>,
    pub(super) writes: Arc<Writes>,
    pub(super) gathered: Option<Instant>,
    commit: JoinHandle<Committed>,
}

/// Who is told how long the statement of a batch ran.
pub(super) struct Observers {
    pub(super) written: Histogram,
    pub(super) pace: Pace,
}

/// What became of a batch.
pub(super) struct Committed {
    /// When it is still sound.
    pub(super) session: Option<Session>,
    /// The one that was lost. Its server process may still be at work.
    pub(super) lost: Option<Backend>,
    pub(super) result: Result<(), WriteError>,
}

/// What a batch still takes.
#[derive(Clone, Copy)]
pub(super) struct Room {
    pub(super) commands: usize,
    bytes: usize,
}

impl Room {
    /// Beside these commands, in a batch of so many.
    pub(super) fn beside<'a>(jobs: impl Iterator<Item = &'a Job>, batch_max: usize) -> Self {
        let mut room = Self {
            commands: batch_max,
            bytes: BATCH_BYTES_MAX,
        };
        jobs.for_each(|job| room.take(job));
        room
    }

    pub(super) const fn take(&mut self, job: &Job) {
        self.commands = self.commands.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(job.bytes);
    }

    /// The last command may go over the edge: else one that is larger than a batch would never be in any.
    pub(super) const fn is_full(self) -> bool {
        self.commands == 0 || self.bytes == 0
    }
}

impl Batch {
    pub(super) fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.decided.iter().map(|(job, _)| job)
    }

    /// Adds a command and what it came to, which is stored under its key.
    pub(super) fn add(&mut self, job: Job, outcome: Outcome) {
        self.writes.add_answer(&job.command, outcome.answer());
        self.decided.push((job, outcome));
    }

    /// Sends the batch, on `session` or a new one.
    pub(super) fn launch(
        self,
        session: Option<Session>,
        database: PgConnectOptions,
        answers_ttl: Duration,
        told: Observers,
    ) -> InFlight {
        let writes = Arc::new(self.writes);
        let commit = commit(session, database, Arc::clone(&writes), answers_ttl, told);
        InFlight {
            decided: self.decided,
            writes,
            gathered: self.gathered,
            commit: tokio::spawn(commit),
        }
    }
}

impl InFlight {
    /// Waits until the batch has come back. May be dropped and called again.
    pub(super) async fn committed(&mut self) -> Committed {
        match (&mut self.commit).await {
            Ok(committed) => committed,
            // The task panicked or was cancelled; what it sent may or may not have arrived.
            Err(_) => Committed {
                session: None,
                lost: None,
                result: Err(WriteError::ConnectionLost(sqlx::Error::WorkerCrashed)),
            },
        }
    }
}

async fn commit(
    session: Option<Session>,
    database: PgConnectOptions,
    writes: Arc<Writes>,
    answers_ttl: Duration,
    Observers {
        written: took,
        pace,
    }: Observers,
) -> Committed {
    let mut session = match session {
        Some(session) => session,
        None => match Session::open(&database).await {
            Ok(session) => session,
            Err(error) => {
                return Committed {
                    session: None,
                    lost: None,
                    result: Err(WriteError::Unreachable(error)),
                };
            }
        },
    };
    let sent = Instant::now();
    let written = in_time(write_batch(&mut session.connection, &writes, answers_ttl));
    let result = written.await.map_err(WriteError::from);
    took.observe(sent.elapsed());
    if result.is_ok() {
        pace.wrote(sent.elapsed());
    }
    let lost = matches!(result, Err(WriteError::ConnectionLost(_))).then(|| session.backend());
    Committed {
        session: lost.is_none().then_some(session),
        lost,
        result,
    }
}

/// While batches do not go through, that is told once for each reason, and told when they do again. Batches that fail and
/// batches that do not come mixed when one connection of several is lost.
pub(super) static WRITING: Outage = Outage::over_after(
    Cow::Borrowed("the ledger cannot write to Postgres"),
    Duration::from_secs(1),
);

/// Says what went wrong, with its cause. What other writers do is nothing wrong, and what they lock is told once for as
/// long as it is locked ([`super::blocked`]). A function, because the error must not live across an await.
pub(super) fn log_failure(error: &WriteError, commands: usize, message: &str) {
    let cause = error as &dyn std::error::Error;
    match error {
        WriteError::Conflict(_) | WriteError::KeyUsed(_) | WriteError::Locked(_) => {
            tracing::debug!(error = cause, commands, "{message}");
        }
        WriteError::ConnectionLost(_)
        | WriteError::Unreachable(_)
        | WriteError::NotNow(_)
        | WriteError::Refused(_) => {
            WRITING.failed(error);
            tracing::debug!(error = cause, commands, "{message}");
        }
    }
}
