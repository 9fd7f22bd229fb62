//! What tells all streams of the process what happens, however many there are.
//!
//! It hears of every batch that this instance commits, with the events that were written, and hands them on: they are read
//! from memory, and written once for all who follow them. The database is read, on one connection at a time, for streams that
//! have to catch up, and for what others wrote: that is looked for, for all streams together, and never so often that looking
//! takes more than a twentieth of its time. Whoever writes history waits for none of this: it rings, and goes on.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use shared::{
    Timestamp,
    server::{outage::Outage, postgres::answered},
};
use sqlx::PgPool;
use tokio::{
    sync::{
        Notify,
        broadcast::{
            self,
            error::{RecvError, TryRecvError},
        },
    },
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    follower::{Follower, WALLET_EVENTS},
    followers::Followers,
    others::Others,
    page::PAGE_BYTES,
    rendered::Rendered,
    store::{self, Found, Next, SetAsides, Wanted},
};
use crate::{
    history::{lookout::LOOK_EVERY, model::Entry, store::archived_of},
    progress::{Committed, Progress, Written},
};

/// Streams that are read for by one statement.
const READ_TOGETHER: usize = 32;
/// How often it is looked while all partitions are applied here: others only mend then.
const LOOK_SELDOM: Duration = Duration::from_secs(2);
/// Looking for what others applied takes no more than one part of so many of the time.
const LOOK_SHARE: u32 = 20;
/// Between two tries while the database is away.
const AWAY_PAUSE: Duration = Duration::from_millis(500);

/// See the module.
pub(super) struct Feed {
    pool: PgPool,
    progress: Arc<Progress>,
    /// How long a stream may leave what it was given.
    patience: Duration,
    followers: Mutex<Followers>,
    others: Others,
    /// How often events were set aside when that was looked at last.
    set_asides: Mutex<Option<SetAsides>>,
    /// Behind these stands an event that cannot be read, which was said.
    unreadable: Mutex<HashSet<Wanted>>,
    rung: Notify,
    away: Outage,
}

/// When something is due.
struct Due {
    look: Instant,
    /// Who does not read is cut.
    cut: Instant,
}

impl Feed {
    pub(super) fn new(pool: PgPool, progress: Arc<Progress>, patience: Duration) -> Self {
        Self {
            others: Others::new(pool.clone()),
            pool,
            progress,
            patience,
            followers: Mutex::default(),
            set_asides: Mutex::default(),
            unreadable: Mutex::default(),
            rung: Notify::new(),
            away: Outage::new("streams cannot be read for"),
        }
    }

    fn followers(&self) -> MutexGuard<'_, Followers> {
        self.followers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, follower: &Arc<Follower>) {
        self.followers().add(follower);
        self.read_for(follower);
        // Also when there is nothing to read: it may be the first.
        self.rung.notify_one();
    }

    pub(super) fn remove(&self, follower: &Arc<Follower>) {
        self.followers().remove(follower);
    }

    /// Puts it in the queue, if there is something to read for it.
    pub(super) fn read_for(&self, follower: &Arc<Follower>) {
        if follower.begins_turn() {
            self.queue(follower);
        }
    }

    /// Puts it in the queue, now that its turn has begun.
    pub(super) fn queue(&self, follower: &Arc<Follower>) {
        self.followers().queue(follower);
        self.rung.notify_one();
    }

    /// Until `stop`. While there is no stream it does nothing.
    pub(super) async fn run(&self, stop: &CancellationToken) {
        stop.run_until_cancelled(async {
            loop {
                while self.followers().is_empty() {
                    self.rung.notified().await;
                }
                self.serve().await;
            }
        })
        .await;
    }

    /// Until there is no stream any more.
    async fn serve(&self) {
        // Before anything is read, so that a batch committed after that is heard of.
        let mut committed = self.progress.follow();
        self.others.forget();
        // What was set aside until now, streams that begin now were not told.
        self.tried(self.note_set_asides().await).await;
        let now = Instant::now();
        let mut due = Due {
            look: now + LOOK_EVERY,
            cut: now + LOOK_EVERY,
        };
        while !self.followers().is_empty() {
            self.hear_all(&mut committed, &mut due).await;
            self.look_when_due(&mut due).await;
            let turn = self.followers().next_turn(READ_TOGETHER);
            if !turn.is_empty() {
                self.read(turn).await;
                continue;
            }
            tokio::select! {
                heard = committed.recv() => match heard {
                    Ok(heard) => self.hear(&heard, &mut due).await,
                    Err(RecvError::Lagged(_)) => due.look = Instant::now(),
                    // The process ends.
                    Err(RecvError::Closed) => sleep_until(due.cut).await,
                },
                () = self.rung.notified() => {}
                () = sleep_until(due.look.min(due.cut)) => {}
            }
        }
    }

    /// Hears of all batches so far.
    async fn hear_all(&self, committed: &mut broadcast::Receiver<Committed>, due: &mut Due) {
        loop {
            match committed.try_recv() {
                Ok(heard) => self.hear(&heard, due).await,
                Err(TryRecvError::Lagged(_)) => due.look = Instant::now(),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    /// Hands on what was written. What cannot be handed on is to be read.
    async fn hear(&self, committed: &Committed, due: &mut Due) {
        if let Some(written) = &committed.written {
            self.tried(self.hand_on(written).await).await;
        }
        if committed.is_mending {
            due.look = Instant::now();
        }
        let mut followers = self.followers();
        for (wallet, head) in committed.advanced.wallets() {
            followers.hear(wallet, head);
        }
    }

    async fn hand_on(&self, written: &Written) -> sqlx::Result<()> {
        let followed = self.followers().followed(&written.events);
        if followed.is_empty() {
            return Ok(());
        }
        let others = followed.iter();
        let others = others.filter_map(|event| event.body.counterparty_wallet_id());
        let users = self.others.users_of(others.collect()).await?;
        let entry = |event| {
            let entry = Entry::of_written(event, written.recorded_at);
            let other = entry.counterparty_wallet_id;
            Entry {
                counterparty_user_id: other.and_then(|other| users.get(&other).cloned()),
                ..entry
            }
        };
        let told = followed
            .into_iter()
            .map(entry)
            .map(Rendered::of)
            .map(Arc::new);
        let told = Vec::from_iter(told);
        let mut followers = self.followers();
        told.iter().for_each(|told| followers.hand(told));
        Ok(())
    }

    async fn look_when_due(&self, due: &mut Due) {
        let began = Instant::now();
        if began >= due.cut {
            self.cut_slow_ones();
            due.cut = began + LOOK_EVERY;
        }
        if began < due.look {
            return;
        }
        self.tried(self.look().await).await;
        let every = if self.progress.applies_all() {
            LOOK_SELDOM
        } else {
            LOOK_EVERY
        };
        due.look = Instant::now() + every.max(LOOK_SHARE * began.elapsed());
    }

    fn cut_slow_ones(&self) {
        let followers = self.followers();
        let cut = followers
            .all()
            .filter(|follower| follower.is_cut(self.patience));
        cut.for_each(|_| self.progress.metrics().streams.ended("slow"));
    }

    /// Looks where all wallets are that are followed, which wallets the users have by now, and what was taken back.
    async fn look(&self) -> sqlx::Result<()> {
        self.look_for_set_asides().await?;
        let (wallets, users) = self.followers().looked_for();
        if !wallets.is_empty() {
            let heads = answered(crate::history::store::heads(&self.pool, &wallets)).await?;
            let mut followers = self.followers();
            for (wallet, (head, _)) in heads {
                followers.hear(wallet, head);
            }
        }
        if !users.is_empty() {
            let heads = answered(store::heads_of_users(&self.pool, &users)).await?;
            let mut followers = self.followers();
            for head in heads {
                followers.note_wallet_of(&head.user_id, head.wallet_id);
                followers.hear(head.wallet_id, head.last_sequence);
            }
        }
        Ok(())
    }

    /// Who was told events that an operator had replaced since the last look hears of that.
    async fn look_for_set_asides(&self) -> sqlx::Result<()> {
        let Some(since) = self.note_set_asides().await? else {
            return Ok(());
        };
        self.others.forget();
        let wallets = self.followers().wallets();
        let taken_back = store::set_aside_since(&self.pool, &wallets, since);
        let taken_back = answered(taken_back).await?;
        let mut followers = self.followers();
        for (wallet, keep) in taken_back {
            followers.take_back(wallet, keep);
        }
        Ok(())
    }

    /// Says since when, if events were set aside since the last time.
    async fn note_set_asides(&self) -> sqlx::Result<Option<Option<Timestamp>>> {
        let known = || {
            let known = self.set_asides.lock();
            known.unwrap_or_else(PoisonError::into_inner)
        };
        let before = *known();
        let count = before.map(|before| before.count);
        let now = answered(store::set_asides(&self.pool, count)).await?;
        if count == Some(now.count) {
            return Ok(None);
        }
        *known() = Some(now);
        Ok(before.map(|before| before.last))
    }

    /// Tells those who come back what was replaced while they were away. What was set aside until now is told to all before:
    /// the next look would tell them once more, of events that they were given meanwhile.
    async fn tell_who_came_back(&self, turn: &[Arc<Follower>]) -> sqlx::Result<()> {
        if turn.iter().all(|follower| follower.unsure_of().is_empty()) {
            return Ok(());
        }
        self.look_for_set_asides().await?;
        let unsure = turn
            .iter()
            .map(|follower| (follower, follower.unsure_of()))
            .filter(|(_, told)| !told.is_empty());
        let unsure = Vec::from_iter(unsure);
        let told: HashSet<_> = unsure.iter().flat_map(|(_, told)| told).copied().collect();
        if told.is_empty() {
            return Ok(());
        }
        let told = Vec::from_iter(told);
        let kept = answered(store::kept(&self.pool, &told)).await?;
        for (follower, told) in unsure {
            follower.is_sure(&told, &kept);
        }
        Ok(())
    }

    /// Reads for these: what several want is read once.
    async fn read(&self, turn: Vec<Arc<Follower>>) {
        if let Err(error) = self.tell_who_came_back(&turn).await {
            // They keep their turn.
            turn.iter().for_each(|follower| self.queue(follower));
            return self.tried(Err::<(), _>(error)).await;
        }
        let turn: Vec<_> = turn
            .into_iter()
            .map(|follower| {
                let wanted = follower.wants();
                (follower, wanted)
            })
            .collect();
        let all: HashSet<_> = turn
            .iter()
            .flat_map(|(_, wanted)| wanted.iter().copied())
            .collect();
        if all.is_empty() {
            return;
        }
        let all = Vec::from_iter(all);
        let found = self.find(&all).await;
        if let Ok((found, archived)) = &found {
            self.away.worked();
            for (follower, wanted) in &turn {
                if wanted.iter().any(|wanted| archived.contains(wanted)) {
                    follower.is_archived();
                }
                follower.receives(wanted, found);
            }
        }
        for (follower, _) in &turn {
            self.read_for(follower);
        }
        self.tried(found.map(drop)).await;
    }

    /// What comes next in wallets, and where it was moved to an archive: then there is something else than the next number.
    async fn find(&self, all: &[Wanted]) -> sqlx::Result<(Found, HashSet<Wanted>)> {
        let next = answered(store::next_events(
            &self.pool,
            all,
            WALLET_EVENTS,
            PAGE_BYTES,
        ))
        .await?;
        let Next { found, unreadable } = next;
        self.name(all, unreadable);
        let is_next = |(_, after): &Wanted, told: &Rendered| told.entry.sequence == after.next();
        let behind_gaps = found.iter();
        let behind_gaps = behind_gaps
            .filter(|(wanted, page)| page.first().is_some_and(|told| !is_next(wanted, told)));
        let gaps = Vec::from_iter(behind_gaps.map(|(wanted, _)| *wanted));
        if gaps.is_empty() {
            return Ok((found, HashSet::new()));
        }
        let wallets = Vec::from_iter(gaps.iter().map(|(wallet, _)| *wallet));
        let archived = answered(archived_of(&self.pool, &wallets)).await?;
        let is_archived = |(wallet, after): &Wanted| {
            let mut archived = archived.iter();
            archived.any(|archived| archived.wallet == *wallet && *after < archived.to)
        };
        let archived = gaps.into_iter().filter(is_archived).collect();
        Ok((found, archived))
    }

    /// Names what cannot be read, once: it holds up the streams of its wallet, and no others.
    fn name(&self, asked: &[Wanted], unreadable: HashMap<Wanted, sqlx::Error>) {
        let named = self.unreadable.lock();
        let mut named = named.unwrap_or_else(PoisonError::into_inner);
        for wanted in asked {
            if !unreadable.contains_key(wanted) {
                named.remove(wanted);
            }
        }
        for (wanted, error) in unreadable {
            if named.insert(wanted) {
                let (wallet_id, after) = wanted;
                tracing::error!(
                    %wallet_id,
                    after_sequence = after.get(),
                    %error,
                    "an event cannot be read: the streams of its wallet wait for it"
                );
            }
        }
    }

    /// Rests a moment when the database does not answer.
    async fn tried<T>(&self, tried: sqlx::Result<T>) {
        if let Err(error) = tried {
            self.away.failed(&error);
            sleep(AWAY_PAUSE).await;
        }
    }
}
