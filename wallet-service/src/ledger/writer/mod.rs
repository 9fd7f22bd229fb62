//! The writer: one task that turns queued commands into batches and commits them, one after the other.
//!
//! A batch goes through numbered phases:
//!
//! 1. **Gather** what is queued. A command whose key or reference is already on its way waits for that one's answer; one
//!    that needs what another session keeps locked is set aside ([`blocked`]).
//! 2. **Read** what the cache does not hold: wallets, holds, references, names of wallets, and, while callers send commands
//!    again, stored answers. A constant number of statements.
//! 3. **Decide** each command in order, in memory. A refusal that rests on kept state is decided again on fresh state.
//! 4. **Write** everything in one guarded statement, which is also the commit.
//! 5. **Conflict?** Another instance was faster, or a key was used before: the commands are decided again on what is read
//!    now. While that is frequent ([`contention`]), [`locked`] locks and reads before it decides, which cannot lose.
//! 6. **Lost?** The connection ended before the answer came: recovery looks whether the batch is there.
//! 7. **Answer** each caller.
//!
//! While one batch is at the database (4) the next one is gathered, read and decided (1 to 3) on the state the first
//! leaves behind; it is sent only when the first has been committed. If the first failed (5, 6), the next one is decided
//! again from its commands: nothing rests on what did not happen.

mod batch;
mod blocked;
pub mod cache;
mod contention;
mod contradicted;
mod deciding;
mod in_flight;
mod locked;
mod lookup;
mod read;
mod recovery;
mod replay;
mod trace;

use std::{collections::VecDeque, sync::Arc};

use sqlx::postgres::PgConnectOptions;
use tokio::{
    sync::{Notify, mpsc, watch},
    time::Instant,
};

use self::{
    batch::{Batch, Committed, InFlight, Observers, Room, WRITING, log_failure},
    blocked::{Blocked, Why},
    cache::{ReadEpoch, WalletCache},
    contention::Contention,
    contradicted::Contradicted,
    deciding::Undecided,
    in_flight::InFlightKeys,
    lookup::{Lookup, Unread},
    replay::ReplayDetector,
};
use super::{
    metrics::LedgerMetrics,
    model::{answer::Outcome, error::LedgerError, settlement::SettlementShard},
    pace::Pace,
    queue::{Job, Ledger, LedgerSettings},
    store::session::{Backend, Session},
};

/// See the module.
pub struct Writer {
    pub(super) database: PgConnectOptions,
    pub(super) settings: LedgerSettings,
    /// Which shard is this instance's may change.
    leased: watch::Receiver<SettlementShard>,
    /// The one that is decided with.
    pub(super) shard: SettlementShard,
    queue: mpsc::Receiver<Job>,
    /// Taken from the queue for a batch that had no room for them.
    left_over: VecDeque<Job>,
    /// Rung after each commit, so that the relay need not poll.
    outbox_filled: Arc<Notify>,
    cache: WalletCache,
    epoch: ReadEpoch,
    /// Commands that wait for the batch in flight.
    waiting: Vec<Job>,
    /// Keys and references of the batch being made and of the one in flight.
    in_flight_keys: InFlightKeys,
    in_flight: Option<InFlight>,
    /// Commands that another session's locks keep from being written.
    blocked: Blocked,
    lookup: Lookup,
    metrics: LedgerMetrics,
    pace: Pace,
    replays: ReplayDetector,
    contention: Contention,
    contradicted: Contradicted,
    /// How many batches in a row did not go through and were decided again without locks.
    conflicts_in_a_row: u32,
    /// The session batches are written on; with the batch while one is in flight.
    session: Option<Session>,
    /// Server processes whose connections were lost in the middle of something.
    lost: Vec<Backend>,
}

/// What was gathered.
enum Gathered {
    /// Commands were decided, or some waiting were set free.
    Go(Vec<Job>),
    /// No caller can send commands any more, and all were answered.
    End,
}

impl Writer {
    /// A ledger and the writer behind it, which must be [run](Self::run) for the ledger to answer.
    pub fn new(
        database: PgConnectOptions,
        settings: LedgerSettings,
        leased: watch::Receiver<SettlementShard>,
        outbox_filled: Arc<Notify>,
    ) -> (Ledger, Self) {
        let (ledger, queue) = Ledger::new(&settings);
        let shard = *leased.borrow();
        let writer = Self {
            lookup: Lookup::new(database.clone()),
            blocked: Blocked::new(database.clone(), ledger.metrics()),
            metrics: ledger.metrics(),
            pace: ledger.pace(),
            database,
            settings,
            shard,
            leased,
            queue,
            left_over: VecDeque::new(),
            outbox_filled,
            cache: WalletCache::default(),
            epoch: ReadEpoch::default(),
            waiting: Vec::new(),
            in_flight_keys: InFlightKeys::default(),
            in_flight: None,
            replays: ReplayDetector::default(),
            contention: Contention::default(),
            contradicted: Contradicted::default(),
            conflicts_in_a_row: 0,
            session: None,
            lost: Vec::new(),
        };
        (ledger, writer)
    }

    /// Runs until every [`Ledger`] is gone and everything queued is answered.
    pub async fn run(mut self) {
        let mut batch = Batch::default();
        while let Gathered::Go(jobs) = self.gather(&mut batch).await {
            self.decide_gathered(jobs, &mut batch).await;
            if batch.writes.is_empty() {
                // Refusals on fresh state that cannot be asked for again: there is nothing to commit.
                self.answer(std::mem::take(&mut batch.decided));
            } else if self.in_flight.is_none() {
                self.launch(std::mem::take(&mut batch));
            }
        }
    }

    /// Phase 1: commands to decide. Returns as soon as there are some, or the batch in flight has come back.
    async fn gather(&mut self, batch: &mut Batch) -> Gathered {
        let room = Room::beside(batch.jobs(), self.settings.batch_max);
        if self.in_flight.is_none() && !self.waiting.is_empty() {
            // What they waited for was answered without a commit. Only one of them may have its turn now, when all wait
            // for one key; so those that are queued behind them come along, or they would wait for a key of others.
            let mut jobs = std::mem::take(&mut self.waiting);
            jobs.extend(std::iter::from_fn(|| self.next_queued()).take(room.commands));
            return Gathered::Go(jobs);
        }
        if !room.is_full() && !self.left_over.is_empty() {
            return Gathered::Go(self.left_over.drain(..).collect());
        }
        let room = if room.is_full() { 0 } else { room.commands };
        loop {
            let open = !self.queue.is_closed() || !self.queue.is_empty();
            let mut jobs = Vec::new();
            tokio::select! {
                biased;
                committed = committed(&mut self.in_flight), if self.in_flight.is_some() => {
                    return Gathered::Go(self.settle(committed, batch).await);
                }
                released = self.blocked.released(), if open || self.blocked.holds_commands() => {
                    return Gathered::Go(released);
                }
                received = self.queue.recv_many(&mut jobs, room), if room > 0 && open => {
                    if received > 0 {
                        return Gathered::Go(jobs);
                    }
                }
                else => return Gathered::End,
            }
        }
    }

    /// The next command in order.
    fn next_queued(&mut self) -> Option<Job> {
        let left_over = self.left_over.pop_front();
        left_over.or_else(|| self.queue.try_recv().ok())
    }

    /// Those of the commands that have their keys, as far as the batch has room for them. What comes after these is the first
    /// of the next batch; what waits for a key takes no room.
    fn take_as_many_as_fit(&mut self, jobs: Vec<Job>, batch: &Batch) -> Vec<Job> {
        let mut room = Room::beside(batch.jobs(), self.settings.batch_max);
        let mut fitting = Vec::with_capacity(jobs.len());
        let mut jobs = jobs.into_iter();
        while !room.is_full()
            && let Some(job) = jobs.next()
        {
            if let Some(job) = self.take_keys(job) {
                room.take(&job);
                fitting.push(job);
            }
        }
        for job in jobs.rev() {
            self.left_over.push_front(job);
        }
        fitting
    }

    /// Phases 2 and 3 for newly gathered commands, which join the batch.
    async fn decide_gathered(&mut self, jobs: Vec<Job>, batch: &mut Batch) {
        let began = Instant::now();
        if let Some(first) = jobs.iter().map(|job| job.queued_at).min() {
            self.metrics.waited().observe(began - first);
        }
        batch.gathered.get_or_insert(began);
        self.epoch = self.epoch.next();
        self.shard = *self.leased.borrow_and_update();
        let mut jobs = self.take_as_many_as_fit(jobs, batch);
        let asking: Vec<Job> = jobs.extract_if(.., |job| job.only_answered).collect();
        self.answer_again(asking, LedgerError::NotAnswered).await;
        if self.in_flight.is_none() && self.contention.is_frequent() {
            return self.decide_locked(jobs).await;
        }
        let decided = self.read_and_decide(&mut jobs, batch).await;
        self.metrics.decided().observe(began.elapsed());
        if let Err(unread) = decided {
            self.leave_undecided(jobs, unread);
        }
        self.cache.end_epoch();
    }

    /// Commands that need what could not be read: their callers are told that nothing was done, at once or when what is
    /// locked has stayed so.
    fn leave_undecided(&mut self, jobs: Vec<Job>, unread: Unread) {
        if unread == Unread::Locked {
            self.blocked.remember_tables();
        }
        for job in jobs {
            match unread {
                Unread::Unreachable => self.finish(job, Err(LedgerError::Unavailable)),
                Unread::Locked => self.set_aside(job, Why::Locked),
            }
        }
    }

    /// Takes each command out of `jobs` when it is decided or answered.
    async fn read_and_decide(
        &mut self,
        jobs: &mut Vec<Job>,
        batch: &mut Batch,
    ) -> Result<(), Unread> {
        let answered = self.read_answers(jobs).await?;
        *jobs = self.replay(std::mem::take(jobs), &answered);
        self.read_references(jobs).await?;
        self.read_external_ids(jobs).await?;
        self.read_reversed(jobs).await?;

        // At most twice: once on what the cache holds, and refusals once more on what was read in this epoch.
        while !jobs.is_empty() {
            self.read_wallets(jobs).await?;
            self.read_holds(jobs).await?;
            self.set_aside_settling(jobs);
            let Undecided {
                unchanging,
                unreadable,
            } = self.decide_all(std::mem::take(jobs), batch);
            self.answer_again(unreadable, LedgerError::Internal).await;
            *jobs = self.confirm(unchanging, batch);
        }
        Ok(())
    }

    /// Takes the command's key and reference, or lets it wait for the command that has them. A caller who is gone is
    /// spared the work: nothing was done for it yet.
    fn take_keys(&mut self, job: Job) -> Option<Job> {
        if job.reply.is_closed() {
            return None;
        }
        let wallets = job.command.wallets().filter(|_| !job.only_answered);
        if self.blocked.concerns(&job, wallets) {
            let wallets = if job.only_answered {
                Vec::new()
            } else {
                self.cache.needed(&job.command, self.shard).collect()
            };
            self.blocked.park(job, wallets, Why::Locked);
            return None;
        }
        if !self.in_flight_keys.take(&job.command) {
            self.replays.observe();
            self.waiting.push(job);
            return None;
        }
        Some(job)
    }

    /// Sets aside those whose settlement wallet is locked: which that is, is known only now.
    fn set_aside_settling(&mut self, jobs: &mut Vec<Job>) {
        let is_blocked = |job: &mut Job| {
            let needed = self.cache.needed(&job.command, self.shard);
            self.blocked.concerns(job, needed)
        };
        let blocked: Vec<Job> = jobs.extract_if(.., is_blocked).collect();
        for job in blocked {
            self.set_aside(job, Why::Locked);
        }
    }

    /// Has a command, which has its keys, wait until others give up their locks.
    fn set_aside(&mut self, job: Job, why: Why) {
        self.in_flight_keys.release(&job.command);
        let wallets = self.cache.needed(&job.command, self.shard).collect();
        self.blocked.park(job, wallets, why);
    }

    /// Answers a command that has its keys.
    fn finish(&mut self, job: Job, outcome: Result<Outcome, LedgerError>) {
        self.in_flight_keys.release(&job.command);
        self.metrics.settled(&job.command, &outcome);
        drop(job.reply.send(outcome));
    }

    fn answer(&mut self, decided: Vec<(Job, Outcome)>) {
        for (job, outcome) in decided {
            self.finish(job, Ok(outcome));
        }
    }

    /// Phase 4: sends the batch to the database.
    fn launch(&mut self, batch: Batch) {
        if self.lookup.has_hung() {
            self.session = None;
        }
        let (session, database) = (self.session.take(), self.database.clone());
        let told = Observers {
            written: self.metrics.written().clone(),
            pace: self.pace.clone(),
        };
        self.in_flight = Some(batch.launch(session, database, self.settings.idempotency_ttl, told));
    }

    /// Phase 7 when all is well, which sends the next batch before it answers this one; else phases 5 and 6. Returns the
    /// commands to decide now.
    async fn settle(&mut self, committed: Committed, batch: &mut Batch) -> Vec<Job> {
        let Committed {
            session,
            lost,
            result,
        } = committed;
        self.session = session;
        self.lost.extend(lost);
        let Some(InFlight {
            decided,
            writes,
            gathered,
            ..
        }) = self.in_flight.take()
        else {
            return Vec::new();
        };
        let mut jobs = std::mem::take(&mut self.waiting);
        match result {
            Ok(()) => {
                if !batch.writes.is_empty() {
                    self.launch(std::mem::take(batch));
                }
                self.conflicts_in_a_row = 0;
                WRITING.worked();
                self.outbox_filled.notify_one();
                self.metrics.batch_committed(decided.len());
                if let Some(gathered) = gathered {
                    trace::committed(decided.iter().map(|(job, _)| job), gathered);
                }
                self.answer(decided);
            }
            Err(error) => {
                self.metrics.batch_failed(&error);
                log_failure(&error, decided.len(), "a batch did not go through");
                // The next batch was decided on what this one would have left behind.
                let undone = std::mem::take(batch);
                for id in writes.wallets.keys().chain(undone.writes.wallets.keys()) {
                    self.cache.forget(*id);
                }
                let mut again = Box::pin(self.recover(decided, &writes, error)).await;
                self.outbox_filled.notify_one();
                again.extend(undone.decided.into_iter().map(|(job, _)| job));
                for job in &again {
                    self.in_flight_keys.release(&job.command);
                }
                jobs.splice(0..0, again);
            }
        }
        jobs
    }
}

/// Waits for the batch in flight; for ever when there is none. May be dropped and called again.
async fn committed(in_flight: &mut Option<InFlight>) -> Committed {
    match in_flight {
        Some(flight) => flight.committed().await,
        None => std::future::pending().await,
    }
}
