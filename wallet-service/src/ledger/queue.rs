//! The way to the writer: a bounded queue of commands, and turns for callers that send many at a time.

use std::{sync::Arc, time::Duration};

use shared::{
    Amount, IdempotencyKey,
    server::{health::Probe, metrics::Metrics, postgres::PostgresClock},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::Instant,
};

use super::{
    decide::UserRights,
    metrics::LedgerMetrics,
    model::{
        answer::Outcome,
        command::{Command, IntentKind},
        error::LedgerError,
        hold::HoldRules,
    },
    pace::Pace,
    underway::{Underway, UnderwayKeys},
};

/// What the ledger needs to know. Read once at start.
#[derive(Clone, Debug)]
pub struct LedgerSettings {
    /// Commands that may wait. More are refused as overload: a longer queue would only make callers wait in vain. While
    /// batches take long, fewer may wait: as many as can be answered within `answer_timeout`.
    pub queue_capacity: usize,
    /// Commands in one batch. Past a few hundred a larger batch buys little and delays its first command.
    pub batch_max: usize,
    /// How long a caller waits for an answer.
    pub answer_timeout: Duration,
    /// What one command may move, in minor units of whatever currency.
    pub amount_max: Amount,
    /// How long answers are kept under their idempotency keys.
    pub idempotency_ttl: Duration,
    /// How long refusals are kept for those who reach the wallet; zero keeps none.
    pub refusals_kept_for: Duration,
    pub user_rights: UserRights,
    pub holds: HoldRules,
}

/// Commands that are sent many at a time take at most one place in so many, from when they are queued until they are
/// answered. As the settings are by default that is as many as are being decided and written, so next to none of them
/// wait in the queue itself: a caller with one command is neither refused nor held up by another's thousand.
const BULK_SHARE: usize = 4;

/// A command joins the queue when it would wait there no longer than the answer time-out divided by this, and many at a time
/// wait as long for places: what is in the queue by then has as long again to be answered, and of the others it is certain
/// that nothing was done.
const QUEUE_WAIT_DIVISOR: u32 = 2;

/// What callers wrote on the commands of one batch, in bytes, beside the command that reaches it. It stands in the statement
/// five times (transaction, two events, outbox twice): with more, a statement could run into its own time limit, and would
/// be tried in parts while all others wait.
pub(crate) const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// A command in the queue.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) command: Command,
    /// Nothing is decided: asked is only what was answered before under the key.
    pub(crate) only_answered: bool,
    pub(crate) reply: oneshot::Sender<Result<Outcome, LedgerError>>,
    /// What the caller wrote on it.
    pub(crate) bytes: usize,
    /// Since when its caller waits.
    pub(crate) queued_at: Instant,
    /// The places it takes among those for many at a time; given back when the job is done with.
    _places: Option<OwnedSemaphorePermit>,
    /// Its key, until the job is done with.
    _underway: Option<Underway>,
}

/// The answer on its way to its caller.
type Reply = oneshot::Receiver<Result<Outcome, LedgerError>>;

/// The way to the writer; cheap to clone. When every clone is gone the writer finishes what is queued and ends.
#[derive(Clone, Debug)]
pub struct Ledger {
    queue: mpsc::Sender<Job>,
    /// Free places for commands that are sent many at a time. It serves in order, so callers take turns.
    bulk_places: Arc<Semaphore>,
    bulk_places_max: usize,
    pace: Pace,
    underway: UnderwayKeys,
    batch_max: usize,
    answer_timeout: Duration,
    clock: PostgresClock,
    metrics: LedgerMetrics,
}

impl Ledger {
    /// A ledger, and the queue its [`Writer`](super::writer::Writer) takes commands from.
    pub(crate) fn new(settings: &LedgerSettings) -> (Self, mpsc::Receiver<Job>) {
        let (queue, jobs) = mpsc::channel(settings.queue_capacity);
        let bulk_places = (settings.queue_capacity / BULK_SHARE).max(1);
        let ledger = Self {
            queue,
            bulk_places: Arc::new(Semaphore::new(bulk_places)),
            bulk_places_max: bulk_places,
            pace: Pace::default(),
            underway: UnderwayKeys::default(),
            batch_max: settings.batch_max,
            answer_timeout: settings.answer_timeout,
            clock: PostgresClock::default(),
            metrics: LedgerMetrics::default(),
        };
        (ledger, jobs)
    }

    /// Takes no commands while the clock they bring along is not that of Postgres.
    #[must_use]
    pub fn with_clock(self, clock: PostgresClock) -> Self {
        Self { clock, ..self }
    }

    /// Tells what this ledger counts, and how long its queue is. It keeps no way to the writer open.
    pub fn tell(&self, metrics: &Metrics) {
        let queue = self.queue.downgrade();
        let queued = move || {
            let queue = queue.upgrade()?;
            Some(queue.max_capacity().saturating_sub(queue.capacity()))
        };
        let max = self.queue.max_capacity();
        self.metrics.register(metrics, max, queued);
    }

    /// Has the health report say, by this component, when no command can be carried out.
    pub fn report_to(&self, probe: Probe) {
        self.metrics.report_to(probe);
    }

    pub(crate) fn metrics(&self) -> LedgerMetrics {
        self.metrics.clone()
    }

    /// To be told how long batches take.
    pub(crate) fn pace(&self) -> Pace {
        self.pace.clone()
    }

    /// Whether this instance has a command with this key in hand.
    pub fn is_underway(&self, owner: &str, key: &IdempotencyKey) -> bool {
        self.underway.contains(owner, key.as_str())
    }

    fn check_clock(&self, command: &Command) -> Result<(), LedgerError> {
        let checked = self.clock.check(command.received_at);
        checked.map_err(|_| LedgerError::ClockSkew)
    }

    /// Has a command carried out, and waits for the answer.
    ///
    /// A caller that stops waiting stops nothing: a command that was not looked at yet is dropped, one that was is
    /// finished.
    pub async fn submit(&self, command: Command) -> Result<Outcome, LedgerError> {
        if let Err(skew) = self.check_clock(&command) {
            let kind = command.kind();
            let found = self.find_answer(command).await?;
            return found.ok_or_else(|| self.not_done(kind, skew));
        }
        self.ask(self.job(command, None)).await
    }

    fn job(&self, command: Command, places: Option<OwnedSemaphorePermit>) -> (Job, Reply) {
        let underway = self.underway.begin(&command);
        Job::new(command, places, underway)
    }

    /// What was answered before to this very command under its key, for a command that is not carried out now: what stands
    /// against it may have come since. Waits for the same command when that is on its way.
    pub async fn find_answer(&self, command: Command) -> Result<Option<Outcome>, LedgerError> {
        if command.key.is_none() {
            return Ok(None);
        }
        let (job, reply) = Job::new(command, None, None);
        found(self.ask((job.only_answered(), reply)).await)
    }

    async fn ask(&self, (job, reply): (Job, Reply)) -> Result<Outcome, LedgerError> {
        let kind = job.command.kind();
        let queued = self
            .queue
            .max_capacity()
            .saturating_sub(self.queue.capacity());
        let in_time = self.answer_timeout / QUEUE_WAIT_DIVISOR;
        // With none before it a command is always taken: only batches tell that batches are fast again.
        if queued > 0 && self.pace.wait(queued, self.batch_max) > in_time {
            return Err(self.not_done(kind, LedgerError::Overloaded));
        }
        let queued = self.queue.try_send(job);
        queued.map_err(|_| self.not_done(kind, LedgerError::Overloaded))?;
        self.outcome(kind, reply, Instant::now() + self.answer_timeout)
            .await
    }

    /// The answer, when it comes in time.
    async fn outcome(
        &self,
        kind: IntentKind,
        reply: Reply,
        deadline: Instant,
    ) -> Result<Outcome, LedgerError> {
        match tokio::time::timeout_at(deadline, reply).await {
            // It was counted when it was settled.
            Ok(Ok(outcome)) => outcome,
            // The writer ended or did not answer in time.
            Ok(Err(_)) | Err(_) => Err(self.not_done(kind, LedgerError::OutcomeUnknown)),
        }
    }

    /// Counts what the writer does not settle.
    fn not_done(&self, kind: IntentKind, error: LedgerError) -> LedgerError {
        self.metrics.not_answered(kind, error);
        error
    }

    /// Has commands carried out, each for itself, and waits for their answers, which are in the order of the commands.
    /// `since` is the moment from which the caller has been waiting.
    ///
    /// They join the queue in their order, all before the first answer is waited for, as places become free. Those that
    /// found none in time are [`LedgerError::Overloaded`]: the last ones, with none in between that got through. A
    /// caller that stops waiting stops nothing, as in [`Self::submit`].
    pub async fn submit_all(
        &self,
        commands: Vec<Command>,
        since: Instant,
    ) -> Vec<Result<Outcome, LedgerError>> {
        // They came in together, so the first one's clock is that of all.
        if let Some(Err(skew)) = commands.first().map(|command| self.check_clock(command)) {
            let kinds: Vec<IntentKind> = commands.iter().map(Command::kind).collect();
            let earlier = self.find_answers(commands, since).await;
            return kinds
                .into_iter()
                .zip(earlier)
                .map(|(kind, found)| found?.ok_or_else(|| self.not_done(kind, skew)))
                .collect();
        }
        self.ask_all(commands, false, since).await
    }

    /// The same as [`Self::find_answer`] for many commands.
    pub async fn find_answers(
        &self,
        commands: Vec<Command>,
        since: Instant,
    ) -> Vec<Result<Option<Outcome>, LedgerError>> {
        let outcomes = self.ask_all(commands, true, since).await;
        outcomes.into_iter().map(found).collect()
    }

    async fn ask_all(
        &self,
        commands: Vec<Command>,
        only_answered: bool,
        since: Instant,
    ) -> Vec<Result<Outcome, LedgerError>> {
        let kinds: Vec<IntentKind> = commands.iter().map(Command::kind).collect();
        let count = commands.len();
        let mut replies = Vec::with_capacity(count);
        let queued = self.enqueue_all(commands, only_answered, &mut replies);
        // Who came too late is known by the replies that are missing.
        let _ =
            tokio::time::timeout_at(since + self.answer_timeout / QUEUE_WAIT_DIVISOR, queued).await;
        let mut outcomes = Vec::with_capacity(count);
        let mut replies = replies.into_iter();
        for kind in kinds {
            outcomes.push(match replies.next() {
                Some(reply) => {
                    let deadline = since + self.answer_timeout;
                    self.outcome(kind, reply, deadline).await
                }
                None => Err(self.not_done(kind, LedgerError::Overloaded)),
            });
        }
        outcomes
    }

    /// A command takes one place, and more when a batch holds fewer of its size: so those that come many at a time are no
    /// more batches when they are large.
    fn places_for(&self, command: &Command) -> u32 {
        let bytes_per_place = (BATCH_BYTES_MAX / self.batch_max.max(1)).max(1);
        let places = 1 + command.details_bytes() / bytes_per_place;
        u32::try_from(places.min(self.bulk_places_max)).unwrap_or(u32::MAX)
    }

    /// Puts the commands in the queue and their replies in `replies`. May be dropped: the replies are those of the
    /// commands that are in the queue.
    async fn enqueue_all(
        &self,
        commands: Vec<Command>,
        only_answered: bool,
        replies: &mut Vec<Reply>,
    ) {
        for command in commands {
            let bulk_places = Arc::clone(&self.bulk_places);
            let places = self.places_for(&command);
            let Ok(places) = bulk_places.acquire_many_owned(places).await else {
                return;
            };
            let Ok(queue) = self.queue.reserve().await else {
                return;
            };
            let reply = if only_answered {
                let (job, reply) = Job::new(command, Some(places), None);
                queue.send(job.only_answered());
                reply
            } else {
                let (job, reply) = self.job(command, Some(places));
                queue.send(job);
                reply
            };
            replies.push(reply);
        }
    }
}

impl Job {
    fn new(
        command: Command,
        places: Option<OwnedSemaphorePermit>,
        underway: Option<Underway>,
    ) -> (Self, Reply) {
        let (reply, answer) = oneshot::channel();
        let job = Self {
            bytes: command.details_bytes(),
            command,
            only_answered: false,
            reply,
            queued_at: Instant::now(),
            _places: places,
            _underway: underway,
        };
        (job, answer)
    }

    fn only_answered(self) -> Self {
        Self {
            only_answered: true,
            ..self
        }
    }
}

/// Nothing, when nothing was answered before.
fn found(outcome: Result<Outcome, LedgerError>) -> Result<Option<Outcome>, LedgerError> {
    match outcome {
        Ok(outcome) => Ok(Some(outcome)),
        Err(LedgerError::NotAnswered) => Ok(None),
        Err(error) => Err(error),
    }
}
