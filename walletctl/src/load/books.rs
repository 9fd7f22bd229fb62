//! The run's own books: what every wallet must hold, from the answers alone. The proof compares them with the services.
//!
//! Each effect is booked once, when its answer is definite. Wallets and totals are kept apart, so that a slip in one
//! shows against the other.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
};

use super::{measure::locked, proof::Found, workload::Kind};

/// A wallet of the run.
pub(super) struct Account {
    pub(super) id: String,
    minor: AtomicI64,
    events: AtomicI64,
    /// An answer was lost that cannot be asked for again.
    unknown: AtomicBool,
}

/// What the books say of a wallet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Expected {
    pub(super) wallet: String,
    pub(super) minor: i64,
    /// Its creation included: the wallet's version.
    pub(super) events: i64,
    /// Less can be expected of it: a command without an answer may have moved it or not.
    pub(super) unknown: bool,
}

/// What was acknowledged in all, seeding included.
#[derive(Default)]
struct Totals {
    /// Of the wallets when the books were opened, their creation included.
    minor_before: AtomicI64,
    events_before: AtomicI64,
    wallets: AtomicI64,
    deposits: AtomicI64,
    withdrawals: AtomicI64,
    transfers: AtomicI64,
    deposited: AtomicI64,
    withdrawn: AtomicI64,
}

/// The totals, read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Acknowledged {
    pub(super) minor_before: i64,
    pub(super) events_before: i64,
    /// Made while the load ran.
    pub(super) wallets: i64,
    pub(super) deposits: i64,
    pub(super) withdrawals: i64,
    pub(super) transfers: i64,
    pub(super) deposited: i64,
    pub(super) withdrawn: i64,
}

#[derive(Default)]
pub(super) struct Books {
    pub(super) accounts: Vec<Account>,
    /// Wallets that were made while the load ran; nothing else happens to them.
    created: Mutex<Vec<String>>,
    totals: Totals,
    /// Commands whose answer was lost and cannot be asked for again.
    lost: AtomicU64,
}

impl Account {
    /// A wallet as it is found.
    pub(super) const fn new(id: String, found: Found) -> Self {
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
    pub(super) fn events(&self) -> i64 {
        self.events.load(Ordering::Relaxed)
    }
}

impl Books {
    pub(super) fn open(&mut self, account: Account) {
        let totals = &self.totals;
        let minor = account.minor.load(Ordering::Relaxed);
        totals.minor_before.fetch_add(minor, Ordering::Relaxed);
        totals
            .events_before
            .fetch_add(account.events(), Ordering::Relaxed);
        self.accounts.push(account);
    }

    pub(super) fn created(&self, id: String) {
        self.totals.wallets.fetch_add(1, Ordering::Relaxed);
        locked(&self.created).push(id);
    }

    /// Books what was acknowledged between two accounts by number.
    pub(super) fn moved(&self, kind: Kind, wallet: usize, other: usize, amount: i64) {
        let totals = &self.totals;
        let add = |total: &AtomicI64, number| {
            total.fetch_add(number, Ordering::Relaxed);
        };
        match kind {
            Kind::Deposit => {
                self.accounts[wallet].add(amount);
                add(&totals.deposits, 1);
                add(&totals.deposited, amount);
            }
            Kind::Withdraw => {
                self.accounts[wallet].add(-amount);
                add(&totals.withdrawals, 1);
                add(&totals.withdrawn, amount);
            }
            Kind::Transfer => {
                self.accounts[wallet].add(-amount);
                self.accounts[other].add(amount);
                add(&totals.transfers, 1);
            }
            Kind::Balance | Kind::Wallet | Kind::History | Kind::Create => {}
        }
    }

    /// Notes that nobody can know whether this was done.
    pub(super) fn lost(&self, kind: Kind, wallet: usize, other: usize) {
        self.lost.fetch_add(1, Ordering::Relaxed);
        let unknown = |account: usize| {
            self.accounts[account]
                .unknown
                .store(true, Ordering::Relaxed);
        };
        match kind {
            Kind::Deposit | Kind::Withdraw => unknown(wallet),
            Kind::Transfer => {
                unknown(wallet);
                unknown(other);
            }
            // A wallet that may have been made is none of those that are known.
            Kind::Balance | Kind::Wallet | Kind::History | Kind::Create => {}
        }
    }

    /// How many answers were lost for good.
    pub(super) fn lost_total(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    pub(super) fn expected(&self) -> Vec<Expected> {
        let accounts = self.accounts.iter().map(|account| Expected {
            wallet: account.id.clone(),
            minor: account.minor.load(Ordering::Relaxed),
            events: account.events(),
            unknown: account.unknown.load(Ordering::Relaxed),
        });
        let created = locked(&self.created);
        let created = created.iter().map(|id| Expected {
            wallet: id.clone(),
            minor: 0,
            events: 1,
            unknown: false,
        });
        accounts.chain(created).collect()
    }

    pub(super) fn acknowledged(&self) -> Acknowledged {
        let read = |total: &AtomicI64| total.load(Ordering::Relaxed);
        let totals = &self.totals;
        Acknowledged {
            minor_before: read(&totals.minor_before),
            events_before: read(&totals.events_before),
            wallets: read(&totals.wallets),
            deposits: read(&totals.deposits),
            withdrawals: read(&totals.withdrawals),
            transfers: read(&totals.transfers),
            deposited: read(&totals.deposited),
            withdrawn: read(&totals.withdrawn),
        }
    }
}
