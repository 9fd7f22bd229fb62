//! Where holds are, remembered: a command names a hold, and the ledger is asked on its wallet.
//!
//! None of it ever changes, so what is remembered is never wrong. A hold that is gone, as after a restore, is missed where the
//! command is decided.

use std::sync::Arc;

use quick_cache::sync::Cache;
use shared::HoldId;

use super::holds::HoldWhere;
use crate::ledger::model::hold::Hold;

/// Those of the last minutes of a busy instance, in a few megabytes. Others are read.
const REMEMBERED_MAX: usize = 32 * 1024;

#[derive(Clone, Debug)]
pub(super) struct HoldPlaces(Arc<Cache<HoldId, HoldWhere>>);

impl Default for HoldPlaces {
    fn default() -> Self {
        Self(Arc::new(Cache::new(REMEMBERED_MAX)))
    }
}

impl HoldPlaces {
    pub(super) fn remember(&self, hold: &Hold) {
        self.insert(HoldWhere {
            id: hold.id,
            wallet_id: hold.wallet_id,
            to_wallet_id: hold.to_wallet_id,
            user_id: Some(hold.user_id.clone()),
        });
    }

    pub(super) fn insert(&self, hold: HoldWhere) {
        self.0.insert(hold.id, hold);
    }

    pub(super) fn get(&self, id: HoldId) -> Option<HoldWhere> {
        self.0.get(&id)
    }
}
