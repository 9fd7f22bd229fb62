//! The pool that reads borrow from, and how it follows the database: away from connections that died or hang, from a
//! server that became a standby, and to wherever the address leads by now.
//!
//! A standby is read from while there is nothing else: reads go on when writes cannot. But what it says may be old. So a
//! connection to one is kept for moments only; the next one may reach the server that writes.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use sqlx::{
    Connection, PgPool,
    pool::PoolConnectionMetadata,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::Instant;

use super::is_standby;

/// How long a read may wait for a connection: well below the request time, so that the caller gets an answer.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long one statement of a read may run. The client side gives up later than the server side, or work would go on
/// in vain.
const READ_STATEMENT_TIMEOUT: &str = "5s";
/// How long a read may take at the client's side: more than at the server's, less than any caller waits.
const READ_TIMEOUT: Duration = Duration::from_secs(7);
/// How long a connection that comes back to the pool may take to say that it lives.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);
/// A connection unused for longer is tried before it is lent: it may have died with its server. Trying each time would
/// double the round trips of every read.
const TRUSTED_IDLE: Duration = Duration::from_secs(5);
/// No connection is older: the address of a database may lead to another server by now, and an old one tells nothing of
/// that.
const AGE_MAX: Duration = Duration::from_secs(60);
/// How long a connection to a standby is kept, and what one that was made that soon after it is taken for.
const STANDBY_AGE_MAX: Duration = Duration::from_secs(1);

/// A pool for single, reading statements. Connects when first used.
pub fn read_pool(options: PgConnectOptions, max: u32) -> PgPool {
    let options = options.options([
        ("statement_timeout", READ_STATEMENT_TIMEOUT),
        ("default_transaction_read_only", "on"),
    ]);
    let standby = StandbySeen::default();
    let seen = standby.clone();
    PgPoolOptions::new()
        .max_connections(max)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .max_lifetime(AGE_MAX)
        .test_before_acquire(false)
        .after_connect(move |connection, _| {
            let seen = seen.clone();
            Box::pin(async move {
                if is_standby(connection).await? {
                    seen.note();
                }
                Ok(())
            })
        })
        .after_release(|connection, _| {
            Box::pin(async move {
                // The pool's own test at this point has no time limit: a connection on which nothing comes back any more
                // would keep its place for ever.
                match tokio::time::timeout(RELEASE_TIMEOUT, connection.ping()).await {
                    Ok(answer) => answer.map(|()| true),
                    Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
                }
            })
        })
        .before_acquire(move |connection, metadata| {
            let is_kept = !standby.may_be_at_its_end(&metadata);
            Box::pin(async move {
                if is_kept && metadata.idle_for > TRUSTED_IDLE {
                    connection.ping().await?;
                }
                Ok(is_kept)
            })
        })
        .connect_lazy_with(options)
}

/// Reads of this process that are under way, those that wait for a connection among them.
static READS: AtomicUsize = AtomicUsize::new(0);

pub(in crate::server) fn reads_in_flight() -> usize {
    READS.load(Ordering::Relaxed)
}

/// A read that is under way, until this is dropped.
struct InFlight;

impl InFlight {
    fn begin() -> Self {
        READS.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        READS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// When a new connection last reached a standby.
#[derive(Clone, Default)]
struct StandbySeen(Arc<Mutex<Option<Instant>>>);

impl StandbySeen {
    fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether a connection may lead to a standby and is old enough to be made anew.
    fn may_be_at_its_end(&self, metadata: &PoolConnectionMetadata) -> bool {
        let seen = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.is_some_and(|seen| {
            let since = seen.elapsed();
            since > STANDBY_AGE_MAX && metadata.age + STANDBY_AGE_MAX >= since
        })
    }
}

/// Gives a read on a [`read_pool`] up when no answer comes, as on a connection that hangs. Its connection is then tried
/// and, when it stays silent, closed.
///
/// The read is boxed: it is 8 kB of state, which every handler would carry and copy that only might read.
///
/// # Errors
/// Those of the read, or that it took too long.
pub fn answered<T>(
    read: impl Future<Output = sqlx::Result<T>>,
) -> impl Future<Output = sqlx::Result<T>> {
    let read = Box::pin(read);
    async move {
        let _counted = InFlight::begin();
        tokio::time::timeout(READ_TIMEOUT, read)
            .await
            .unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))
    }
}
