//! The writer's sessions: how long anything may take on them, and how one is ended that its client has lost.
//!
//! Every wait has an end, and the ends are in order: a lock, a statement, the client's own patience
//! ([`CALL_TIMEOUT`]), the caller's. So the server gives up before the client does, and when the client does, the
//! session is lost: what was sent on it may be there.

use std::time::Duration;

use chrono::{DateTime, Utc};
use shared::server::postgres::is_standby;
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

/// How long a statement waits for a lock. Another instance holds a wallet for as long as a commit takes; who keeps one
/// for longer must not stop the commands for other wallets.
const LOCK_TIMEOUT: &str = "60ms";
/// A look at locks does not wait for them.
const PROBE_LOCK_TIMEOUT: &str = "5ms";
const STATEMENT_TIMEOUT: &str = "1500ms";
/// An instance that hangs inside a transaction must not keep its wallets from the others.
const IDLE_IN_TRANSACTION_TIMEOUT: &str = "3s";

/// How long a call is waited for before its connection counts as lost. Longer than the server's own limit, and short
/// enough that a connection on which nothing comes back any more holds up commands for a few seconds only.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// A lease that is not renewed for so long ends, whatever became of its holder.
const LEASE_IDLE_TIMEOUT: &str = "8s";

/// How long a session that was lost is given to end.
const END_TIMEOUT_MS: i64 = 500;

/// A session of the write path, and which server process it is.
#[derive(Debug)]
pub struct Session {
    pub connection: PgConnection,
    backend: Backend,
}

/// A server process: its id, and when it began, because ids are used again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Backend {
    pid: i32,
    began: DateTime<Utc>,
}

impl Session {
    /// `options` say what the planner is told ([`crate::config::PLANNER`]).
    pub async fn open(options: &PgConnectOptions) -> Result<Self, sqlx::Error> {
        in_time(async {
            let connection = open(options, LOCK_TIMEOUT).await?;
            Self::of(connection).await
        })
        .await
    }

    /// A session that holds a lease, and that the server ends when it is not renewed.
    pub async fn open_for_lease(options: &PgConnectOptions) -> Result<Self, sqlx::Error> {
        let options = options
            .clone()
            .options([("idle_session_timeout", LEASE_IDLE_TIMEOUT)]);
        in_time(async {
            let connection = open(&options, LOCK_TIMEOUT).await?;
            Self::of(connection).await
        })
        .await
    }

    async fn of(mut connection: PgConnection) -> Result<Self, sqlx::Error> {
        let backend = Backend::of(&mut connection).await?;
        Ok(Self {
            connection,
            backend,
        })
    }

    pub const fn backend(&self) -> Backend {
        self.backend
    }
}

/// A session for the writer's reads, which hold no locks. Not on a standby: what it says may be old, and commands are
/// refused for what is read here.
pub async fn open_for_reads(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    in_time(async {
        let mut connection = open(options, LOCK_TIMEOUT).await?;
        if is_standby(&mut connection).await? {
            let reason = "the server is a standby: nothing can be decided on what it says";
            return Err(sqlx::Error::Protocol(reason.to_owned()));
        }
        Ok(connection)
    })
    .await
}

/// A session for looks at what others keep locked ([`super::locks`]).
pub async fn open_for_probes(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    in_time(open(options, PROBE_LOCK_TIMEOUT)).await
}

async fn open(options: &PgConnectOptions, lock_timeout: &str) -> Result<PgConnection, sqlx::Error> {
    let options = options.clone().options([
        ("lock_timeout", lock_timeout),
        ("statement_timeout", STATEMENT_TIMEOUT),
        (
            "idle_in_transaction_session_timeout",
            IDLE_IN_TRANSACTION_TIMEOUT,
        ),
    ]);
    PgConnection::connect_with(&options).await
}

/// The answer to a call, or a lost connection when it does not come in time.
pub async fn in_time<T>(
    call: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    match tokio::time::timeout(CALL_TIMEOUT, call).await {
        Ok(answer) => answer,
        Err(_) => Err(sqlx::Error::PoolTimedOut),
    }
}

impl Backend {
    pub async fn of(connection: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let (pid, began) = sqlx::query_as(
            "select pid, backend_start from pg_stat_activity where pid = pg_backend_pid()",
        )
        .fetch_one(connection)
        .await?;
        Ok(Self { pid, began })
    }

    /// Ends the process, and with it whatever it has not committed. Tells whether it is gone: then it holds no locks,
    /// and what was sent to it is there or never will be.
    pub async fn end(self, connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
        let ended: Option<bool> = sqlx::query_scalar(
            "select pg_terminate_backend(pid, $3) from pg_stat_activity where pid = $1 and backend_start = $2",
        )
        .bind(self.pid)
        .bind(self.began)
        .bind(END_TIMEOUT_MS)
        .fetch_optional(connection)
        .await?;
        Ok(ended.unwrap_or(true))
    }
}
