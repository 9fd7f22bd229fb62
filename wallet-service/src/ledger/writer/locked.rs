//! An attempt on locked rows: the commands' wallets are locked and read, the commands are decided on them, written and
//! committed, in one transaction. It cannot lose to another instance.
//!
//! It is made when an outcome has to be found out ([`super::recovery`]), and for every batch while another instance writes
//! the same wallets all the time ([`super::contention`]).

use std::{collections::HashMap, sync::Arc};

use shared::{HoldId, WalletId};
use sqlx::{Connection, PgConnection, Postgres};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    Writer,
    batch::Room,
    cache::{ReadEpoch, WalletCache},
    deciding::done_before,
    recovery::Redo,
    trace,
};
use crate::ledger::{
    decide::{LedgerView, NotDone, decide},
    model::{
        answer::{Answer, Outcome},
        command::{
            Command,
            names::{external_ids, keys, references, reversed},
        },
        error::LedgerError,
    },
    queue::Job,
    store::{
        WriteError,
        answers::{StoredAnswers, read_answers, references::read_references},
        external_ids::read_external_ids,
        holds::read_holds,
        rows::{CommitMarker, Writes},
        session::{CALL_TIMEOUT, Session, in_time},
        transactions::read_reversed,
        wallets::{id_of, lock_free_wallets, lock_wallets_in_id_order, read_wallets},
        write_batch::{is_committed, write_batch},
    },
};

/// What each of some commands came to.
pub(super) type Outcomes = Vec<Result<Outcome, LedgerError>>;

/// An attempt whose fate is unknown: if its marker is in the journal, these are the outcomes.
#[derive(Clone)]
pub(super) struct UnresolvedAttempt {
    pub(super) marker: CommitMarker,
    outcomes: HashMap<Uuid, Result<Outcome, LedgerError>>,
}

/// Why an attempt gave no outcomes.
pub(super) struct Failed {
    pub(super) error: WriteError,
    /// Set when the commit had been asked for.
    pub(super) unknown: Option<UnresolvedAttempt>,
}

/// Everything of an attempt but its commit.
struct Prepared {
    outcomes: Outcomes,
    attempt: Option<UnresolvedAttempt>,
    /// The wallets as the attempt leaves them.
    wallets: WalletCache,
}

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self {
            error: error.into(),
            unknown: None,
        }
    }
}

impl Writer {
    /// The phases of a batch while another instance writes the same wallets: nothing is decided on kept state, and
    /// nothing ahead.
    pub(super) async fn decide_locked(&mut self, mut jobs: Vec<Job>) {
        self.set_aside_settling(&mut jobs);
        if jobs.is_empty() {
            return;
        }
        let redo = Redo::lock_first(jobs);
        self.decide_again(redo).await;
        self.outbox_filled.notify_one();
    }

    /// Decides the commands on locked rows and commits, or finds that an earlier attempt had been committed.
    pub(super) async fn attempt(&mut self, redo: &mut Redo) -> Result<Outcomes, Failed> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => Session::open(&self.database)
                .await
                .map_err(|error| Failed {
                    error: WriteError::Unreachable(error),
                    unknown: None,
                })?,
        };
        let tried = self.attempt_on(&mut session, redo).await;
        match &tried {
            Err(Failed {
                error: WriteError::ConnectionLost(_),
                ..
            }) => {
                self.lost.push(session.backend());
                self.lookup.disconnect();
            }
            // Another connection may reach a server that takes writes.
            Err(Failed {
                error: WriteError::NotNow(_),
                ..
            }) => {}
            Ok(_) | Err(_) => self.session = Some(session),
        }
        tried
    }

    async fn attempt_on(
        &mut self,
        session: &mut Session,
        redo: &mut Redo,
    ) -> Result<Outcomes, Failed> {
        let gathered = Instant::now();
        let mut transaction = in_time(session.connection.begin()).await?;
        let preparing = self.prepare(&mut transaction, redo);
        let prepared = tokio::time::timeout(CALL_TIMEOUT, preparing).await;
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(_) => Err(sqlx::Error::PoolTimedOut.into()),
        };
        let Prepared {
            outcomes,
            attempt,
            wallets,
        } = match prepared {
            Ok(prepared) => prepared,
            Err(failed) => {
                if !matches!(failed.error, WriteError::ConnectionLost(_)) {
                    in_time(transaction.rollback()).await?;
                }
                return Err(failed);
            }
        };
        let began = Instant::now();
        let committed = in_time(transaction.commit()).await;
        self.metrics.committed_in().observe(began.elapsed());
        match committed {
            Ok(()) => {
                self.metrics.batch_committed(outcomes.len());
                trace::committed(&redo.jobs, gathered);
                self.cache.take_in(wallets, self.epoch);
                Ok(outcomes)
            }
            Err(error) => Err(Failed {
                error: error.into(),
                unknown: attempt,
            }),
        }
    }

    async fn prepare(
        &mut self,
        transaction: &mut sqlx::Transaction<'_, Postgres>,
        redo: &mut Redo,
    ) -> Result<Prepared, Failed> {
        let mut wallets = self.lock(transaction, &redo.jobs).await?;
        for attempt in &redo.unknown {
            if is_committed(transaction, &attempt.marker).await? {
                return Ok(Prepared {
                    outcomes: attempt.outcomes_of(&redo.jobs),
                    attempt: None,
                    wallets,
                });
            }
        }
        if redo.joins {
            self.join(transaction, &mut wallets, &mut redo.jobs).await?;
        }
        read_missing_holds(transaction, &mut wallets, &redo.jobs).await?;
        let jobs = &redo.jobs;
        let (owners, references) = references(jobs.iter().map(|job| &job.command));
        if !references.is_empty() {
            for taken in read_references(transaction, &owners, &references).await? {
                wallets.insert_reference(taken);
            }
        }
        let (owners, names) = external_ids(jobs.iter().map(|job| &job.command));
        if !names.is_empty() {
            for taken in read_external_ids(transaction, &owners, &names).await? {
                wallets.insert_external_id(taken);
            }
        }
        read_what_was_reversed(transaction, &mut wallets, jobs).await?;
        let (owners, keys) = keys(jobs.iter().map(|job| &job.command));
        // A wallet may have become unreadable after a command's answer.
        let is_unreadable = |job: &Job| wallets.cannot_decide(&job.command, self.shard);
        let looks_up_keys =
            redo.looks_up_keys || self.replays.is_active() || jobs.iter().any(is_unreadable);
        let answered = if keys.is_empty() || !looks_up_keys {
            StoredAnswers::default()
        } else {
            read_answers(transaction, &owners, &keys).await?
        };

        let mut writes = Writes::default();
        let mut outcomes = Vec::with_capacity(jobs.len());
        for Job { command, .. } in jobs {
            outcomes.push(match answered.get(command) {
                Some(stored) => stored.outcome(command),
                None if wallets.cannot_decide(command, self.shard) => Err(LedgerError::Internal),
                None => self.decide_on(&mut wallets, command, &mut writes),
            });
        }
        if !writes.is_empty() {
            let began = Instant::now();
            redo.touched = writes.wallets.keys().copied().collect();
            write_batch(transaction, &writes, self.settings.idempotency_ttl).await?;
            self.metrics.written().observe(began.elapsed());
        }
        let attempt = UnresolvedAttempt::of(&writes, jobs, &outcomes);
        Ok(Prepared {
            outcomes,
            attempt,
            wallets,
        })
    }

    /// Locks the commands' wallets, settlement wallets included, in id order.
    async fn lock(
        &mut self,
        connection: &mut PgConnection,
        jobs: &[Job],
    ) -> Result<WalletCache, sqlx::Error> {
        let shard = self.shard;
        let settled = jobs.iter().filter_map(|job| job.command.settled_wallet());
        let unknown: Vec<WalletId> = settled
            .filter(|id| self.cache.currency(*id).is_none())
            .collect();
        let mut currencies = WalletCache::default();
        if !unknown.is_empty() {
            for found in read_wallets(connection, &unknown).await? {
                currencies.insert_found(id_of(&found), Some(found), ReadEpoch::default());
            }
        }
        let needed = |job: &Job| {
            let known = self.cache.needed(&job.command, shard);
            known.chain(currencies.needed(&job.command, shard))
        };
        let mut ids: Vec<WalletId> = jobs.iter().flat_map(needed).collect();
        let mut wallets = WalletCache::default();
        // Again when a settlement wallet turns out to be near its end: the next one of the shard takes its place.
        while !ids.is_empty() {
            let mut locked: HashMap<WalletId, _> = lock_wallets_in_id_order(connection, &ids)
                .await?
                .into_iter()
                .map(|found| (id_of(&found), found))
                .collect();
            let has_moved = locked.values().flatten().any(|wallet| {
                let kept = self.cache.wallet(wallet.id);
                kept.is_some_and(|kept| kept.version != wallet.version)
            });
            if has_moved {
                self.contention.observe();
            }
            for id in ids {
                if !wallets.knows(id) {
                    let found = self.contradicted.checked(id, locked.remove(&id));
                    wallets.insert_found(id, found, ReadEpoch::default());
                }
            }
            let missing = jobs
                .iter()
                .flat_map(|job| wallets.missing(&job.command, shard));
            ids = missing.collect();
        }
        Ok(wallets)
    }

    /// Takes in commands that were queued while the wallets were waited for, as far as their wallets can be had without
    /// waiting: locks that are waited for would not be taken in id order.
    async fn join(
        &mut self,
        connection: &mut PgConnection,
        wallets: &mut WalletCache,
        jobs: &mut Vec<Job>,
    ) -> Result<(), sqlx::Error> {
        let mut room = Room::beside(jobs.iter(), self.settings.batch_max);
        let mut queued = Vec::new();
        while !room.is_full()
            && let Some(job) = self.next_queued()
        {
            room.take(&job);
            queued.push(job);
        }
        let queued: Vec<Job> = queued
            .into_iter()
            .filter_map(|job| self.take_keys(job))
            .collect();
        let (asking, queued): (Vec<Job>, Vec<Job>) =
            queued.into_iter().partition(|job| job.only_answered);
        for job in asking {
            self.in_flight_keys.release(&job.command);
            self.waiting.push(job);
        }
        if queued.is_empty() {
            return Ok(());
        }
        let shard = self.shard;
        let needed = queued
            .iter()
            .flat_map(|job| self.cache.needed(&job.command, shard));
        let unlocked: Vec<WalletId> = needed.filter(|id| !wallets.knows(*id)).collect();
        let locked = if unlocked.is_empty() {
            Ok(Vec::new())
        } else {
            lock_free_wallets(connection, &unlocked).await
        };
        let (locked, result) = match locked {
            Ok(locked) => (locked, Ok(())),
            Err(error) => (Vec::new(), Err(error)),
        };
        for found in locked {
            let id = id_of(&found);
            let found = self.contradicted.checked(id, Some(found));
            wallets.insert_found(id, found, ReadEpoch::default());
        }
        for job in queued {
            let is_ready = job
                .command
                .settled_wallet()
                .is_none_or(|id| wallets.currency(id).is_some())
                && wallets.missing(&job.command, shard).next().is_none();
            if is_ready && result.is_ok() {
                jobs.push(job);
            } else {
                self.in_flight_keys.release(&job.command);
                self.waiting.push(job);
            }
        }
        result
    }

    fn decide_on(
        &self,
        wallets: &mut WalletCache,
        command: &Command,
        writes: &mut Writes,
    ) -> Result<Outcome, LedgerError> {
        let outcome = match decide(command, wallets, self.rules()) {
            Ok(decision) => {
                wallets.apply(&decision);
                let answer = writes.add_decision(command, decision);
                Outcome::Decided(Arc::new(answer))
            }
            Err(NotDone::Refused(refusal)) => Outcome::Decided(Arc::new(Answer::Refused(refusal))),
            Err(NotDone::DoneBefore(Some(receipt))) => done_before(*receipt),
            Err(NotDone::Unusable(_) | NotDone::DoneBefore(None)) => {
                return Err(LedgerError::Internal);
            }
        };
        self.keep_refusal(&*wallets, command, outcome.answer(), writes);
        writes.add_answer(command, outcome.answer());
        Ok(outcome)
    }
}

/// What was taken back of what the commands take back.
async fn read_what_was_reversed(
    connection: &mut PgConnection,
    wallets: &mut WalletCache,
    jobs: &[Job],
) -> Result<(), sqlx::Error> {
    let ids = reversed(jobs.iter().map(|job| &job.command));
    if ids.is_empty() {
        return Ok(());
    }
    for (id, so_far) in read_reversed(connection, &ids).await? {
        wallets.insert_reversed(id, so_far);
    }
    Ok(())
}

/// The holds of the commands, whose wallets are locked.
async fn read_missing_holds(
    connection: &mut PgConnection,
    wallets: &mut WalletCache,
    jobs: &[Job],
) -> Result<(), sqlx::Error> {
    let missing = wallets.missing_holds(jobs.iter().map(|job| &job.command));
    if missing.is_empty() {
        return Ok(());
    }
    let ids: Vec<HoldId> = missing.keys().copied().collect();
    let found = read_holds(connection, &ids).await?;
    wallets.insert_holds(missing, found);
    Ok(())
}

impl UnresolvedAttempt {
    /// Nothing is unknown of an attempt that wrote no events: deciding it again finds its keys, or changes nothing.
    pub(super) fn of(
        writes: &Writes,
        jobs: &[Job],
        outcomes: &[Result<Outcome, LedgerError>],
    ) -> Option<Self> {
        let seeds = jobs.iter().map(|job| job.command.seed);
        Some(Self {
            marker: writes.marker?,
            outcomes: seeds.zip(outcomes.iter().cloned()).collect(),
        })
    }

    /// What these commands came to, should the attempt have been committed.
    pub(super) fn outcomes_of(&self, jobs: &[Job]) -> Outcomes {
        let outcomes = jobs
            .iter()
            .filter_map(|job| self.outcomes.get(&job.command.seed).cloned());
        outcomes.collect()
    }
}
