//! Phases 5 and 6, a batch that did not go through.
//!
//! When another instance was faster, or a key was used before, nothing was written: the commands are decided again like
//! new ones, on wallets and answers that are read now. When another session keeps something locked, the commands that need
//! it are set aside ([`super::blocked`]), and the others go on.
//!
//! When the connection was lost on the way, the batch may be there or may even be committed by a server process that has
//! not noticed yet; holding the locks of its wallets settles that: either its events are in the journal, then it happened
//! and its answers stand, or the wallets are about to move on, then its version guard will never hold again. When the locks
//! cannot be had, that server process may be what holds them: it is ended, which settles it as well. So an outcome is
//! looked up, never guessed, and nothing is done twice.
//!
//! A command that Postgres refuses is found by trying halves, so that it cannot fail its neighbours.

use shared::{
    WalletId,
    server::{backoff::Backoff, postgres::is_standby, postgres_error::constraint_hint},
};
use tokio::time::Instant;

use super::{
    Writer,
    batch::log_failure,
    blocked::Why,
    locked::{Failed, Outcomes, UnresolvedAttempt},
    lookup::{REACH_TIMEOUT, backoff},
};
use crate::ledger::{
    model::{answer::Outcome, error::LedgerError},
    queue::Job,
    store::{
        WriteError,
        rows::Writes,
        session::{Session, in_time},
        write_batch::is_committed,
    },
};

/// How often a set of commands is tried against other writers before it is split, and a single one before it is given
/// up. Locked rows cannot lose, so only new wallets, keys and references of other instances can cost a try.
const TRIES_MAX: u32 = 5;

/// How often a set of commands is tried that something keeps locked that is not found.
const LOCK_TRIES_MAX: u32 = 2;

/// Commands that are decided on locked rows, until there are outcomes.
pub(super) struct Redo {
    pub(super) jobs: Vec<Job>,
    /// Attempts that may have been committed.
    pub(super) unknown: Vec<UnresolvedAttempt>,
    pub(super) looks_up_keys: bool,
    /// Whether commands may join that were queued meanwhile.
    pub(super) joins: bool,
    /// The wallets of the last attempt that was written.
    pub(super) touched: Vec<WalletId>,
    tries: u32,
    pause: Backoff,
    until: Instant,
}

/// What is to be done about an attempt that failed.
enum Step {
    Again,
    AgainAfterPause,
    /// In halves; a single command is given up with this answer.
    Split(LedgerError),
    GiveUp(LedgerError),
    /// Every command was answered or set aside.
    Done,
}

impl Redo {
    fn new(jobs: Vec<Job>, unknown: Vec<UnresolvedAttempt>) -> Self {
        Self {
            jobs,
            unknown,
            looks_up_keys: true,
            joins: false,
            touched: Vec::new(),
            tries: 0,
            pause: backoff(),
            until: Instant::now() + REACH_TIMEOUT,
        }
    }

    /// New commands, which are not decided on kept state.
    pub(super) fn lock_first(jobs: Vec<Job>) -> Self {
        Self {
            looks_up_keys: false,
            joins: true,
            ..Self::new(jobs, Vec::new())
        }
    }

    fn halves(mut self) -> [Self; 2] {
        let second = self.jobs.split_off(self.jobs.len() / 2);
        let unknown = self.unknown.clone();
        [
            Self::new(self.jobs, self.unknown),
            Self::new(second, unknown),
        ]
    }
}

impl Writer {
    /// Settles a batch that failed with `error`. Returns the commands that are to be decided again like new ones.
    pub(super) async fn recover(
        &mut self,
        decided: Vec<(Job, Outcome)>,
        writes: &Writes,
        error: WriteError,
    ) -> Vec<Job> {
        let (jobs, outcomes): (Vec<Job>, Outcomes) = decided
            .into_iter()
            .map(|(job, outcome)| (job, Ok(outcome)))
            .unzip();
        let touched: Vec<WalletId> = writes.wallets.keys().copied().collect();
        if self.journal_contradicts(&error, &touched).await {
            return jobs;
        }
        let mut unknown = None;
        match error {
            WriteError::Conflict(_) | WriteError::KeyUsed(_) => {
                self.learn_from(&error);
                self.conflicts_in_a_row += 1;
                if self.conflicts_in_a_row < TRIES_MAX {
                    return jobs;
                }
            }
            WriteError::Locked(_) => {
                let count = jobs.len();
                let others = self.set_aside_locked(jobs).await;
                if others.len() < count {
                    return others;
                }
                self.decide_again(Redo::new(others, Vec::new())).await;
                return Vec::new();
            }
            WriteError::ConnectionLost(_) => {
                self.lookup.disconnect();
                unknown = UnresolvedAttempt::of(writes, &jobs, &outcomes);
            }
            WriteError::Unreachable(_) | WriteError::NotNow(_) => {}
            WriteError::Refused(_) => {
                for half in Redo::new(jobs, Vec::new()).halves() {
                    self.decide_again(half).await;
                }
                return Vec::new();
            }
        }
        let redo = Redo::new(jobs, unknown.into_iter().collect());
        self.decide_again(redo).await;
        Vec::new()
    }

    /// What a conflict says about what others do.
    fn learn_from(&mut self, error: &WriteError) {
        match error {
            WriteError::KeyUsed(_) => self.replays.observe(),
            WriteError::Conflict(cause) => {
                self.contention.observe();
                if is_unnamed_duplicate(cause) {
                    // It may have been a key.
                    self.replays.observe();
                }
            }
            WriteError::Locked(_)
            | WriteError::ConnectionLost(_)
            | WriteError::NotNow(_)
            | WriteError::Unreachable(_)
            | WriteError::Refused(_) => {}
        }
    }

    /// Sets aside the commands that need what another session keeps locked, and returns the others.
    async fn set_aside_locked(&mut self, jobs: Vec<Job>) -> Vec<Job> {
        let with_wallets = jobs.into_iter().map(|job| {
            let needed = self.cache.needed(&job.command, self.shard).collect();
            (job, needed)
        });
        let jobs: Vec<(Job, Vec<_>)> = with_wallets.collect();
        let found = self.blocked.find(&jobs).await;
        self.blocked.remember(&found.wallets);
        if found.tables {
            self.blocked.remember_tables();
        }
        let mut others = Vec::with_capacity(jobs.len());
        for (job, wallets) in jobs {
            let why = if found.being_inserted.contains(&job.command.seed) {
                Why::BeingInserted
            } else if self.blocked.concerns(&job, wallets.iter().copied()) {
                Why::Locked
            } else {
                others.push(job);
                continue;
            };
            self.in_flight_keys.release(&job.command);
            self.blocked.park(job, wallets, why);
        }
        others
    }

    /// Decides on locked rows until there are outcomes, or no caller waits for them any more.
    pub(super) async fn decide_again(&mut self, mut redo: Redo) {
        loop {
            // While an attempt may still be committed the commands stay together: decided without a command that the
            // others built on, one could be refused, move no version, and be committed by the old attempt after all.
            if redo.unknown.is_empty() || redo.jobs.iter().all(|job| job.reply.is_closed()) {
                self.forget_gone(&mut redo.jobs);
            }
            if redo.jobs.is_empty() {
                return;
            }
            let Failed { error, unknown } = match self.attempt(&mut redo).await {
                Ok(outcomes) => {
                    self.lost.clear();
                    return self.finish_all(redo.jobs, outcomes);
                }
                Err(failed) => failed,
            };
            log_failure(
                &error,
                redo.jobs.len(),
                "commands could not be decided again yet",
            );
            self.metrics.batch_failed(&error);
            redo.unknown.extend(unknown);
            redo.tries += 1;
            match self.next_step(&mut redo, &error).await {
                Step::Again => {}
                Step::AgainAfterPause => redo.pause.wait().await,
                Step::Split(_) if redo.jobs.len() > 1 => {
                    for half in redo.halves() {
                        Box::pin(self.decide_again(half)).await;
                    }
                    return;
                }
                Step::Split(error) | Step::GiveUp(error) => return self.fail(redo, error),
                Step::Done => return,
            }
        }
    }

    async fn next_step(&mut self, redo: &mut Redo, error: &WriteError) -> Step {
        if self.journal_contradicts(error, &redo.touched).await {
            return Step::Again;
        }
        self.learn_from(error);
        let is_late = Instant::now() >= redo.until;
        match error {
            WriteError::Conflict(_) | WriteError::KeyUsed(_) if redo.tries < TRIES_MAX => {
                Step::AgainAfterPause
            }
            WriteError::Conflict(_) | WriteError::KeyUsed(_) => {
                Step::Split(LedgerError::Unavailable)
            }
            WriteError::Locked(_) => self.next_step_when_locked(redo).await,
            // No caller is told that it is not known while it can still be found out.
            WriteError::ConnectionLost(_) | WriteError::Unreachable(_)
                if is_late && redo.unknown.is_empty() =>
            {
                Step::GiveUp(LedgerError::Unavailable)
            }
            WriteError::NotNow(_) => match self.settle_lost(redo).await {
                Some(Step::Done) => Step::Done,
                _ if is_late => Step::GiveUp(LedgerError::Unavailable),
                _ => Step::AgainAfterPause,
            },
            WriteError::ConnectionLost(_) | WriteError::Unreachable(_) => Step::AgainAfterPause,
            WriteError::Refused(_) => Step::Split(LedgerError::Internal),
        }
    }

    async fn next_step_when_locked(&mut self, redo: &mut Redo) -> Step {
        if let Some(step) = self.settle_lost(redo).await {
            return step;
        }
        if !redo.unknown.is_empty() {
            return if Instant::now() >= redo.until {
                Step::GiveUp(LedgerError::OutcomeUnknown)
            } else {
                Step::AgainAfterPause
            };
        }
        let count = redo.jobs.len();
        redo.jobs = self.set_aside_locked(std::mem::take(&mut redo.jobs)).await;
        if redo.jobs.len() < count || redo.tries < LOCK_TRIES_MAX {
            return Step::Again;
        }
        if redo.jobs.len() > 1 {
            return Step::Split(LedgerError::Unavailable);
        }
        // It is not found what this one waits for: it goes on after a look.
        for job in redo.jobs.drain(..) {
            self.set_aside(job, Why::Locked);
        }
        Step::Done
    }

    /// Settles what became of attempts whose sessions were lost, without locks: none when it cannot be.
    async fn settle_lost(&mut self, redo: &mut Redo) -> Option<Step> {
        if self.lost.is_empty() {
            return None;
        }
        match self.end_lost(&redo.unknown).await {
            Ok(Some(committed)) => {
                let jobs = std::mem::take(&mut redo.jobs);
                let outcomes = committed.outcomes_of(&jobs);
                self.finish_all(jobs, outcomes);
                Some(Step::Done)
            }
            Ok(None) if self.lost.is_empty() => {
                redo.unknown.clear();
                Some(Step::Again)
            }
            Ok(None) => None,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "sessions that were lost could not be ended");
                None
            }
        }
    }

    /// Ends the sessions that were lost. When all are gone it is settled what was committed on them: the attempt that was,
    /// or none of these.
    async fn end_lost(
        &mut self,
        unknown: &[UnresolvedAttempt],
    ) -> Result<Option<UnresolvedAttempt>, sqlx::Error> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => Session::open(&self.database).await?,
        };
        let connection = &mut session.connection;
        // A standby may not have what its primary committed, and ends no session of it.
        let mut are_gone = !in_time(is_standby(connection)).await?;
        for backend in &self.lost {
            are_gone &= in_time(backend.end(connection)).await?;
        }
        let mut committed = None;
        if are_gone {
            for attempt in unknown {
                if in_time(is_committed(connection, &attempt.marker)).await? {
                    committed = Some(attempt.clone());
                }
            }
            self.lost.clear();
        }
        self.session = Some(session);
        Ok(committed)
    }

    fn finish_all(&mut self, jobs: Vec<Job>, outcomes: Outcomes) {
        let is_replay = |outcome: &_| matches!(outcome, Ok(Outcome::Replayed(_)));
        if outcomes.iter().any(is_replay) {
            self.replays.observe();
        }
        for (job, outcome) in jobs.into_iter().zip(outcomes) {
            self.finish(job, outcome);
        }
    }

    /// Tells callers that nothing was done, or, where that is not certain, that it is not known.
    fn fail(&mut self, redo: Redo, error: LedgerError) {
        let error = if redo.unknown.is_empty() {
            error
        } else {
            LedgerError::OutcomeUnknown
        };
        for job in redo.jobs {
            self.finish(job, Err(error));
        }
    }

    /// Lets go of the commands whose callers are gone.
    fn forget_gone(&mut self, jobs: &mut Vec<Job>) {
        for job in jobs.extract_if(.., |job| job.reply.is_closed()) {
            self.in_flight_keys.release(&job.command);
        }
    }
}

/// A unique key was taken, and the server does not say which.
fn is_unnamed_duplicate(error: &sqlx::Error) -> bool {
    use shared::server::postgres_error::PostgresErrorClass;
    PostgresErrorClass::of(error) == PostgresErrorClass::Duplicate
        && constraint_hint(error).is_none()
}
