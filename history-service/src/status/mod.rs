//! How far the projection is, and what it set aside: for operators.

mod store;

use serde::Serialize;
use shared::{
    Sequence, Timestamp, WalletId,
    page::{Cursor, InvalidCursor, Limit, Page},
};
use sqlx::PgPool;

#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
    #[error("the projection's state cannot be read")]
    Database(#[from] sqlx::Error),
}

/// Where the projection is, as committed.
#[derive(Debug, Serialize)]
pub struct State {
    pub partitions: Vec<Partition>,
    pub parked_events: i64,
    pub quarantined_messages: i64,
}

#[derive(Debug, Serialize)]
pub struct Partition {
    pub topic: String,
    pub partition: i32,
    /// The offset of the next message that will be applied.
    pub next_offset: i64,
    pub updated_at: Timestamp,
}

/// A message in the quarantine. Its bytes stay in the table; here is enough of them to recognise it.
#[derive(Debug, Serialize)]
pub struct Quarantined {
    pub id: i64,
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub reason: String,
    pub detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wallet_id: Option<WalletId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<Sequence>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    pub value_bytes: i64,
    /// The beginning, with what is not UTF-8 replaced.
    pub value_preview: String,
    pub recorded_at: Timestamp,
}

#[derive(Clone)]
pub struct Status {
    pool: PgPool,
}

impl Status {
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    pub async fn state(&self) -> Result<State, StatusError> {
        let partitions = store::list_partitions(&self.pool).await?;
        let (parked_events, quarantined_messages) = store::count_set_aside(&self.pool).await?;
        Ok(State {
            partitions,
            parked_events,
            quarantined_messages,
        })
    }

    /// Newest first.
    pub async fn quarantine(
        &self,
        limit: Limit,
        cursor: Option<Cursor>,
    ) -> Result<Page<Quarantined>, StatusError> {
        const LISTING: &str = "quarantine";
        let before = cursor.map(|cursor| cursor.open(LISTING)).transpose()?;
        let rows = store::list_quarantined(&self.pool, before, limit).await?;
        Ok(Page::of(rows, limit, LISTING, |row| row.id))
    }
}
