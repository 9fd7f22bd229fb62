//! What every wallet must hold, from the answers alone. The proof compares them with the services.
//!
//! Each effect is recorded once, when its answer is definite. Wallets and totals are kept apart, so that a slip in one
//! shows against the other.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
};

use parking_lot::Mutex;

use crate::load::{operation::Kind, proof::state::WalletState};

/// A wallet of the run.
pub(crate) struct Account {
    pub(crate) id: String,
    minor: AtomicI64,
    events: AtomicI64,
    /// An answer was lost that cannot be asked for again.
    unknown: AtomicBool,
}

/// What a wallet must hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Expected {
    pub(crate) wallet: String,
    pub(crate) minor: i64,
    /// Its creation included: the wallet's version.
    pub(crate) events: i64,
    /// Less can be expected of it: a command without an answer may have moved it or not.
    pub(crate) unknown: bool,
}

/// What was acknowledged in all, seeding included.
#[derive(Default)]
struct Totals {
    /// Of the wallets when the load began, their creation included.
    minor_before: AtomicI64,
    events_before: AtomicI64,
    wallets: AtomicI64,
    events: AtomicI64,
    deposited: AtomicI64,
    withdrawn: AtomicI64,
}

/// The totals, read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Acknowledged {
    pub(crate) minor_before: i64,
    pub(crate) events_before: i64,
    /// Made while the load ran.
    pub(crate) wallets: i64,
    /// Of what was done to wallets meanwhile.
    pub(crate) events: i64,
    pub(crate) deposited: i64,
    pub(crate) withdrawn: i64,
}

#[derive(Default)]
pub(crate) struct ExpectedState {
    pub(crate) accounts: Vec<Account>,
    /// Wallets that were made while the load ran, by id. They may be closed, and nothing else happens to them.
    created: Mutex<BTreeMap<String, Created>>,
    totals: Totals,
    /// Commands whose answer was lost and cannot be asked for again.
    lost: AtomicU64,
}

/// A wallet that was made while the load ran.
struct Created {
    events: i64,
    unknown: bool,
}

impl Account {
    /// A wallet as it is found.
    pub(crate) const fn new(id: String, found: WalletState) -> Self {
        Self {
            id,
            minor: AtomicI64::new(found.minor),
            events: AtomicI64::new(found.events),
            unknown: AtomicBool::new(false),
        }
    }

    fn add(&self, minor: i64) {
        self.minor.fetch_add(minor, Ordering::Relaxed);
        self.events.fetch_add(1, Ordering::Relaxed);
    }

    /// The wallet's version, as far as answers have come.
    pub(crate) fn events(&self) -> i64 {
        self.events.load(Ordering::Relaxed)
    }
}

impl ExpectedState {
    pub(crate) fn add_account(&mut self, account: Account) {
        let totals = &self.totals;
        let minor = account.minor.load(Ordering::Relaxed);
        totals.minor_before.fetch_add(minor, Ordering::Relaxed);
        totals
            .events_before
            .fetch_add(account.events(), Ordering::Relaxed);
        self.accounts.push(account);
    }

    pub(crate) fn record_created(&self, id: String) {
        self.totals.wallets.fetch_add(1, Ordering::Relaxed);
        let new = Created {
            events: 1,
            unknown: false,
        };
        self.created.lock().insert(id, new);
    }

    /// Of one that was made.
    pub(crate) fn record_closed(&self, id: &str) {
        self.totals.events.fetch_add(1, Ordering::Relaxed);
        if let Some(created) = self.created.lock().get_mut(id) {
            created.events += 1;
        }
    }

    /// Notes that whether it was closed cannot be known.
    pub(crate) fn record_close_lost(&self, id: &str) {
        if let Some(created) = self.created.lock().get_mut(id) {
            created.unknown = true;
        }
    }

    /// Records what was acknowledged between two accounts by number.
    pub(crate) fn record_movement(&self, kind: Kind, wallet: usize, other: usize, amount: i64) {
        let totals = &self.totals;
        let effect = kind.effect();
        for (account, share) in [(wallet, effect.wallet), (other, effect.other)] {
            if let Some(share) = share {
                self.accounts[account].add(share * amount);
            }
        }
        totals.events.fetch_add(effect.events(), Ordering::Relaxed);
        let net = effect.net() * amount;
        totals.deposited.fetch_add(net.max(0), Ordering::Relaxed);
        totals.withdrawn.fetch_add(-net.min(0), Ordering::Relaxed);
    }

    /// Notes that whether this was done cannot be known.
    pub(crate) fn record_lost(&self, kind: Kind, wallet: usize, other: usize) {
        self.lost.fetch_add(1, Ordering::Relaxed);
        // A wallet that may have been made is none of those that are known.
        let effect = kind.effect();
        for (account, share) in [(wallet, effect.wallet), (other, effect.other)] {
            if share.is_some() {
                let unknown = &self.accounts[account].unknown;
                unknown.store(true, Ordering::Relaxed);
            }
        }
    }

    /// How many answers were lost for good.
    pub(crate) fn lost_total(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    pub(crate) fn wallets(&self) -> Vec<Expected> {
        let accounts = self.accounts.iter().map(|account| Expected {
            wallet: account.id.clone(),
            minor: account.minor.load(Ordering::Relaxed),
            events: account.events(),
            unknown: account.unknown.load(Ordering::Relaxed),
        });
        let created = self.created.lock();
        let created = created.iter().map(|(id, created)| Expected {
            wallet: id.clone(),
            minor: 0,
            events: created.events,
            unknown: created.unknown,
        });
        accounts.chain(created).collect()
    }

    pub(crate) fn acknowledged(&self) -> Acknowledged {
        let read = |total: &AtomicI64| total.load(Ordering::Relaxed);
        let totals = &self.totals;
        Acknowledged {
            minor_before: read(&totals.minor_before),
            events_before: read(&totals.events_before),
            wallets: read(&totals.wallets),
            events: read(&totals.events),
            deposited: read(&totals.deposited),
            withdrawn: read(&totals.withdrawn),
        }
    }
}
