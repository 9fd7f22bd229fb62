//! How far the ingest is, and what it set aside: for operators.

mod model;
mod store;

use shared::page::{Cursor, InvalidCursor, Limit, Page};
use sqlx::PgPool;

pub use model::{Partition, Quarantined, State};

#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
    #[error("the status of the ingest cannot be read")]
    Database(#[from] sqlx::Error),
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
