//! Commands whose wallet, key or reference another session keeps locked: they wait here, and the others do not.
//!
//! A batch is written whole or not at all, so one locked row would stop all of it, and every batch after it. What is found
//! locked is remembered, and a command that touches it is set aside before it gets into a batch. From time to time it is
//! looked, on a connection of its own and without waiting, whether the locks are gone; then those who waited go on, in
//! their order. A wallet that is locked at each look and was written in between is not kept locked: others write it in
//! turns, and its commands take theirs. A command that has waited for [`LOCKED_TIMEOUT`] is answered that nothing was
//! done, which is certain: it was never written.

mod probe;

use std::{collections::HashMap, time::Duration};

use shared::{WalletId, server::backoff::Backoff};
use sqlx::postgres::PgConnectOptions;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep_until},
};

pub(super) use self::probe::Found;
use self::probe::{Asked, Prober};
use super::in_flight::InFlightKeys;
use crate::ledger::{
    metrics::LedgerMetrics, model::error::LedgerError, queue::Job, store::locks::WrittenBy,
};

/// How long a command waits for a lock of another session. Its caller hears within three seconds.
const LOCKED_TIMEOUT: Duration = Duration::from_millis(2500);

/// What is locked for longer is told to operators.
const TOLD_AFTER: Duration = Duration::from_secs(1);

/// Between two looks: at first as long as a commit takes, then as long as no caller minds.
const LOOK_FIRST: Duration = Duration::from_millis(10);
const LOOK_MAX: Duration = Duration::from_millis(400);

/// A command that waits, and the wallets it would touch, settlement wallets included.
struct Parked {
    job: Job,
    wallets: Vec<WalletId>,
    why: Why,
}

/// What a command was set aside for, beside wallets that are locked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Why {
    /// Wallets it touches, a whole table, or a command before it.
    Locked,
    /// Its key or reference is being inserted by another session.
    BeingInserted,
}

/// See the module.
pub(super) struct Blocked {
    /// Each as it stood at the last look.
    wallets: HashMap<WalletId, WrittenBy>,
    /// A table is locked.
    everything: bool,
    /// In the order in which they came.
    parked: Vec<Parked>,
    /// Keys and references of those that are parked.
    keys: InFlightKeys,
    prober: Prober,
    looking: Option<JoinHandle<(Prober, Option<Found>)>>,
    pause: Backoff,
    look_at: Instant,
    /// Since when something is locked, and how many commands were set aside for it.
    period: Option<Period>,
    metrics: LedgerMetrics,
}

struct Period {
    since: Instant,
    /// It has been told of. Another instance that commits slowly is not worth a word.
    is_told: bool,
    set_aside: u64,
    given_up: u64,
}

impl Blocked {
    pub(super) fn new(database: PgConnectOptions, metrics: LedgerMetrics) -> Self {
        Self {
            wallets: HashMap::new(),
            everything: false,
            parked: Vec::new(),
            keys: InFlightKeys::default(),
            prober: Prober::new(database),
            looking: None,
            pause: pause(),
            look_at: Instant::now(),
            period: None,
            metrics,
        }
    }

    /// Whether a command for these wallets has to wait.
    pub(super) fn concerns(&self, job: &Job, mut wallets: impl Iterator<Item = WalletId>) -> bool {
        if self.period.is_none() {
            return false;
        }
        self.everything
            || wallets.any(|id| self.wallets.contains_key(&id))
            || self.keys.has_any_of(&job.command)
    }

    /// Whether some command waits here.
    pub(super) fn holds_commands(&self) -> bool {
        !self.parked.is_empty()
    }

    /// Sets a command aside. `wallets` are all that it would touch, as far as is known.
    pub(super) fn park(&mut self, job: Job, wallets: Vec<WalletId>, why: Why) {
        self.begin_period().set_aside += 1;
        if self.parked.is_empty() {
            self.look_soon();
        }
        self.keys.add(&job.command);
        self.parked.push(Parked { job, wallets, why });
        self.tell();
    }

    /// Remembers what was found locked.
    pub(super) fn remember(&mut self, wallets: &HashMap<WalletId, WrittenBy>) {
        let before = self.wallets.len();
        let wallets = wallets.iter();
        self.wallets
            .extend(wallets.map(|(id, written)| (*id, written.clone())));
        if self.wallets.len() > before {
            self.begin_period();
            self.look_soon();
            self.tell();
        }
    }

    pub(super) fn remember_tables(&mut self) {
        if !self.everything {
            self.everything = true;
            self.begin_period();
            self.look_soon();
        }
    }

    /// What keeps these commands from being written, each with the wallets it would touch. Nothing when it cannot be
    /// found out, or is gone again.
    pub(super) async fn find(&mut self, jobs: &[(Job, Vec<WalletId>)]) -> Found {
        let asked = Asked::about(jobs.iter().map(|(job, wallets)| (job, wallets.as_slice())));
        self.prober.look(&asked).await.unwrap_or_default()
    }

    /// Waits until commands may go on, and gives them back in their order; for ever when nothing is locked. May be dropped
    /// and called again.
    pub(super) async fn released(&mut self) -> Vec<Job> {
        loop {
            let Some(wake_at) = self.wake_at() else {
                return std::future::pending().await;
            };
            let found = match &mut self.looking {
                Some(looking) => tokio::select! {
                    looked = looking => Some(looked.ok()),
                    () = sleep_until(wake_at) => None,
                },
                None => {
                    sleep_until(wake_at).await;
                    None
                }
            };
            if let Some(looked) = found {
                self.looking = None;
                self.look_at = Instant::now() + self.pause.next_pause();
                if let Some((prober, found)) = looked {
                    self.prober = prober;
                    let released = found.map(|found| self.release(&found)).unwrap_or_default();
                    if !released.is_empty() {
                        return released;
                    }
                }
            }
            self.give_up_late();
            self.tell_if_it_stays();
            if self.looking.is_none() && Instant::now() >= self.look_at {
                self.look();
            }
        }
    }

    /// When there is something to do next, other than to hear of a look.
    fn wake_at(&self) -> Option<Instant> {
        self.period.as_ref()?;
        let late = self.parked.iter().map(|parked| late(&parked.job)).min();
        let look = self.looking.is_none().then_some(self.look_at);
        late.into_iter().chain(look).min().or(Some(
            // A look is on its way, and nothing waits for it.
            Instant::now() + LOOK_MAX,
        ))
    }

    fn look_soon(&mut self) {
        self.pause = pause();
        self.look_at = Instant::now() + self.pause.next_pause();
    }

    fn look(&mut self) {
        let waiting = self.parked.iter();
        let mut asked = Asked::about(
            waiting
                .filter(|parked| parked.why == Why::BeingInserted)
                .map(|parked| (&parked.job, &[][..])),
        );
        asked.wallets.extend(self.wallets.keys());
        let mut prober = self.prober.take();
        self.looking = Some(tokio::spawn(async move {
            let found = prober.look(&asked).await;
            (prober, found)
        }));
    }

    /// Lets go of the commands that nothing keeps any more.
    fn release(&mut self, found: &Found) -> Vec<Job> {
        self.everything = found.tables;
        // What was found locked since the look began stays so until the next one.
        self.wallets.retain(|id, written| {
            !found.asked.contains(id) || found.wallets.get(id) == Some(written)
        });
        if self.everything {
            return Vec::new();
        }
        self.keys.clear();
        let mut released = Vec::new();
        for parked in std::mem::take(&mut self.parked) {
            let kept = parked
                .wallets
                .iter()
                .any(|id| self.wallets.contains_key(id))
                || self.keys.has_any_of(&parked.job.command)
                || (parked.why == Why::BeingInserted
                    && found.may_be_inserting(parked.job.command.seed));
            if kept {
                self.keys.add(&parked.job.command);
                self.parked.push(parked);
            } else {
                released.push(parked.job);
            }
        }
        self.end_period();
        self.tell();
        released
    }

    /// Answers those who have waited for too long, and forgets those whose callers are gone.
    fn give_up_late(&mut self) {
        let now = Instant::now();
        let is_done_with = |job: &Job| late(job) <= now || job.reply.is_closed();
        if !self.parked.iter().any(|parked| is_done_with(&parked.job)) {
            return;
        }
        self.keys.clear();
        for parked in std::mem::take(&mut self.parked) {
            if is_done_with(&parked.job) {
                if let Some(period) = &mut self.period {
                    period.given_up += 1;
                }
                let nothing_done = Err(LedgerError::Unavailable);
                if !parked.job.reply.is_closed() {
                    self.metrics.settled(&parked.job.command, &nothing_done);
                }
                drop(parked.job.reply.send(nothing_done));
            } else {
                self.keys.add(&parked.job.command);
                self.parked.push(parked);
            }
        }
        self.end_period();
        self.tell();
    }

    /// How many wallets are locked, and how many commands wait.
    fn tell(&self) {
        self.metrics.blocked(self.wallets.len(), self.parked.len());
        let is_told = self.period.as_ref().is_some_and(|period| period.is_told);
        self.metrics.tables_locked(self.everything && is_told);
    }

    fn begin_period(&mut self) -> &mut Period {
        self.period.get_or_insert_with(Period::begun)
    }

    /// Says once that something stays locked.
    fn tell_if_it_stays(&mut self) {
        let Some(period) = &mut self.period else {
            return;
        };
        if period.is_told || period.since.elapsed() < TOLD_AFTER {
            return;
        }
        period.is_told = true;
        let wallet_id = self.wallets.keys().next().map(ToString::to_string);
        tracing::warn!(
            wallet_id,
            wallets = self.wallets.len(),
            tables = self.everything,
            "another session keeps locked what commands need: these wait, and are told in time that nothing was done"
        );
        self.tell();
    }

    fn end_period(&mut self) {
        if self.everything || !self.wallets.is_empty() || !self.parked.is_empty() {
            return;
        }
        if let Some(Period {
            since,
            is_told: true,
            set_aside,
            given_up,
        }) = self.period.take()
        {
            tracing::warn!(
                milliseconds = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX),
                commands = set_aside,
                given_up,
                "nothing that commands need is locked by another session any more"
            );
        }
    }
}

impl Period {
    fn begun() -> Self {
        Self {
            since: Instant::now(),
            is_told: false,
            set_aside: 0,
            given_up: 0,
        }
    }
}

fn late(job: &Job) -> Instant {
    job.queued_at + LOCKED_TIMEOUT
}

fn pause() -> Backoff {
    Backoff::new(LOOK_FIRST, LOOK_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wallet_stays_aside_only_while_it_is_locked_and_as_it_was() {
        let mut blocked = Blocked::new(PgConnectOptions::new(), LedgerMetrics::default());
        let wallet = WalletId::generate();
        let locked = |by: &str| HashMap::from([(wallet, WrittenBy(by.to_owned()))]);
        let mut look = |before: &str, now: HashMap<WalletId, WrittenBy>| {
            blocked.remember(&locked(before));
            let mut found = Found::default();
            found.asked.insert(wallet);
            found.wallets.extend(now);
            blocked.release(&found);
            blocked.wallets.drain().count()
        };
        assert_eq!(look("1", locked("1")), 1, "one session keeps it");
        assert_eq!(look("1", locked("2")), 0, "others write it in turns");
        assert_eq!(look("1", HashMap::new()), 0, "nothing keeps it");
    }
}
