//! The writer: one task that turns queued commands into batches and commits them, one after the other.
//!
//! A batch goes through numbered phases:
//!
//! 1. **Gather** what is queued. A command whose key or reference is already on its way waits for that one's answer.
//! 2. **Read** what the cache does not hold: wallets, references, and, while callers send commands again, stored answers. A
//!    constant number of statements.
//! 3. **Decide** each command in order, in memory. A refusal that rests on kept state is decided again on fresh state.
//! 4. **Write** everything in one guarded statement, which is also the commit.
//! 5. **Conflict?** Another instance was faster, or a key was used before: [`recovery`] decides the batch again,
//!    on locked rows.
//! 6. **Lost?** The connection ended before the answer came: recovery looks whether the batch is there.
//! 7. **Answer** each caller.
//!
//! While one batch is at the database (4) the next one is gathered, read and decided (1 to 3) on the state the first
//! leaves behind; it is sent only when the first has been committed. If the first failed (5, 6), the next one is decided
//! again from its commands: nothing rests on what did not happen.

mod batch;
pub mod cache;
mod in_flight;
mod lookup;
mod read;
mod recovery;
mod replay;

use std::sync::Arc;

use shared::{Timestamp, WalletId};
use sqlx::{PgConnection, postgres::PgConnectOptions};
use tokio::sync::{Notify, mpsc};

use self::{
    batch::{Batch, Committed, InFlight, log_failure},
    cache::{ReadEpoch, WalletCache},
    in_flight::InFlightKeys,
    lookup::{Lookup, Unreachable},
    replay::ReplayDetector,
};
use super::{
    decide::{LedgerView, decide},
    model::{
        answer::{Answer, Outcome, Refusal},
        error::LedgerError,
        settlement::SettlementShard,
    },
    queue::{Job, Ledger, LedgerSettings},
    store::{WriteError, rows::expiry},
};

/// See the module.
pub struct Writer {
    pub(super) database: PgConnectOptions,
    pub(super) settings: LedgerSettings,
    pub(super) shard: SettlementShard,
    queue: mpsc::Receiver<Job>,
    /// Rung after each commit, so that the relay need not poll.
    outbox_filled: Arc<Notify>,
    cache: WalletCache,
    epoch: ReadEpoch,
    /// Commands that wait for the batch in flight.
    waiting: Vec<Job>,
    /// Keys and references of the batch being made and of the one in flight.
    in_flight_keys: InFlightKeys,
    in_flight: Option<InFlight>,
    lookup: Lookup,
    replays: ReplayDetector,
    /// The connection batches are written on; with the batch while one is in flight.
    pub(super) connection: Option<PgConnection>,
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
        shard: SettlementShard,
        outbox_filled: Arc<Notify>,
    ) -> (Ledger, Self) {
        let (ledger, queue) = Ledger::new(&settings);
        let writer = Self {
            lookup: Lookup::new(database.clone()),
            database,
            settings,
            shard,
            queue,
            outbox_filled,
            cache: WalletCache::default(),
            epoch: ReadEpoch::default(),
            waiting: Vec::new(),
            in_flight_keys: InFlightKeys::default(),
            in_flight: None,
            replays: ReplayDetector::default(),
            connection: None,
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
                answer(std::mem::take(&mut batch.decided), &mut self.in_flight_keys);
            } else if self.in_flight.is_none() {
                self.launch(std::mem::take(&mut batch));
            }
        }
    }

    /// Phase 1: commands to decide. Returns as soon as there are some, or the batch in flight has come back.
    async fn gather(&mut self, batch: &mut Batch) -> Gathered {
        let room = self.settings.batch_max.saturating_sub(batch.decided.len());
        if self.in_flight.is_none() && !self.waiting.is_empty() {
            // What they waited for was answered without a commit. Only one of them may have its turn now, when all wait
            // for one key; so those that are queued behind them come along, or they would wait for a key of others.
            let mut jobs = std::mem::take(&mut self.waiting);
            jobs.extend(std::iter::from_fn(|| self.queue.try_recv().ok()).take(room));
            return Gathered::Go(jobs);
        }
        loop {
            let open = !self.queue.is_closed() || !self.queue.is_empty();
            let mut jobs = Vec::new();
            tokio::select! {
                biased;
                committed = committed(&mut self.in_flight), if self.in_flight.is_some() => {
                    return Gathered::Go(self.settle(committed, batch).await);
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

    /// Phases 2 and 3 for newly gathered commands, which join the batch. What cannot be read is not decided, and its
    /// callers are told that nothing was done.
    async fn decide_gathered(&mut self, jobs: Vec<Job>, batch: &mut Batch) {
        self.epoch = self.epoch.next();
        let mut jobs: Vec<Job> = jobs
            .into_iter()
            .filter_map(|job| self.take_keys(job))
            .collect();
        if let Err(Unreachable) = self.read_and_decide(&mut jobs, batch).await {
            for job in jobs {
                self.in_flight_keys.release(&job.command);
                drop(job.reply.send(Err(LedgerError::Unavailable)));
            }
        }
        self.cache.end_epoch();
    }

    /// Takes each command out of `jobs` when it is decided or answered.
    async fn read_and_decide(
        &mut self,
        jobs: &mut Vec<Job>,
        batch: &mut Batch,
    ) -> Result<(), Unreachable> {
        let answered = self.read_answers(jobs).await?;
        *jobs = self.replay(std::mem::take(jobs), answered);
        self.read_references(jobs).await?;

        // At most twice: once on what the cache holds, and refusals once more on what was read in this epoch.
        while !jobs.is_empty() {
            self.read_wallets(jobs).await?;
            let refused = self.decide_all(std::mem::take(jobs), batch);
            *jobs = self.confirm(refused, batch);
        }
        Ok(())
    }

    /// Takes the command's key and reference, or lets it wait for the command that has them. A caller who is gone is
    /// spared the work: nothing was done for it yet.
    fn take_keys(&mut self, job: Job) -> Option<Job> {
        if job.reply.is_closed() {
            return None;
        }
        if !self.in_flight_keys.take(&job.command) {
            self.replays.observe();
            self.waiting.push(job);
            return None;
        }
        Some(job)
    }

    /// Decides in order; what is accepted joins the batch at once, so that the next command sees it.
    fn decide_all(&mut self, jobs: Vec<Job>, batch: &mut Batch) -> Vec<(Job, Refusal)> {
        let mut refused = Vec::new();
        for job in jobs {
            if job.reply.is_closed() {
                // The caller went away while the state was read; nothing was done yet.
                self.in_flight_keys.release(&job.command);
                continue;
            }
            match decide(&job.command, &self.cache, self.shard) {
                Ok(decision) => {
                    self.cache.apply(&decision.wallets);
                    let answer = batch.writes.add_decision(&job.command, decision);
                    batch.writes.add_answer(&job.command, &answer);
                    batch.decided.push((job, answer));
                }
                Err(refusal) => refused.push((job, refusal)),
            }
        }
        refused
    }

    /// Lets refusals stand that rest on the truth: on wallets read after the command came in, or guarded by this very
    /// batch. Gives back those that rest on kept wallets, to be decided again on what is read now.
    ///
    /// A wallet in flight cannot be read yet, and on a busy wallet one batch follows the other. So the batch guards it
    /// unchanged: its guard covers the wallet as it is believed to be, and the refusal stands if the batch does.
    fn confirm(&mut self, refused: Vec<(Job, Refusal)>, batch: &mut Batch) -> Vec<Job> {
        let mut again = Vec::new();
        for (job, refusal) in refused {
            let doubtful = job
                .command
                .wallets()
                .filter(|id| !batch.writes.touches(*id) && !self.cache.read_since(*id, self.epoch));
            let in_flight = |id: &WalletId| {
                let flight = self.in_flight.as_ref();
                flight.is_some_and(|flight| flight.writes.touches(*id))
            };
            let (in_flight, kept): (Vec<_>, Vec<_>) = doubtful.partition(in_flight);
            if !kept.is_empty() {
                kept.into_iter().for_each(|id| self.cache.forget(id));
                again.push(job);
                continue;
            }
            for wallet in in_flight.into_iter().filter_map(|id| self.cache.wallet(id)) {
                batch.writes.guard_unchanged(wallet.clone());
            }
            let answer = Answer::Refused(refusal);
            batch.writes.add_answer(&job.command, &answer);
            batch.decided.push((job, answer));
        }
        again
    }

    /// Phase 4: sends the batch to the database.
    fn launch(&mut self, batch: Batch) {
        let expires_at = expiry(Timestamp::now(), self.settings.idempotency_ttl);
        self.in_flight =
            Some(batch.launch(self.connection.take(), self.database.clone(), expires_at));
    }

    /// Phase 7 when all is well, which sends the next batch before it answers this one; else phases 5 and 6. Returns the
    /// commands to decide now.
    async fn settle(&mut self, committed: Committed, batch: &mut Batch) -> Vec<Job> {
        let (connection, result) = committed;
        self.connection = connection;
        let Some(InFlight {
            decided, writes, ..
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
                self.outbox_filled.notify_one();
                answer(decided, &mut self.in_flight_keys);
            }
            Err(error) => {
                if matches!(error, WriteError::KeyUsed(_)) {
                    self.replays.observe();
                }
                log_failure(&error, decided.len(), "a batch did not go through");
                self.cache.clear();
                self.recover(decided, &writes, error).await;
                self.outbox_filled.notify_one();
                // The next batch was decided on what this one would have left behind.
                let undone = std::mem::take(batch);
                self.in_flight_keys.clear();
                jobs.splice(0..0, undone.decided.into_iter().map(|(job, _)| job));
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

fn answer(decided: Vec<(Job, Answer)>, in_flight_keys: &mut InFlightKeys) {
    for (job, answer) in decided {
        in_flight_keys.release(&job.command);
        drop(job.reply.send(Ok(Outcome::Decided(Arc::new(answer)))));
    }
}
