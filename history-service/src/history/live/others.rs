//! Whose the other wallets of events are, remembered: a wallet is of one user for good.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
};

use shared::{UserId, WalletId, server::postgres::answered};
use sqlx::PgPool;

use super::store;

/// About 100 bytes each.
const KNOWN_MAX: usize = 20_000;

/// See the module.
pub(super) struct Others {
    pool: PgPool,
    known: Mutex<HashMap<WalletId, UserId>>,
}

impl Others {
    pub(super) fn new(pool: PgPool) -> Self {
        Self {
            pool,
            known: Mutex::default(),
        }
    }

    /// Whose these are, as far as they are here.
    pub(super) async fn users_of(
        &self,
        wallets: BTreeSet<WalletId>,
    ) -> sqlx::Result<HashMap<WalletId, UserId>> {
        let mut found = HashMap::with_capacity(wallets.len());
        let mut unknown = Vec::new();
        {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            for wallet in wallets {
                match known.get(&wallet) {
                    Some(user) => drop(found.insert(wallet, user.clone())),
                    None => unknown.push(wallet),
                }
            }
        }
        if !unknown.is_empty() {
            let users = answered(store::users_of(&self.pool, &unknown)).await?;
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() + users.len() > KNOWN_MAX {
                known.clear();
            }
            for (wallet, user) in users {
                known.insert(wallet, user.clone());
                found.insert(wallet, user);
            }
        }
        Ok(found)
    }

    /// Events were put in the place of others, perhaps the first ones of a wallet.
    pub(super) fn forget(&self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.clear();
    }
}
