//! A look at the database every second, on a session of its own: whether it takes writes, whether its clock and this
//! process' agree, and whether what it acknowledges survives a power cut. What is wrong is told by the health report.
//!
//! A server that takes no writes is asked on a new connection each time: after a failover that one reaches the server
//! that does.

use std::time::{Duration, Instant};

use sqlx::{Connection, FromRow, PgConnection, postgres::PgConnectOptions};
use tokio_util::sync::CancellationToken;

use super::clock::PostgresClock;
use crate::{Timestamp, server::health::Probe};

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Connecting included.
const LOOK_TIMEOUT: Duration = Duration::from_secs(3);

const LOOK: &str = "
select clock_timestamp() as clock,
       pg_is_in_recovery() or current_setting('transaction_read_only')::boolean as read_only,
       current_setting('fsync')::boolean as fsync,
       current_setting('full_page_writes')::boolean as full_page_writes";

/// See the module.
pub struct PostgresWatch {
    database: PgConnectOptions,
    clock: PostgresClock,
    /// The clock of this process.
    now: fn() -> Timestamp,
    probe: Probe,
    session: Option<PgConnection>,
}

#[derive(FromRow)]
struct Look {
    clock: Timestamp,
    read_only: bool,
    fsync: bool,
    full_page_writes: bool,
}

impl PostgresWatch {
    /// `now` is the clock of this process.
    pub fn new(database: PgConnectOptions, now: fn() -> Timestamp, probe: Probe) -> Self {
        Self {
            database,
            clock: PostgresClock::default(),
            now,
            probe,
            session: None,
        }
    }

    /// What is known of Postgres' clock, kept up to date for as long as this runs.
    pub fn clock(&self) -> PostgresClock {
        self.clock.clone()
    }

    /// Looks until it is told to stop. May be cut anywhere.
    pub async fn run(mut self, stop: CancellationToken) {
        let looking = async {
            loop {
                self.look().await;
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        stop.run_until_cancelled(looking).await;
    }

    /// Looks once. Whether Postgres answers at all is for others to tell.
    pub async fn look(&mut self) {
        match tokio::time::timeout(LOOK_TIMEOUT, self.ask()).await {
            Ok(Ok(look)) => self.report(&look),
            Ok(Err(error)) => {
                tracing::debug!(%error, "Postgres could not be asked how it is");
                self.probe.degraded("Postgres does not say how it is");
            }
            Err(_) => self.probe.degraded("Postgres does not say how it is"),
        }
    }

    async fn ask(&mut self) -> Result<Look, sqlx::Error> {
        // Taken out: a session that did not answer, or that this is dropped on, is not asked again.
        let mut session = match self.session.take() {
            Some(session) => session,
            None => PgConnection::connect_with(&self.database).await?,
        };
        let asked = Instant::now();
        let look: Look = sqlx::query_as(LOOK).fetch_one(&mut session).await?;
        self.clock.answered(look.clock, asked, Instant::now());
        if !look.read_only {
            self.session = Some(session);
        }
        Ok(look)
    }

    fn report(&self, look: &Look) {
        let mut reasons = Vec::new();
        if look.read_only {
            reasons.push("Postgres takes no writes: it is read-only, or a standby".to_owned());
        }
        if let Err(skew) = self.clock.check((self.now)()) {
            reasons.push(format!(
                "clock_skew: {skew}; it writes nothing until they agree"
            ));
        }
        for (name, is_on) in [
            ("fsync", look.fsync),
            ("full_page_writes", look.full_page_writes),
        ] {
            if !is_on {
                reasons.push(format!(
                    "{name} of Postgres is off: a power cut can lose what was acknowledged"
                ));
            }
        }
        if reasons.is_empty() {
            self.probe.ok();
        } else {
            self.probe.degraded(reasons.join("; "));
        }
    }
}
