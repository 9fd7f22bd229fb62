//! One look-up for all readers who wait.
//!
//! A wallet's partition may belong to another instance, which does not tell this one what it applies: so it has to be looked
//! for now and then. Those who wait do it together, by one statement however many they are. Who comes first looks for all,
//! and one who goes away while it looks leaves the turn to the next.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use shared::{Sequence, UserId, WalletId, server::postgres::answered};
use sqlx::PgPool;
use tokio::{sync::watch, time::Instant};

use super::store;

/// How often it is looked.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Where wallets are, and whose each is. One that nothing is known of is not among them.
pub(super) type Heads = BTreeMap<WalletId, (Sequence, UserId)>;

/// See the module.
#[derive(Clone)]
pub(super) struct Lookout {
    pool: PgPool,
    /// How many readers wait for each wallet.
    awaited: Arc<Mutex<BTreeMap<WalletId, usize>>>,
    /// Held by the one who looks: when the last look ended.
    turn: Arc<tokio::sync::Mutex<Instant>>,
    seen: watch::Sender<Arc<Heads>>,
}

/// That a reader waits for wallets, until it is dropped.
pub(super) struct Watch {
    wallets: BTreeSet<WalletId>,
    awaited: Arc<Mutex<BTreeMap<WalletId, usize>>>,
    seen: watch::Receiver<Arc<Heads>>,
}

impl Lookout {
    pub(super) fn new(pool: PgPool) -> Self {
        Self {
            pool,
            awaited: Arc::default(),
            turn: Arc::new(tokio::sync::Mutex::new(Instant::now())),
            seen: watch::Sender::default(),
        }
    }

    /// Looks where these are now.
    pub(super) async fn look(&self, wallets: &BTreeSet<WalletId>) -> sqlx::Result<Heads> {
        answered(store::heads(&self.pool, wallets)).await
    }

    pub(super) fn watch(&self, wallets: BTreeSet<WalletId>) -> Watch {
        let mut awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        for wallet in &wallets {
            *awaited.entry(*wallet).or_default() += 1;
        }
        drop(awaited);
        Watch {
            wallets,
            awaited: Arc::clone(&self.awaited),
            seen: self.seen.subscribe(),
        }
    }

    /// Looks where all are that are waited for and tells everyone, unless another does or has just done so.
    pub(super) async fn look_for_all(&self) -> sqlx::Result<()> {
        let Ok(mut last) = self.turn.try_lock() else {
            return Ok(());
        };
        if last.elapsed() < LOOK_EVERY {
            return Ok(());
        }
        let wallets = {
            let awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
            awaited.keys().copied().collect()
        };
        let heads = self.look(&wallets).await;
        *last = Instant::now();
        self.seen.send_replace(Arc::new(heads?));
        Ok(())
    }
}

impl Watch {
    /// The next look for all.
    pub(super) async fn seen(&mut self) -> Arc<Heads> {
        if self.seen.changed().await.is_err() {
            // Nobody looks any more: the process ends.
            std::future::pending::<()>().await;
        }
        Arc::clone(&self.seen.borrow_and_update())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        for wallet in &self.wallets {
            if let Some(readers) = awaited.get_mut(wallet) {
                *readers -= 1;
                if *readers == 0 {
                    awaited.remove(wallet);
                }
            }
        }
    }
}
