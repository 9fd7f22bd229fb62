//! The ledger: the only writer of money.
//!
//! [`Ledger::submit`] hands a command to one writer task per instance, which commits *batches*: whatever queued up while
//! the batch before was at the database (one command when idle, hundreds under load, no added wait). A batch is one
//! statement, guarded by the version of every wallet it touches, so several instances on one database stay correct, and
//! a busy wallet costs one row update however many commands hit it. Nothing of a command runs in the caller's future,
//! so a caller that goes away leaves nothing half done.
//!
//! Where to read:
//! - [`command`], [`answer`]: what is asked, and what is said to it.
//! - [`decide`]: the rule book, pure. [`wallet`] has the one rule for money in and out of a wallet.
//! - [`engine`]: the phases of a batch: gather, read, decide, write, and again from the start if another was faster.
//!   [`recovery`]: what happens when a batch did not go through.
//! - [`book`]: the wallets in the writer's memory; [`lookup`] fills it.
//! - [`batch`], [`writes`], [`store`]: the batch, the batch as columns, and the statements. [`claims`]: keys in use.
//! - [`reads`]: what callers may look at.
//!
//! Never: HTTP, Kafka, or a table of another service.

pub mod answer;
mod backoff;
mod batch;
pub mod book;
mod claims;
pub mod command;
pub mod decide;
pub mod engine;
pub mod error;
pub mod lane;
mod lookup;
pub mod reads;
mod recovery;
pub mod store;
pub mod wallet;
pub mod writes;

use std::{sync::Arc, time::Duration};

use tokio::sync::{mpsc, oneshot};

pub use self::{
    answer::{Answer, Receipt, Refusal, Transaction},
    command::{Caller, Command, Intent, Payment},
    engine::Engine,
    error::LedgerError,
    lane::Lane,
    wallet::{Status, Wallet},
};

/// The answer to a command, and whether it was given before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Decided now.
    Decided(Arc<Answer>),
    /// Decided earlier under the same key; nothing was done now.
    Replayed(Arc<Answer>),
}

/// What the ledger needs to know. Read once at start.
#[derive(Clone, Debug)]
pub struct LedgerSettings {
    /// Commands that may wait. More are refused as overload: a longer queue would only make callers wait in vain.
    pub queue_capacity: usize,
    /// Commands in one batch. Past a few hundred a larger batch buys little and delays its first command.
    pub batch_max: usize,
    /// How long a caller waits for an answer.
    pub answer_timeout: Duration,
    /// How long answers are kept under their idempotency keys.
    pub idempotency_ttl: Duration,
}

/// A command in the queue.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) command: Command,
    pub(crate) reply: oneshot::Sender<Result<Outcome, LedgerError>>,
}

/// The way to the writer; cheap to clone. When every clone is gone the writer finishes what is queued and ends.
#[derive(Clone, Debug)]
pub struct Ledger {
    queue: mpsc::Sender<Job>,
    answer_timeout: Duration,
}

impl Ledger {
    /// A ledger, and the queue its [`Engine`] takes commands from.
    pub(crate) fn new(settings: &LedgerSettings) -> (Self, mpsc::Receiver<Job>) {
        let (queue, jobs) = mpsc::channel(settings.queue_capacity);
        (
            Self {
                queue,
                answer_timeout: settings.answer_timeout,
            },
            jobs,
        )
    }

    /// Has a command carried out, and waits for the answer.
    ///
    /// A caller that stops waiting stops nothing: a command that was not looked at yet is dropped, one that was is
    /// finished.
    pub async fn submit(&self, command: Command) -> Result<Outcome, LedgerError> {
        let (reply, answer) = oneshot::channel();
        self.queue
            .try_send(Job { command, reply })
            .map_err(|_| LedgerError::Overloaded)?;
        match tokio::time::timeout(self.answer_timeout, answer).await {
            Ok(Ok(outcome)) => outcome,
            // The writer ended or did not answer in time.
            Ok(Err(_)) | Err(_) => Err(LedgerError::OutcomeUnknown),
        }
    }
}
