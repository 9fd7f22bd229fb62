//! The clock of an installation that is for tests: it may be set ahead, so that what takes days is met in a moment.
//!
//! How far it is ahead stands in the database, so all instances on it have the same time at once. Money's rules know nothing
//! of it: every moment comes to them from outside. Only an installation that says so (`TEST_CLOCK`) asks here; everywhere
//! else the table is empty and nothing reads it but what looks for ends that have come.

use chrono::TimeDelta;
use shared::Timestamp;
use sqlx::{PgPool, postgres::PgConnectOptions};

use super::store::{query::ReadError, session::in_time, test_clock};

/// See the module.
#[derive(Clone, Debug)]
pub struct TestClock {
    pool: PgPool,
}

impl TestClock {
    pub fn new(database: PgConnectOptions) -> Self {
        let pool = test_clock::pool(database);
        Self { pool }
    }

    /// How far it is ahead.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn ahead(&self) -> Result<TimeDelta, ReadError> {
        Ok(in_time(test_clock::read(&self.pool)).await?)
    }

    /// Sets it further ahead, and gives the time that it has then.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn advance(&self, by: TimeDelta) -> Result<Timestamp, ReadError> {
        let ahead = in_time(test_clock::advance(&self.pool, by)).await?;
        Ok(Timestamp::from(Timestamp::now().utc() + ahead))
    }
}
