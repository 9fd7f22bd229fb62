//! The advisory locks of history's database. All of their numbers stand here: two parts that took the same one would wait for
//! each other for nothing.

use sqlx::PgConnection;

/// What is done by one at a time. Functions of `migrations/history` take [`Self::Heads`] and [`Self::Sums`] by their numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub enum HistoryLock {
    /// Shared by what appends to a wallet without moving an offset. Held by what takes events away.
    Heads = 1,
    /// Held by the instance that takes up what is parked or waits.
    Sweep = 2,
    /// Held by who archives or restores.
    Archive = 3,
    /// Held by the instance that has the sums of reports counted anew.
    Recount = 4,
    /// Held by the statement that counts them, whoever calls it.
    Sums = 5,
}

impl HistoryLock {
    /// `hist` as a number.
    const CLASS: i32 = 0x6869_7374;

    /// The second number of the lock, as Postgres shows it.
    #[must_use]
    pub const fn object(self) -> i32 {
        self as i32
    }

    /// Waits for it, and has it to the end of the transaction together with others who share it.
    ///
    /// # Errors
    /// When Postgres fails.
    pub async fn share(self, connection: &mut PgConnection) -> sqlx::Result<()> {
        let lock = "select pg_advisory_xact_lock_shared($1, $2)";
        self.wait(lock, connection).await
    }

    /// Waits for it, and has it alone to the end of the transaction.
    ///
    /// # Errors
    /// When Postgres fails.
    pub async fn own(self, connection: &mut PgConnection) -> sqlx::Result<()> {
        let lock = "select pg_advisory_xact_lock($1, $2)";
        self.wait(lock, connection).await
    }

    /// Whether it is free: then it is had alone to the end of the transaction.
    ///
    /// # Errors
    /// When Postgres fails.
    pub async fn try_own(self, connection: &mut PgConnection) -> sqlx::Result<bool> {
        let lock = "select pg_try_advisory_xact_lock($1, $2)";
        self.is_free(lock, connection).await
    }

    /// Whether it is free: then it is had alone to the end of the session.
    ///
    /// # Errors
    /// When Postgres fails.
    pub async fn try_own_in_session(self, connection: &mut PgConnection) -> sqlx::Result<bool> {
        let lock = "select pg_try_advisory_lock($1, $2)";
        self.is_free(lock, connection).await
    }

    async fn wait(self, lock: &'static str, connection: &mut PgConnection) -> sqlx::Result<()> {
        let lock = sqlx::query(lock).bind(Self::CLASS).bind(self.object());
        lock.execute(connection).await.map(drop)
    }

    async fn is_free(
        self,
        lock: &'static str,
        connection: &mut PgConnection,
    ) -> sqlx::Result<bool> {
        let lock = sqlx::query_scalar(lock)
            .bind(Self::CLASS)
            .bind(self.object());
        lock.fetch_one(connection).await
    }
}
