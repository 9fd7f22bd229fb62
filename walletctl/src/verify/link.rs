//! What the next event of a wallet follows on: the one before it, or the state behind an archive.

use shared::Hash;
use sqlx::types::chrono::{DateTime, Utc};

use super::rows::Archived;

/// The event before the next one.
pub(super) struct Link {
    pub(super) sequence: i64,
    pub(super) balance: i64,
    pub(super) occurred_at: DateTime<Utc>,
    /// None when the column holds no hash at all.
    pub(super) hash: Option<Hash>,
}

impl Link {
    pub(super) const fn of(archived: &Archived) -> Self {
        Self {
            sequence: archived.sequence,
            balance: archived.balance,
            occurred_at: archived.occurred_at,
            hash: archived.hash,
        }
    }
}
