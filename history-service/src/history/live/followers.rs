//! Who follows which wallets, and whose turn it is to be read for.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use shared::{Sequence, UserId, WalletId, event::WalletEvent};

use super::{
    follower::{Follower, Subject},
    position::Point,
    rendered::Rendered,
};

#[derive(Default)]
pub(super) struct Followers {
    of_wallets: HashMap<WalletId, Vec<Arc<Follower>>>,
    of_users: HashMap<UserId, Vec<Arc<Follower>>>,
    /// Those that are to be read for, in their turn.
    queue: VecDeque<Arc<Follower>>,
    count: usize,
}

impl Followers {
    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn add(&mut self, follower: &Arc<Follower>) {
        self.count += 1;
        for wallet in follower.wallets() {
            self.note_wallet(wallet, follower);
        }
        if let Subject::User(user) = &follower.subject {
            let of_user = self.of_users.entry(user.clone()).or_default();
            of_user.push(Arc::clone(follower));
        }
    }

    pub(super) fn remove(&mut self, follower: &Arc<Follower>) {
        self.count -= 1;
        for wallet in follower.wallets() {
            if let Some(of_wallet) = self.of_wallets.get_mut(&wallet) {
                of_wallet.retain(|other| !Arc::ptr_eq(other, follower));
                if of_wallet.is_empty() {
                    self.of_wallets.remove(&wallet);
                }
            }
        }
        if let Subject::User(user) = &follower.subject
            && let Some(of_user) = self.of_users.get_mut(user)
        {
            of_user.retain(|other| !Arc::ptr_eq(other, follower));
            if of_user.is_empty() {
                self.of_users.remove(user);
            }
        }
    }

    pub(super) fn queue(&mut self, follower: &Arc<Follower>) {
        self.queue.push_back(Arc::clone(follower));
    }

    /// At most so many of those whose turn it is.
    pub(super) fn next_turn(&mut self, max: usize) -> Vec<Arc<Follower>> {
        let count = self.queue.len().min(max);
        self.queue.drain(..count).collect()
    }

    fn note_wallet(&mut self, wallet: WalletId, follower: &Arc<Follower>) {
        let of_wallet = self.of_wallets.entry(wallet).or_default();
        of_wallet.push(Arc::clone(follower));
    }

    /// Takes note of a wallet of a user, for those that do not know it.
    pub(super) fn note_wallet_of(&mut self, user: &UserId, wallet: WalletId) {
        let of_user = self.of_users.get(user).into_iter().flatten();
        let new: Vec<_> = of_user
            .filter(|follower| follower.learns_of(wallet))
            .cloned()
            .collect();
        for follower in new {
            self.note_wallet(wallet, &follower);
        }
    }

    /// Those of the events that somebody follows.
    pub(super) fn followed<'e>(&mut self, events: &'e [WalletEvent]) -> Vec<&'e WalletEvent> {
        if !self.of_users.is_empty() {
            for event in events {
                self.note_wallet_of(&event.user_id, event.wallet_id);
            }
        }
        let events = events.iter();
        events
            .filter(|event| self.of_wallets.contains_key(&event.wallet_id))
            .collect()
    }

    /// Hands an event to those who follow its wallet.
    pub(super) fn hand(&mut self, told: &Arc<Rendered>) {
        self.tell(told.entry.wallet_id, |follower| follower.is_given(told));
    }

    /// A wallet is here up to an event.
    pub(super) fn hear(&mut self, wallet: WalletId, head: Sequence) {
        self.tell(wallet, |follower| follower.hears(wallet, head));
    }

    /// Events of a wallet after a number are not those any more that were told.
    pub(super) fn take_back(&mut self, wallet: WalletId, keep: Point) {
        self.tell(wallet, |follower| follower.goes_back(wallet, keep));
    }

    /// Tells those who follow a wallet, and queues those for whom there is something to read.
    fn tell(&mut self, wallet: WalletId, mut tell: impl FnMut(&Follower) -> bool) {
        let Some(of_wallet) = self.of_wallets.get(&wallet) else {
            return;
        };
        let due = of_wallet.iter().filter(|follower| tell(follower));
        self.queue.extend(due.cloned());
    }

    /// All that follow at least one wallet: who follows more stands there more than once.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Follower>> {
        self.of_wallets.values().flatten()
    }

    /// All wallets that somebody follows.
    pub(super) fn wallets(&self) -> Vec<WalletId> {
        self.of_wallets.keys().copied().collect()
    }

    /// The wallets that are followed as such, and the users.
    pub(super) fn looked_for(&self) -> (BTreeSet<WalletId>, Vec<UserId>) {
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
