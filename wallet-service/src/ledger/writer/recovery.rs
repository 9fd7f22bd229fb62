//! Phases 5 and 6, a batch that did not go through: its commands are decided again on locked rows.
//!
//! One path serves all reasons. When a key was used before, its stored answer is found. When another instance was
//! faster, locking the wallets first means that the second attempt cannot lose to it. When the connection was lost on the
//! way, the batch may be there or may even be committed by a server process that has not noticed yet; holding the locks of
//! its wallets settles that: either its events are in the journal, then it happened and its answers stand, or the wallets
//! are about to move on, then its version guard will never hold again. So an outcome is looked up, never guessed, and
//! nothing is done twice.
//!
//! A command that Postgres refuses, or whose wallet another session keeps locked, is found by trying each alone, so that
//! it cannot fail its neighbours.

use std::{collections::HashMap, sync::Arc};

use shared::{Timestamp, WalletId};
use sqlx::{Connection, PgConnection, Postgres};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    Writer,
    batch::{WRITE_TIMEOUT, log_failure},
    cache::{ReadEpoch, WalletCache},
    lookup::{REACH_TIMEOUT, backoff, keys, references},
};
use crate::ledger::{
    decide::decide,
    model::{
        answer::{Answer, Outcome},
        command::Command,
        error::LedgerError,
    },
    queue::Job,
    store::{
        self, WriteError,
        answers::read_answers,
        rows::{CommitMarker, Writes, expiry},
        transactions::read_references,
        wallets::{lock_wallets_in_id_order, read_wallets},
        write_batch::{is_committed, write_batch},
    },
};

/// What each of some commands came to.
type Outcomes = Vec<Result<Outcome, LedgerError>>;

/// How often a set of commands is tried against other writers before it is split, and a single one before it is given
/// up. Locked rows cannot lose, so only new wallets, keys and references of other instances can cost a try.
const TRIES_MAX: u32 = 5;

/// An attempt whose fate is unknown: if its marker is in the journal, these are the outcomes.
#[derive(Clone)]
struct UnresolvedAttempt {
    marker: CommitMarker,
    outcomes: HashMap<Uuid, Result<Outcome, LedgerError>>,
}

/// Why an attempt gave no outcomes.
struct Failed {
    error: WriteError,
    /// Set when the commit had been asked for.
    unknown: Option<UnresolvedAttempt>,
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
    /// Answers every command of a batch that failed with `error`.
    pub(super) async fn recover(
        &mut self,
        decided: Vec<(Job, Answer)>,
        writes: &Writes,
        error: WriteError,
    ) {
        let (jobs, outcomes): (Vec<Job>, Outcomes) = decided
            .into_iter()
            .map(|(job, answer)| (job, Ok(Outcome::Decided(Arc::new(answer)))))
            .unzip();
        match error {
            WriteError::Conflict(_) | WriteError::KeyUsed(_) | WriteError::Unreachable(_) => {
                self.decide_again(jobs, Vec::new()).await;
            }
            WriteError::ConnectionLost(_) => {
                let unknown = UnresolvedAttempt::of(writes, &jobs, &outcomes);
                self.decide_again(jobs, unknown.into_iter().collect()).await;
            }
            WriteError::Locked(_) | WriteError::Refused(_) => {
                self.decide_one_by_one(jobs, &[]).await
            }
        }
    }

    async fn decide_one_by_one(&mut self, jobs: Vec<Job>, unknown: &[UnresolvedAttempt]) {
        for job in jobs {
            Box::pin(self.decide_again(vec![job], unknown.to_vec())).await;
        }
    }

    /// Decides on locked rows until there are outcomes, or no caller waits for them any more.
    async fn decide_again(&mut self, mut jobs: Vec<Job>, mut unknown: Vec<UnresolvedAttempt>) {
        let (mut pause, mut tries) = (backoff(), 0);
        let until = Instant::now() + REACH_TIMEOUT;
        loop {
            // While an attempt may still be committed the commands stay together: decided without a command that the
            // others built on, one could be refused, move no version, and be committed by the old attempt after all.
            if unknown.is_empty() {
                jobs.retain(|job| !job.reply.is_closed());
            }
            if jobs.iter().all(|job| job.reply.is_closed()) {
                return;
            }
            let failed = match self.attempt(&jobs, &unknown).await {
                Ok(outcomes) => {
                    let is_replay = |outcome: &_| matches!(outcome, Ok(Outcome::Replayed(_)));
                    if outcomes.iter().any(is_replay) {
                        self.replays.observe();
                    }
                    for (job, outcome) in jobs.into_iter().zip(outcomes) {
                        drop(job.reply.send(outcome));
                    }
                    return;
                }
                Err(failed) => failed,
            };
            log_failure(
                &failed.error,
                jobs.len(),
                "commands could not be decided again yet",
            );
            unknown.extend(failed.unknown);
            tries += 1;
            match failed.error {
                WriteError::Conflict(_) | WriteError::KeyUsed(_) if tries < TRIES_MAX => {}
                WriteError::ConnectionLost(_) | WriteError::Unreachable(_)
                    if unknown.is_empty() && Instant::now() >= until =>
                {
                    return fail(jobs, LedgerError::Unavailable, &unknown);
                }
                // No caller is told that it is not known while it can still be found out.
                WriteError::ConnectionLost(_) | WriteError::Unreachable(_) => {
                    self.connection = None
                }
                _ if jobs.len() > 1 => return self.decide_one_by_one(jobs, &unknown).await,
                WriteError::Conflict(_) | WriteError::KeyUsed(_) | WriteError::Locked(_) => {
                    return fail(jobs, LedgerError::Unavailable, &unknown);
                }
                WriteError::Refused(_) => return fail(jobs, LedgerError::Internal, &unknown),
            }
            pause.wait().await;
        }
    }

    /// Decides the commands on locked rows and commits, or finds that an earlier attempt had been committed.
    async fn attempt(
        &mut self,
        jobs: &[Job],
        unknown: &[UnresolvedAttempt],
    ) -> Result<Outcomes, Failed> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => store::connect(&self.database)
                .await
                .map_err(|error| Failed {
                    error: WriteError::Unreachable(error),
                    unknown: None,
                })?,
        };
        let mut transaction = connection.begin().await?;
        let prepared =
            tokio::time::timeout(WRITE_TIMEOUT, self.prepare(&mut transaction, jobs, unknown))
                .await;
        let (outcomes, attempt) =
            prepared.map_err(|_| Failed::from(sqlx::Error::PoolTimedOut))??;
        match tokio::time::timeout(WRITE_TIMEOUT, transaction.commit()).await {
            Ok(Ok(())) => {
                self.connection = Some(connection);
                Ok(outcomes)
            }
            Ok(Err(error)) => Err(Failed {
                error: error.into(),
                unknown: attempt,
            }),
            Err(_) => Err(Failed {
                error: WriteError::ConnectionLost(sqlx::Error::PoolTimedOut),
                unknown: attempt,
            }),
        }
    }

    /// Everything of an attempt but its commit.
    async fn prepare(
        &self,
        transaction: &mut sqlx::Transaction<'_, Postgres>,
        jobs: &[Job],
        unknown: &[UnresolvedAttempt],
    ) -> Result<(Outcomes, Option<UnresolvedAttempt>), Failed> {
        let mut cache = self.lock(transaction, jobs).await?;
        for attempt in unknown {
            if is_committed(transaction, &attempt.marker).await? {
                let outcomes = jobs
                    .iter()
                    .filter_map(|job| attempt.outcomes.get(&job.command.seed).cloned());
                return Ok((outcomes.collect(), None));
            }
        }
        let (owners, references) = references(jobs.iter().map(|job| &job.command));
        for taken in read_references(transaction, &owners, &references).await? {
            cache.insert_reference(taken);
        }
        let (owners, keys) = keys(jobs.iter().map(|job| &job.command));
        let mut answered = read_answers(transaction, &owners, &keys).await?;

        let mut writes = Writes::default();
        let mut outcomes = Vec::with_capacity(jobs.len());
        for Job { command, .. } in jobs {
            outcomes.push(match answered.take(command) {
                Some(stored) => stored.outcome(command),
                None => {
                    let answer = self.decide_on(&mut cache, command, &mut writes);
                    Ok(Outcome::Decided(Arc::new(answer)))
                }
            });
        }
        write_batch(
            transaction,
            &writes,
            expiry(Timestamp::now(), self.settings.idempotency_ttl),
        )
        .await?;
        let attempt = UnresolvedAttempt::of(&writes, jobs, &outcomes);
        Ok((outcomes, attempt))
    }

    /// Locks the commands' wallets, settlement wallets included, in id order.
    async fn lock(
        &self,
        connection: &mut PgConnection,
        jobs: &[Job],
    ) -> Result<WalletCache, sqlx::Error> {
        let mut cache = WalletCache::default();
        let named: Vec<WalletId> = jobs.iter().flat_map(|job| job.command.wallets()).collect();
        for wallet in read_wallets(connection, &named).await? {
            cache.insert(wallet.id, Some(wallet), ReadEpoch::default());
        }
        let settlement = jobs
            .iter()
            .flat_map(|job| cache.missing(&job.command, self.shard));
        let ids: Vec<WalletId> = named.iter().copied().chain(settlement).collect();
        cache.clear();
        let mut locked: HashMap<WalletId, _> = lock_wallets_in_id_order(connection, &ids)
            .await?
            .into_iter()
            .map(|wallet| (wallet.id, wallet))
            .collect();
        for id in ids {
            if !cache.knows(id) {
                cache.insert(id, locked.remove(&id), ReadEpoch::default());
            }
        }
        Ok(cache)
    }

    fn decide_on(&self, cache: &mut WalletCache, command: &Command, writes: &mut Writes) -> Answer {
        let answer = match decide(command, cache, self.shard) {
            Ok(decision) => {
                cache.apply(&decision.wallets);
                writes.add_decision(command, decision)
            }
            Err(refusal) => Answer::Refused(refusal),
        };
        writes.add_answer(command, &answer);
        answer
    }
}

impl UnresolvedAttempt {
    /// Nothing is unknown of an attempt that wrote no events: deciding it again finds its keys, or changes nothing.
    fn of(
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
}

/// Tells callers that nothing was done, or, where that is not certain, that it is not known.
fn fail(jobs: Vec<Job>, error: LedgerError, unknown: &[UnresolvedAttempt]) {
    let error = if unknown.is_empty() {
        error
    } else {
        LedgerError::OutcomeUnknown
    };
    for job in jobs {
        drop(job.reply.send(Err(error)));
    }
}
