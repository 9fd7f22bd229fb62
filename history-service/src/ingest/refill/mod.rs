//! What is missing comes back: events that Kafka did not bring, and wallets that are not as the ledger has them.
//!
//! A task beside the ingest, with a connection and errors of its own, so that nothing it waits for holds up what arrives.
//! It notes gaps that are older than their patience, compares the ends of all wallets again and again, and every row when
//! that is asked for, and brings each wallet that is in `refills` to the ledger's state by the same rule as the ingest. What cannot be brought there without taking
//! something away (a fork) is shown and left alone, until a person says that the ledger wins.
//!
//! - [`ledger`]: the questions over HTTP. [`wallet`]: one wallet, [`rows`]: what stands before its end, [`fork`]: where
//!   it parts from the ledger. [`patrol`]: all of them, by itself. [`compare`]: all of them, because it was asked for.
//! - [`claimed`]: what is tried again soon. [`report`]: what health says.
//! - [`orders`]: what people ask for.

mod claimed;
mod compare;
mod fork;
mod ledger;
mod orders;
mod patrol;
mod report;
mod rows;
mod wallet;

use std::{path::PathBuf, sync::Arc, time::Duration};

use reqwest::Url;
use shared::{
    WalletId,
    server::{auth::TokenFile, backoff::Backoff, health::Probe, http_client::Trusted},
};
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::CancellationToken;

pub use orders::{OrderError, Orders, Repair};

use self::{
    claimed::{Claimed, Fault},
    ledger::{Ledger, LedgerError},
    patrol::Patrol,
};
use super::{
    batch::BatchError,
    recount::{self, Recounter},
    store::{recounts, refills},
};
use crate::progress::Progress;

const SERVER_LIMITS: [(&str, &str); 2] = [("statement_timeout", "10s"), ("lock_timeout", "5s")];
/// Longer than the server's limits and than a question to the ledger.
const TURN_TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two looks when there is nothing to do.
const IDLE_PAUSE: Duration = Duration::from_secs(1);
/// Between two turns when there is: the database has others to serve.
const BUSY_PAUSE: Duration = Duration::from_millis(10);
const RETRY_MIN: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(10);
/// How long wallets are left alone when the ledger could not be asked, or they moved.
const PAUSE: Duration = Duration::from_secs(2);
/// Who did what no person asked for.
const ITSELF: &str = "history-service";

/// Where the ledger is, and how long a gap is left to Kafka.
#[derive(Clone, Debug)]
pub struct RefillSettings {
    /// `LEDGER_URL`: wallet-service; none: what is missing is shown and stays missing.
    pub ledger_url: Option<Url>,
    /// `LEDGER_CA_FILE`: whose certificates are trusted there; none: the system's.
    pub ledger_trusted: Option<Trusted>,
    /// `LEDGER_TOKEN_FILE`: the token that it is shown, where it tells callers apart.
    pub ledger_token: Option<PathBuf>,
    /// `GAP_PATIENCE_MS`, 30,000.
    pub gap_patience: Duration,
    /// `COMPARE_EVERY_MS`, 60,000: at most so often the ends of all wallets are compared with the ledger's.
    pub compare_every: Duration,
}

/// The task.
pub struct Refiller {
    options: PgConnectOptions,
    ledger: Option<Ledger>,
    gap_patience: Duration,
    compare_every: Duration,
    /// Rung when the sums of reports have to be counted anew.
    recount: Arc<Notify>,
    progress: Arc<Progress>,
    probe: Probe,
    shutdown: CancellationToken,
}

#[derive(Debug, thiserror::Error)]
enum RefillError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("the database does not take part")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error("a turn took too long")]
    TimedOut,
}

/// What stays from turn to turn.
struct Memory {
    connection: Option<PgConnection>,
    /// Where the look through parked events goes on.
    gaps_after: Option<WalletId>,
    patrol: Patrol,
    claims: Claimed,
    /// What was given back after a failure has not been done since.
    is_failing: bool,
}

impl Refiller {
    /// # Errors
    /// When the machine has no resources for a client.
    pub fn new(
        options: PgConnectOptions,
        (settings, recounter): (&RefillSettings, &Recounter),
        progress: Arc<Progress>,
        probe: Probe,
        shutdown: CancellationToken,
    ) -> reqwest::Result<Self> {
        probe.ok();
        let token = settings.ledger_token.clone().map(TokenFile::new);
        let ledger = settings.ledger_url.clone();
        let ledger = ledger.map(|url| Ledger::new(url, settings.ledger_trusted.as_ref(), token));
        Ok(Self {
            options: options.options(SERVER_LIMITS),
            ledger: ledger.transpose()?,
            gap_patience: settings.gap_patience,
            compare_every: settings.compare_every,
            recount: recounter.bell(),
            progress,
            probe,
            shutdown,
        })
    }

    /// Until the shutdown. A turn that is cut off by it has committed whole transactions only.
    pub async fn run(self) {
        let shutdown = self.shutdown.clone();
        shutdown.run_until_cancelled(self.turns()).await;
    }

    async fn turns(self) {
        let mut memory = Memory {
            connection: None,
            gaps_after: None,
            patrol: Patrol::new(self.compare_every, self.gap_patience),
            claims: Claimed::default(),
            is_failing: false,
        };
        let new_backoff = || Backoff::new(RETRY_MIN, RETRY_MAX);
        let mut backoff = new_backoff();
        let mut failing = false;
        loop {
            let turn = timeout(TURN_TIMEOUT, self.turn(&mut memory)).await;
            let pause = match turn.unwrap_or(Err(RefillError::TimedOut)) {
                Ok(is_busy) => {
                    if !memory.is_failing && std::mem::take(&mut failing) {
                        tracing::info!("wallets can be refilled again");
                        backoff = new_backoff();
                    }
                    if is_busy {
                        BUSY_PAUSE
                    } else {
                        IDLE_PAUSE.min(self.gap_patience)
                    }
                }
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "wallets cannot be refilled, trying until they can"
                        );
                    }
                    self.after(&error, &mut memory).await;
                    backoff.next_pause()
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Whether there is more to do at once.
    async fn turn(&self, memory: &mut Memory) -> Result<bool, RefillError> {
        // Put back only when the turn ends well: what was cut off may still be running on it.
        let mut connection = match memory.connection.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let claims = &mut memory.claims;
        claims.give_back(&mut connection, Fault::Here).await?;
        if recounts::is_due(&mut connection, recount::CALM).await? {
            self.recount.notify_one();
        }
        let is_busy = if refills::is_any_work(&mut connection).await? {
            let worked = self.work(&mut connection, memory).await;
            if let Err(RefillError::Ledger(_)) = worked {
                let claims = &mut memory.claims;
                claims.give_back(&mut connection, Fault::OfLedger).await?;
            }
            worked?
        } else {
            if let Some(ledger) = &self.ledger {
                ledger.asks_for_no_events();
            }
            let nothing = report::Found::default();
            nothing.tell(&self.probe, self.ledger.as_ref());
            nothing.tell_metrics(self.progress.metrics());
            memory.claims.nothing_to_compare();
            memory.is_failing = false;
            false
        };
        // What is known to be missing comes first.
        if let Some(ledger) = &self.ledger
            && !is_busy
        {
            memory
                .patrol
                .step(&mut connection, ledger, &self.progress)
                .await?;
        }
        memory.connection = Some(connection);
        Ok(is_busy)
    }

    async fn work(
        &self,
        connection: &mut PgConnection,
        memory: &mut Memory,
    ) -> Result<bool, RefillError> {
        memory.gaps_after =
            refills::request_for_gaps(connection, memory.gaps_after, self.gap_patience).await?;
        refills::forget_closed_gaps(connection).await?;
        let mut is_busy = memory.gaps_after.is_some();
        if let Some(ledger) = &self.ledger {
            let claims = &mut memory.claims;
            is_busy |= compare::page(connection, ledger, claims).await?;
            is_busy |= wallet::some(connection, ledger, &self.progress, claims).await?;
        }
        let found = report::read(connection, memory.claims.is_comparison_failing()).await?;
        if !found.is_comparing() {
            memory.claims.nothing_to_compare();
        }
        memory.is_failing = found.is_failing();
        found.tell(&self.probe, self.ledger.as_ref());
        found.tell_metrics(self.progress.metrics());
        Ok(is_busy)
    }

    async fn connect(&self) -> Result<PgConnection, RefillError> {
        let connecting = PgConnection::connect_with(&self.options);
        match timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(connected) => Ok(connected?),
            Err(_) => Err(RefillError::TimedOut),
        }
    }

    /// Says what is missing even while nothing can be done about it.
    async fn after(&self, error: &RefillError, memory: &mut Memory) {
        memory.connection = None;
        match error {
            RefillError::Ledger(error) => {
                let found = async {
                    let mut connection = self.connect().await?;
                    Ok::<_, RefillError>(report::read(&mut connection, false).await?)
                };
                if let Ok(found) = found.await {
                    found.tell_metrics(self.progress.metrics());
                    found.tell_that_ledger_is_away(&self.probe, &error.to_string());
                }
            }
            RefillError::Database(_) | RefillError::Batch(_) | RefillError::TimedOut => {
                self.probe.degraded(
                    "what is missing cannot be refilled: the database does not take part",
                );
            }
        }
    }
}
