//! Phase 2, read: what the cache does not hold of what a batch names.

use std::collections::{HashMap, HashSet};

use shared::{HoldId, WalletId};
use tokio::time::Instant;

use super::{
    Writer,
    lookup::{REACH_TIMEOUT, Unread},
};
use crate::ledger::{
    model::{
        command::names::{external_ids, keys, references, reversed},
        error::LedgerError,
    },
    queue::Job,
    store::{answers::StoredAnswers, wallets::id_of},
};

impl Writer {
    /// Phase 2, wallets. Twice when a fund or withdrawal shows only now in which currency it needs a settlement wallet.
    pub(super) async fn read_wallets(&mut self, jobs: &[Job]) -> Result<(), Unread> {
        let until = reach_until(jobs);
        loop {
            let missing: HashSet<WalletId> = jobs
                .iter()
                .flat_map(|job| self.cache.missing(&job.command, self.shard))
                .collect();
            if missing.is_empty() {
                return Ok(());
            }
            let ids: Vec<WalletId> = missing.into_iter().collect();
            let found = self.lookup.wallets(&ids, until).await?;
            let mut found: HashMap<WalletId, _> = found
                .into_iter()
                .map(|found| (id_of(&found), found))
                .collect();
            for id in ids {
                let found = self.contradicted.checked(id, found.remove(&id));
                self.cache.insert_found(id, found, self.epoch);
            }
        }
    }

    /// Phase 2, holds: after their wallets, so that each is as new as its wallet at least.
    pub(super) async fn read_holds(&mut self, jobs: &[Job]) -> Result<(), Unread> {
        let commands = jobs.iter().map(|job| &job.command);
        let missing = self.cache.missing_holds(commands);
        if missing.is_empty() {
            return Ok(());
        }
        let ids: Vec<HoldId> = missing.keys().copied().collect();
        let found = self.lookup.holds(&ids, reach_until(jobs)).await?;
        self.cache.insert_holds(missing, found);
        Ok(())
    }

    /// Phase 2, stored answers, while some are to be expected. One that was not is met in phase 5.
    pub(super) async fn read_answers(&mut self, jobs: &[Job]) -> Result<StoredAnswers, Unread> {
        if !self.replays.is_active() {
            return Ok(StoredAnswers::default());
        }
        let (owners, keys) = keys(jobs.iter().map(|job| &job.command));
        if keys.is_empty() {
            return Ok(StoredAnswers::default());
        }
        let until = reach_until(jobs);
        let stored = self.lookup.answers(&owners, &keys, until).await?;
        if !stored.is_empty() {
            self.replays.observe();
        }
        Ok(stored)
    }

    /// Phase 2, references.
    pub(super) async fn read_references(&mut self, jobs: &[Job]) -> Result<(), Unread> {
        let (owners, references) = references(jobs.iter().map(|job| &job.command));
        if references.is_empty() {
            return Ok(());
        }
        let until = reach_until(jobs);
        let found = self.lookup.references(&owners, &references, until).await?;
        for taken in found {
            self.cache.insert_reference(taken);
        }
        Ok(())
    }

    /// Phase 2, callers' names of wallets.
    pub(super) async fn read_external_ids(&mut self, jobs: &[Job]) -> Result<(), Unread> {
        let (owners, names) = external_ids(jobs.iter().map(|job| &job.command));
        if names.is_empty() {
            return Ok(());
        }
        let until = reach_until(jobs);
        for taken in self.lookup.external_ids(&owners, &names, until).await? {
            self.cache.insert_external_id(taken);
        }
        Ok(())
    }

    /// Phase 2, what was taken back of transactions that are to be taken back. No two commands that take back the same are
    /// decided at a time.
    pub(super) async fn read_reversed(&mut self, jobs: &[Job]) -> Result<(), Unread> {
        let ids = reversed(jobs.iter().map(|job| &job.command));
        if ids.is_empty() {
            return Ok(());
        }
        for (id, so_far) in self.lookup.reversed(&ids, reach_until(jobs)).await? {
            self.cache.insert_reversed(id, so_far);
        }
        Ok(())
    }

    /// Answers commands that are not decided, if they were answered before under their keys; the others hear `otherwise`.
    /// What stands against a command may have come after its answer.
    pub(super) async fn answer_again(&mut self, jobs: Vec<Job>, otherwise: LedgerError) {
        let (owners, keys) = keys(jobs.iter().map(|job| &job.command));
        let stored = if keys.is_empty() {
            Ok(StoredAnswers::default())
        } else {
            let until = reach_until(&jobs);
            self.lookup.answers(&owners, &keys, until).await
        };
        match stored {
            Ok(stored) => {
                for job in self.replay(jobs, &stored) {
                    self.finish(job, Err(otherwise));
                }
            }
            Err(unread) => self.leave_undecided(jobs, unread),
        }
    }

    /// Answers the commands that were answered before under their keys; gives back the others.
    pub(super) fn replay(&mut self, jobs: Vec<Job>, answered: &StoredAnswers) -> Vec<Job> {
        let mut others = Vec::with_capacity(jobs.len());
        for job in jobs {
            match answered.get(&job.command) {
                Some(stored) => {
                    let outcome = stored.outcome(&job.command);
                    self.finish(job, outcome);
                }
                None => others.push(job),
            }
        }
        others
    }
}

/// Until when Postgres is asked for what these commands need, so that the first of their callers hears in time.
fn reach_until(jobs: &[Job]) -> Instant {
    let first = jobs.iter().map(|job| job.queued_at).min();
    first.unwrap_or_else(Instant::now) + REACH_TIMEOUT
}
