//! The writer: one task that turns queued commands into batches and commits them, one after the other.
//!
//! A batch goes through numbered phases:
//!
//! 1. **Gather** what is queued. A command whose key or reference is already on its way waits for that one's answer.
//! 2. **Read** what the book does not hold: wallets, references, and, while callers repeat themselves, stored answers. A
//!    constant number of statements.
//! 3. **Decide** each command in order, in memory. A refusal that rests on kept state is decided again on fresh state.
//! 4. **Write** everything in one guarded statement, which is also the commit.
//! 5. **Conflict?** Another instance was faster, or a key was used before: [`super::recovery`] decides the batch again,
//!    on locked rows.
//! 6. **Lost?** The connection ended before the answer came: recovery looks whether the batch is there.
//! 7. **Answer** each caller.
//!
//! While one batch is at the database (4) the next one is gathered, read and decided (1 to 3) on the state the first
//! leaves behind; it is sent only when the first has been committed. If the first failed (5, 6), the next one is decided
//! again from its commands: nothing rests on what did not happen.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use shared::{Timestamp, WalletId};
use sqlx::{PgConnection, postgres::PgConnectOptions};
use tokio::sync::{Notify, mpsc};

use super::{
    Job, Ledger, LedgerError, LedgerSettings, Outcome,
    answer::{Answer, Refusal},
    batch::{Batch, Committed, InFlight, tell},
    book::{Book, Round},
    claims::Claims,
    decide::{decide, needed},
    lane::Lane,
    lookup::{Lookup, Unreachable, keys, references},
    repeats::Repeats,
    store::{Answered, WriteError},
    writes::expiry,
};

/// See the module.
pub struct Engine {
    pub(super) database: PgConnectOptions,
    pub(super) settings: LedgerSettings,
    pub(super) lane: Lane,
    queue: mpsc::Receiver<Job>,
    /// Rung after each commit, so that the relay need not poll.
    outbox_filled: Arc<Notify>,
    book: Book,
    round: Round,
    /// Commands that wait for the batch in flight.
    waiting: Vec<Job>,
    /// Keys and references of the batch being made and of the one in flight.
    claims: Claims,
    in_flight: Option<InFlight>,
    lookup: Lookup,
    repeats: Repeats,
    /// The connection batches are written on; with the batch while one is in flight.
    pub(super) writer: Option<PgConnection>,
}

/// What a round's commands came to.
enum Turn {
    /// Commands were decided, or some waiting were set free.
    Go(Vec<Job>),
    /// Nobody can send commands any more, and all were answered.
    End,
}

impl Engine {
    /// A ledger and the engine behind it, which must be [run](Self::run) for the ledger to answer.
    pub fn new(
        database: PgConnectOptions,
        settings: LedgerSettings,
        lane: Lane,
        outbox_filled: Arc<Notify>,
    ) -> (Ledger, Self) {
        let (ledger, queue) = Ledger::new(&settings);
        let engine = Self {
            lookup: Lookup::new(database.clone()),
            database,
            settings,
            lane,
            queue,
            outbox_filled,
            book: Book::default(),
            round: Round::default(),
            waiting: Vec::new(),
            claims: Claims::default(),
            in_flight: None,
            repeats: Repeats::default(),
            writer: None,
        };
        (ledger, engine)
    }

    /// Runs until every [`Ledger`] is gone and everything queued is answered.
    pub async fn run(mut self) {
        let mut batch = Batch::default();
        while let Turn::Go(jobs) = self.gather(&mut batch).await {
            self.decide_round(jobs, &mut batch).await;
            if batch.writes.is_empty() {
                // Refusals on fresh state that nobody may ask for again: there is nothing to commit.
                answer(std::mem::take(&mut batch.decided), &mut self.claims);
            } else if self.in_flight.is_none() {
                self.launch(std::mem::take(&mut batch));
            }
        }
    }

    /// Phase 1: commands to decide. Returns as soon as there are some, or the batch in flight has come back.
    async fn gather(&mut self, batch: &mut Batch) -> Turn {
        let room = self.settings.batch_max.saturating_sub(batch.decided.len());
        if self.in_flight.is_none() && !self.waiting.is_empty() {
            // What they waited for was answered without a commit. Only one of them may have its turn now, when all wait
            // for one key; so those that are queued behind them come along, or they would wait for a key of others.
            let mut jobs = std::mem::take(&mut self.waiting);
            jobs.extend(std::iter::from_fn(|| self.queue.try_recv().ok()).take(room));
            return Turn::Go(jobs);
        }
        loop {
            let open = !self.queue.is_closed() || !self.queue.is_empty();
            let mut jobs = Vec::new();
            tokio::select! {
                biased;
                committed = committed(&mut self.in_flight), if self.in_flight.is_some() => {
                    return Turn::Go(self.settle(committed, batch).await);
                }
                received = self.queue.recv_many(&mut jobs, room), if room > 0 && open => {
                    if received > 0 {
                        return Turn::Go(jobs);
                    }
                }
                else => return Turn::End,
            }
        }
    }

    /// Phases 2 and 3 for newly gathered commands, which join the batch. What cannot be read is not decided, and its
    /// callers are told that nothing was done.
    async fn decide_round(&mut self, jobs: Vec<Job>, batch: &mut Batch) {
        self.round = self.round.next();
        let mut jobs: Vec<Job> = jobs.into_iter().filter_map(|job| self.claim(job)).collect();
        if let Err(Unreachable) = self.read_and_decide(&mut jobs, batch).await {
            for job in jobs {
                self.claims.release(&job.command);
                drop(job.reply.send(Err(LedgerError::Unavailable)));
            }
        }
        self.book.end_round();
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

        // At most twice: once on what the book holds, and refusals once more on what was read in this round.
        while !jobs.is_empty() {
            self.read_wallets(jobs).await?;
            let refused = self.decide_all(std::mem::take(jobs), batch);
            *jobs = self.confirm(refused, batch);
        }
        Ok(())
    }

    /// Takes the command's key and reference, or lets it wait for the command that has them. A caller who is gone is
    /// spared the work: nothing was done for it yet.
    fn claim(&mut self, job: Job) -> Option<Job> {
        if job.reply.is_closed() {
            return None;
        }
        if !self.claims.take(&job.command) {
            self.repeats.found();
            self.waiting.push(job);
            return None;
        }
        Some(job)
    }

    /// Answers the commands that were answered before under their keys; gives back the others.
    fn replay(&mut self, jobs: Vec<Job>, mut answered: Answered) -> Vec<Job> {
        let mut others = Vec::with_capacity(jobs.len());
        for job in jobs {
            match answered.take(&job.command) {
                Some(stored) => {
                    self.claims.release(&job.command);
                    drop(job.reply.send(Ok(stored.outcome(&job.command))));
                }
                None => others.push(job),
            }
        }
        others
    }

    /// Decides in order; what is accepted joins the batch at once, so that the next command sees it.
    fn decide_all(&mut self, jobs: Vec<Job>, batch: &mut Batch) -> Vec<(Job, Refusal)> {
        let mut refused = Vec::new();
        for job in jobs {
            if job.reply.is_closed() {
                // The caller went away while the state was read; nothing was done yet.
                self.claims.release(&job.command);
                continue;
            }
            match decide(&job.command, &self.book, self.lane) {
                Ok(decision) => {
                    self.book.apply(&decision);
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
    /// A wallet in flight cannot be read yet, and on a busy wallet one batch follows the other. So the batch vouches for
    /// it: its guard covers the wallet as it is believed to be, and the refusal stands if the batch does.
    fn confirm(&mut self, refused: Vec<(Job, Refusal)>, batch: &mut Batch) -> Vec<Job> {
        let mut again = Vec::new();
        for (job, refusal) in refused {
            let doubtful = job
                .command
                .wallets()
                .filter(|id| !batch.writes.touches(*id) && !self.book.read_since(*id, self.round));
            let in_flight = |id: &WalletId| {
                let flight = self.in_flight.as_ref();
                flight.is_some_and(|flight| flight.writes.touches(*id))
            };
            let (in_flight, kept): (Vec<_>, Vec<_>) = doubtful.partition(in_flight);
            if !kept.is_empty() {
                kept.into_iter().for_each(|id| self.book.forget(id));
                again.push(job);
                continue;
            }
            for wallet in in_flight.into_iter().filter_map(|id| self.book.wallet(id)) {
                batch.writes.vouch(wallet.clone());
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
        self.in_flight = Some(batch.launch(self.writer.take(), self.database.clone(), expires_at));
    }

    /// Phase 7 when all is well, which sends the next batch before it answers this one; else phases 5 and 6. Returns the
    /// commands to decide now.
    async fn settle(&mut self, committed: Committed, batch: &mut Batch) -> Vec<Job> {
        let (connection, result) = committed;
        self.writer = connection;
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
                answer(decided, &mut self.claims);
            }
            Err(error) => {
                if matches!(error, WriteError::Repeated(_)) {
                    self.repeats.found();
                }
                tell(&error, decided.len(), "a batch did not go through");
                self.book.clear();
                self.recover(decided, &writes, error).await;
                self.outbox_filled.notify_one();
                // The next batch was decided on what this one would have left behind.
                let undone = std::mem::take(batch);
                self.claims.clear();
                jobs.splice(0..0, undone.decided.into_iter().map(|(job, _)| job));
            }
        }
        jobs
    }

    /// Phase 2, wallets. Twice when a fund or withdrawal shows only now in which currency it needs a settlement wallet.
    async fn read_wallets(&mut self, jobs: &[Job]) -> Result<(), Unreachable> {
        loop {
            let missing: HashSet<WalletId> = jobs
                .iter()
                .flat_map(|job| needed(&job.command, &self.book, self.lane))
                .collect();
            if missing.is_empty() {
                return Ok(());
            }
            let ids: Vec<WalletId> = missing.into_iter().collect();
            let found = self.lookup.wallets(&ids).await?;
            let mut found: HashMap<WalletId, _> = found
                .into_iter()
                .map(|wallet| (wallet.id, wallet))
                .collect();
            for id in ids {
                self.book.enter(id, found.remove(&id), self.round);
            }
        }
    }

    /// Phase 2, stored answers, while some are to be expected. One that was not is met in phase 5.
    async fn read_answers(&mut self, jobs: &[Job]) -> Result<Answered, Unreachable> {
        if !self.repeats.are_about() {
            return Ok(Answered::default());
        }
        let (owners, keys) = keys(jobs.iter().map(|job| &job.command));
        if keys.is_empty() {
            return Ok(Answered::default());
        }
        let stored = self.lookup.answers(&owners, &keys).await?;
        if !stored.is_empty() {
            self.repeats.found();
        }
        Ok(Answered::of(stored))
    }

    /// Phase 2, references.
    async fn read_references(&mut self, jobs: &[Job]) -> Result<(), Unreachable> {
        let (owners, references) = references(jobs.iter().map(|job| &job.command));
        if references.is_empty() {
            return Ok(());
        }
        let found = self.lookup.references(&owners, &references).await?;
        for (owner, reference, transaction_id) in found {
            self.book.enter_reference(owner, reference, transaction_id);
        }
        Ok(())
    }
}

/// Waits for the batch in flight; for ever when there is none. May be dropped and called again.
async fn committed(in_flight: &mut Option<InFlight>) -> Committed {
    match in_flight {
        Some(flight) => flight.committed().await,
        None => std::future::pending().await,
    }
}

fn answer(decided: Vec<(Job, Answer)>, claims: &mut Claims) {
    for (job, answer) in decided {
        claims.release(&job.command);
        drop(job.reply.send(Ok(Outcome::Decided(Arc::new(answer)))));
    }
}
