//! Connections to Postgres, with limits on both sides of the wire, and errors that never print a password.
//!
//! Reads borrow from a pool. Writes do not: they run on connections owned by one task each. In sqlx 0.9 a `begin()` whose
//! future is dropped during its round trip returns the session to the pool inside an open transaction, and whatever the
//! next borrower writes there is acknowledged and lost. A pool that is only read from, one statement at a time, cannot
//! meet that: `Pool::begin` is banned by lint, and [`mod@read_pool`] makes its sessions read-only, so a write that strays
//! there fails loudly. That is why no `ROLLBACK` is paid for at each release.

pub mod clock;
mod durability;
mod history_lock;
mod migrate;
mod planner;
mod read_pool;
mod settings;
mod url;
mod watch;

use std::time::Duration;

use sqlx::{Connection, PgConnection, migrate::MigrateError, postgres::PgConnectOptions};
use tokio::time::Instant;

pub(in crate::server) use self::read_pool::reads_in_flight;
pub use self::{
    clock::{CLOCK_SKEW_MAX, PostgresClock},
    durability::Durability,
    history_lock::HistoryLock,
    migrate::{RoleFault, Roles, Schema, migrate, migrate_and_grant},
    planner::PlannerSettings,
    read_pool::{answered, read_pool},
    settings::{DatabaseSettings, PlannerDefaults},
    url::check as check_url,
    watch::PostgresWatch,
};
use super::{
    backoff::Backoff,
    http_client::bad_certificate,
    outage::Outage,
    postgres_error::PostgresErrorClass,
    settings::{Secret, SettingError},
};

/// How long a session may sit in an open transaction before the server ends it, e.g. when a process hangs.
const IDLE_IN_TRANSACTION_TIMEOUT: &str = "10s";
/// How soon the server notices that the other end is gone without a word, because its host died or the network parted: in
/// about ten seconds, where it takes two hours by default. Until then a session keeps its locks and leases. Sockets of the
/// same machine have none of these settings, and need none.
const LIVENESS: [(&str, &str); 4] = [
    ("tcp_keepalives_idle", "5"),
    ("tcp_keepalives_interval", "2"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "10s"),
];
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);
/// How long one attempt to connect may take: a host that drops packets would hold it for minutes.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a start waits for Postgres to answer at all.
const START_CONNECT_DEADLINE: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    #[error("the Postgres URL cannot be used: {0}")]
    Url(String),
    #[error("cannot connect to Postgres at {target} (gave up after {waited_ms} ms)")]
    Connect {
        target: String,
        waited_ms: u128,
        #[source]
        source: sqlx::Error,
    },
    #[error(
        "Postgres at {target} is not trusted: {fault}. With sslmode=verify-full in the URL, the certificate has to be for \
         the host in it, and signed by who the system trusts, or by one in the file that sslrootcert in the URL names"
    )]
    NotTrusted {
        target: String,
        fault: &'static str,
        #[source]
        source: sqlx::Error,
    },
    #[error("Postgres at {target} does not speak TLS, and sslmode in the URL asks for it")]
    NoTls { target: String },
    #[error("cannot migrate the database at {target}")]
    Migrate {
        target: String,
        #[source]
        source: MigrateError,
    },
    #[error(
        "the database at {target} was made by an earlier build from before the first release (its migration {version} \
         is not this build's). Such a database cannot be taken over; nothing in it was changed. Start with an empty one: \
         scripts/down --wipe empties the local stack, elsewhere create a new database and name it in the settings"
    )]
    OtherLine { target: String, version: i64 },
    #[error(
        "the database at {target} is another service's: it holds the schema \"{schema}\". Nothing in it was changed. Were \
         the URLs of two databases swapped?"
    )]
    OtherService { target: String, schema: String },
    #[error("the role {role:?} cannot be used at {target}: {fault}")]
    Role {
        target: String,
        role: String,
        fault: RoleFault,
    },
    #[error(
        "commits at {target} do not wait for what makes them last: its synchronous_commit is {value}, so a power cut or a \
         failover loses what was acknowledged. Set it to on; or, where that is wanted, say it: SYNCHRONOUS_COMMIT={value}"
    )]
    NotDurable { target: String, value: String },
    #[error("Postgres at {target} did not answer")]
    Unanswered {
        target: String,
        #[source]
        source: sqlx::Error,
    },
    #[error(transparent)]
    Setting(#[from] SettingError),
}

/// Options from a URL. The server shows `application_name` in `pg_stat_activity`.
///
/// # Errors
/// When the URL cannot be used. The error does not repeat it.
pub fn connect_options(
    url: &Secret,
    application_name: &str,
) -> Result<PgConnectOptions, PostgresError> {
    let options = url::parse(url.expose()).map_err(PostgresError::Url)?;
    let options = options.application_name(application_name).options(LIVENESS);
    Ok(options.options([(
        "idle_in_transaction_session_timeout",
        IDLE_IN_TRANSACTION_TIMEOUT,
    )]))
}

/// A connection of one's own, for start-up: while Postgres is away or starting it tries again, with growing pauses, until
/// `deadline` has passed.
///
/// # Errors
/// At once for what waiting does not mend (wrong password, no such database), else after the deadline.
pub async fn connect_with_retry(
    options: &PgConnectOptions,
    deadline: Duration,
) -> Result<PgConnection, PostgresError> {
    let started = Instant::now();
    let mut backoff = Backoff::new(RETRY_FIRST, RETRY_MAX);
    let what = format!("Postgres at {} is waited for", target(options));
    let outage = Outage::over_after(what.into(), Duration::ZERO);
    loop {
        let error = match tokio::time::timeout(ATTEMPT_TIMEOUT, PgConnection::connect_with(options))
            .await
        {
            Ok(Ok(connection)) => {
                outage.worked();
                return Ok(connection);
            }
            Ok(Err(error)) => error,
            Err(_) => sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()),
        };
        if let Some(fault) = bad_certificate(&error) {
            return Err(PostgresError::NotTrusted {
                target: target(options),
                fault,
                source: error,
            });
        }
        if matches!(&error, sqlx::Error::Tls(_)) && error.to_string().contains("does not support") {
            let target = target(options);
            return Err(PostgresError::NoTls { target });
        }
        let (waited, pause) = (started.elapsed(), backoff.next_pause());
        if !PostgresErrorClass::of(&error).passes() || waited + pause > deadline {
            return Err(PostgresError::Connect {
                target: target(options),
                waited_ms: waited.as_millis(),
                source: error,
            });
        }
        outage.failed(&error);
        tokio::time::sleep(pause).await;
    }
}

/// Whether the server follows another one: what it says may be old, and it takes no writes.
///
/// # Errors
/// When it does not answer.
pub async fn is_standby(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select pg_is_in_recovery()")
        .fetch_one(connection)
        .await
}

/// Says good-bye, so that the server's log does not speak of a lost client. What was to be done on it is done.
async fn closed(connection: PgConnection) {
    if let Err(error) = connection.close().await {
        tracing::debug!(%error, "a connection did not close cleanly");
    }
}

/// Where it is, without how to get in.
fn target(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or("(default)");
    match options.get_socket() {
        Some(socket) => format!("{}/{database}", socket.display()),
        None => format!("{}:{}/{database}", options.get_host(), options.get_port()),
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    fn everything_said(error: &PostgresError) -> String {
        let mut said = format!("{error:?} {error}");
        let mut below = error.source();
        while let Some(source) = below {
            said.push_str(&format!(" {source:?} {source}"));
            below = source.source();
        }
        said
    }

    #[tokio::test]
    async fn an_absent_server_is_reported_by_address_after_the_deadline() {
        let url = Secret::new("postgres://wallet:hunter2@127.0.0.1:1/wallet");
        let options = connect_options(&url, "test").unwrap();
        let error = connect_with_retry(&options, Duration::from_millis(250))
            .await
            .unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot connect to Postgres at 127.0.0.1:1/wallet"),
            "{error}"
        );
        assert!(!everything_said(&error).contains("hunter2"));
    }
}
