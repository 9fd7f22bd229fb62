//! A batch: commands that are decided together, and written together or not at all.

use std::{sync::Arc, time::Duration};

use sqlx::{PgConnection, postgres::PgConnectOptions};
use tokio::task::JoinHandle;

use crate::ledger::{
    model::answer::Answer,
    queue::Job,
    store::{self, WriteError, rows::Writes, write_batch::write_batch},
};

/// A batch that takes longer than this to write is treated as a lost connection. Longer than the server's own limit.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(12);

/// Commands that are decided but not yet on their way to the database.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) decided: Vec<(Job, Answer)>,
    pub(super) writes: Writes,
}

/// A batch on its way to the database.
pub(super) struct InFlight {
    pub(super) decided: Vec<(Job, Answer)>,
    pub(super) writes: Arc<Writes>,
    commit: JoinHandle<Committed>,
}

/// The connection, when it is still sound, and what became of the batch.
pub(super) type Committed = (Option<PgConnection>, Result<(), WriteError>);

impl Batch {
    /// Sends the batch, on `connection` or a new one.
    pub(super) fn launch(
        self,
        connection: Option<PgConnection>,
        database: PgConnectOptions,
        answers_expire_at: chrono::DateTime<chrono::Utc>,
    ) -> InFlight {
        let writes = Arc::new(self.writes);
        let commit = commit(connection, database, Arc::clone(&writes), answers_expire_at);
        InFlight {
            decided: self.decided,
            writes,
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
            Err(_) => lost(sqlx::Error::WorkerCrashed),
        }
    }
}

async fn commit(
    connection: Option<PgConnection>,
    database: PgConnectOptions,
    writes: Arc<Writes>,
    answers_expire_at: chrono::DateTime<chrono::Utc>,
) -> Committed {
    let mut connection = match connection {
        Some(connection) => connection,
        None => match store::connect(&database).await {
            Ok(connection) => connection,
            Err(error) => return (None, Err(WriteError::Unreachable(error))),
        },
    };
    let written = write_batch(&mut connection, &writes, answers_expire_at);
    match tokio::time::timeout(WRITE_TIMEOUT, written).await {
        Ok(Ok(())) => (Some(connection), Ok(())),
        Ok(Err(error)) => {
            let error = WriteError::from(error);
            let sound = !matches!(error, WriteError::ConnectionLost(_));
            (sound.then_some(connection), Err(error))
        }
        Err(_) => lost(sqlx::Error::PoolTimedOut),
    }
}

fn lost(error: sqlx::Error) -> Committed {
    (None, Err(WriteError::ConnectionLost(error)))
}

/// Says what went wrong, with its cause; a replay is nothing wrong. A function, because the error must
/// not live across an await.
pub(super) fn log_failure(error: &WriteError, commands: usize, message: &str) {
    let cause = error as &dyn std::error::Error;
    if matches!(error, WriteError::KeyUsed(_)) {
        tracing::debug!(error = cause, commands, "{message}");
    } else {
        tracing::warn!(error = cause, commands, "{message}");
    }
}
