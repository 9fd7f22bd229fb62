//! What reads for all streams of the process, on one connection at a time, however many there are.
//!
//! It hears of every batch that this instance commits, and looks for what others applied: for all streams together, and never
//! so often that looking takes more than a twentieth of its time. A stream is read for when it has taken what it was given
//! and one of its wallets is further. Whoever writes history waits for none of this: it rings, and goes on.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use shared::{
    UserId, WalletId,
    server::{outage::Outage, postgres::answered},
};
use sqlx::PgPool;
use tokio::{
    sync::{
        Notify,
        broadcast::{self, error::TryRecvError},
    },
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    follower::{Follower, Subject, WALLET_EVENTS},
    store,
};
use crate::{
    history::lookout::LOOK_EVERY,
    progress::{Advanced, Progress},
};

/// Streams that are read for by one statement.
const READ_TOGETHER: usize = 32;
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
    rung: Notify,
    away: Outage,
}

#[derive(Default)]
struct Followers {
    of_wallets: HashMap<WalletId, Vec<Arc<Follower>>>,
    of_users: HashMap<UserId, Vec<Arc<Follower>>>,
    /// Those that are to be read for, in their turn.
    queue: VecDeque<Arc<Follower>>,
    count: usize,
}

impl Feed {
    pub(super) fn new(pool: PgPool, progress: Arc<Progress>, patience: Duration) -> Self {
        Self {
            pool,
            progress,
            patience,
            followers: Mutex::default(),
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
        let mut followers = self.followers();
        followers.count += 1;
        for wallet in follower.wallets() {
            followers.note_wallet(wallet, follower);
        }
        if let Subject::User(user) = &follower.subject {
            let of_user = followers.of_users.entry(user.clone()).or_default();
            of_user.push(Arc::clone(follower));
        }
        drop(followers);
        self.read_for(follower);
        // Also when there is nothing to read: it may be the first.
        self.rung.notify_one();
    }

    pub(super) fn remove(&self, follower: &Arc<Follower>) {
        let mut followers = self.followers();
        followers.count -= 1;
        for wallet in follower.wallets() {
            if let Some(of_wallet) = followers.of_wallets.get_mut(&wallet) {
                of_wallet.retain(|other| !Arc::ptr_eq(other, follower));
                if of_wallet.is_empty() {
                    followers.of_wallets.remove(&wallet);
                }
            }
        }
        if let Subject::User(user) = &follower.subject
            && let Some(of_user) = followers.of_users.get_mut(user)
        {
            of_user.retain(|other| !Arc::ptr_eq(other, follower));
            if of_user.is_empty() {
                followers.of_users.remove(user);
            }
        }
    }

    /// Puts it in the queue, if there is something to read for it.
    pub(super) fn read_for(&self, follower: &Arc<Follower>) {
        if follower.begins_turn() {
            self.queue(follower);
        }
    }

    /// Puts it in the queue, now that its turn has begun.
    pub(super) fn queue(&self, follower: &Arc<Follower>) {
        self.followers().queue.push_back(Arc::clone(follower));
        self.rung.notify_one();
    }

    /// Until `stop`. While there is no stream it does nothing.
    pub(super) async fn run(&self, stop: &CancellationToken) {
        stop.run_until_cancelled(async {
            loop {
                while self.followers().count == 0 {
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
        let mut advanced = self.progress.subscribe();
        let mut next_look = Instant::now() + LOOK_EVERY;
        while self.followers().count > 0 {
            let has_missed = self.hear_all(&mut advanced);
            if has_missed || Instant::now() >= next_look {
                self.cut_slow_ones();
                let began = Instant::now();
                self.tried(self.look().await).await;
                next_look = Instant::now() + LOOK_EVERY.max(LOOK_SHARE * began.elapsed());
            }
            let turn = self.next_turn();
            if !turn.is_empty() {
                self.read(turn).await;
                continue;
            }
            tokio::select! {
                heard = advanced.recv() => if let Ok(heard) = heard { self.hear(&heard) },
                () = self.rung.notified() => {}
                () = sleep_until(next_look) => {}
            }
        }
    }

    /// Hears of all batches so far. Says whether it has missed some.
    fn hear_all(&self, advanced: &mut broadcast::Receiver<Advanced>) -> bool {
        let mut has_missed = false;
        loop {
            match advanced.try_recv() {
                Ok(heard) => self.hear(&heard),
                Err(TryRecvError::Lagged(_)) => has_missed = true,
                Err(TryRecvError::Empty | TryRecvError::Closed) => return has_missed,
            }
        }
    }

    fn hear(&self, advanced: &Advanced) {
        let mut followers = self.followers();
        for (wallet, head) in advanced.wallets() {
            followers.tell(wallet, |follower| follower.hears(wallet, head));
        }
    }

    fn cut_slow_ones(&self) {
        let followers = self.followers();
        let all = followers.of_wallets.values().flatten();
        let cut = all.filter(|follower| follower.is_cut(self.patience));
        cut.for_each(|_| self.progress.metrics().streams.ended("slow"));
    }

    /// Looks where all wallets are that are followed, and which wallets the users have by now.
    async fn look(&self) -> sqlx::Result<()> {
        let (wallets, users) = self.followers().looked_for();
        if !wallets.is_empty() {
            let heads = answered(crate::history::store::heads(&self.pool, &wallets)).await?;
            let mut followers = self.followers();
            for (wallet, (head, _)) in heads {
                followers.tell(wallet, |follower| follower.hears(wallet, head));
            }
        }
        if !users.is_empty() {
            let heads = answered(store::heads_of_users(&self.pool, &users)).await?;
            let mut followers = self.followers();
            for (user, wallet, head) in heads {
                followers.note_wallet_of(&user, wallet);
                followers.tell(wallet, |follower| follower.hears(wallet, head));
            }
        }
        Ok(())
    }

    fn next_turn(&self) -> Vec<Arc<Follower>> {
        let mut followers = self.followers();
        let count = followers.queue.len().min(READ_TOGETHER);
        followers.queue.drain(..count).collect()
    }

    /// Reads for these: what several want is read once.
    async fn read(&self, turn: Vec<Arc<Follower>>) {
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
        let all = Vec::from_iter(all);
        let found = answered(store::next_events(&self.pool, &all, WALLET_EVENTS)).await;
        if let Ok(found) = &found {
            self.away.worked();
            for (follower, wanted) in &turn {
                follower.receives(wanted, found);
            }
        }
        for (follower, _) in &turn {
            self.read_for(follower);
        }
        self.tried(found.map(drop)).await;
    }

    /// Rests a moment when the database does not answer.
    async fn tried(&self, tried: sqlx::Result<()>) {
        if let Err(error) = tried {
            self.away.failed(&error);
            sleep(AWAY_PAUSE).await;
        }
    }
}

impl Followers {
    fn note_wallet(&mut self, wallet: WalletId, follower: &Arc<Follower>) {
        let of_wallet = self.of_wallets.entry(wallet).or_default();
        of_wallet.push(Arc::clone(follower));
    }

    /// Takes note of a wallet of a user, for those that do not know it.
    fn note_wallet_of(&mut self, user: &UserId, wallet: WalletId) {
        let of_user = self.of_users.get(user).into_iter().flatten();
        let new: Vec<_> = of_user
            .filter(|follower| follower.learns_of(wallet))
            .cloned()
            .collect();
        for follower in new {
            self.note_wallet(wallet, &follower);
        }
    }

    /// Tells those who follow a wallet, and queues those for whom there is something to read.
    fn tell(&mut self, wallet: WalletId, mut tell: impl FnMut(&Follower) -> bool) {
        let Some(of_wallet) = self.of_wallets.get(&wallet) else {
            return;
        };
        let due = of_wallet.iter().filter(|follower| tell(follower));
        self.queue.extend(due.cloned());
    }

    /// The wallets that are followed as such, and the users.
    fn looked_for(&self) -> (BTreeSet<WalletId>, Vec<UserId>) {
        let is_followed = |followers: &[Arc<Follower>]| {
            let mut subjects = followers.iter().map(|follower| &follower.subject);
            subjects.any(|subject| matches!(subject, Subject::Wallet(_)))
        };
        let wallets = self.of_wallets.iter();
        let wallets = wallets.filter(|(_, followers)| is_followed(followers));
        (
            wallets.map(|(wallet, _)| *wallet).collect(),
            self.of_users.keys().cloned().collect(),
        )
    }
}
