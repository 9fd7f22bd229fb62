//! How far the ingest is, and what it set aside: for operators.

mod model;
mod store;

use shared::{
    page::{Cursor, InvalidCursor, Limit, Page},
    server::postgres::answered,
};
use sqlx::PgPool;

pub use model::{Kept, KeptFilter, KeptInFull, Ordered, Partition, Shown, State};

#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
    #[error("no message {0} is in the quarantine")]
    NotFound(i64),
    #[error("no rebuild or repair {0} was ordered")]
    NoOrder(i64),
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
        let partitions = answered(store::list_partitions(&self.pool)).await?;
        let counts = answered(store::count_set_aside(&self.pool)).await?;
        let refill = answered(store::refills(&self.pool)).await?;
        let proof = answered(store::proof(&self.pool)).await?;
        Ok(State {
            partitions,
            counts,
            refill,
            proof,
        })
    }

    /// Newest first.
    pub async fn quarantine(
        &self,
        filter: &KeptFilter,
        limit: Limit,
        cursor: Option<Cursor>,
    ) -> Result<Page<Kept>, StatusError> {
        let listing = filter.listing();
        let before = cursor.map(|cursor| cursor.open(&listing)).transpose()?;
        let rows = match filter.shown {
            Shown::Open | Shown::All => {
                answered(store::list_quarantined(&self.pool, filter, before, limit)).await?
            }
            Shown::Waiting => {
                answered(store::list_waiting(&self.pool, filter, before, limit)).await?
            }
        };
        Ok(Page::of(rows, limit, &listing, |row| row.id))
    }

    /// One message with all its bytes, whether it is open, settled or waits.
    pub async fn quarantined(&self, id: i64) -> Result<KeptInFull, StatusError> {
        let found = answered(store::find_kept(&self.pool, id)).await?;
        found.ok_or(StatusError::NotFound(id))
    }

    /// An order to rebuild or to repair, and what came of it so far.
    pub async fn order(&self, id: i64) -> Result<Ordered, StatusError> {
        let found = answered(store::find_order(&self.pool, id)).await?;
        let mut order = found.ok_or(StatusError::NoOrder(id))?;
        if order.stuck > 0 {
            order.first_stuck = answered(store::first_stuck(&self.pool, id)).await?;
        }
        Ok(order)
    }
}
