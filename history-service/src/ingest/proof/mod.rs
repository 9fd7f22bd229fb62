//! The standing proof: that history is still what was written, found out without a word from anyone.
//!
//! Two rounds take turns. One looks at all wallets and proves what is new in each since it was proved last ([`fresh`]); the
//! other proves every event from the first on ([`whole`]). Both by the rule of [`ProofWalk`](super::apply::proof::ProofWalk),
//! at a bounded rate that all instances share, for one of them works on it at a time. What is wrong is named until it is
//! found right: nothing is changed here. Whether the ends are the ledger's is compared by
//! [`refill`](super::refill), which notes it in the same place.
//!
//! It reads without locks and writes to tables of its own, so that it is in nobody's way.

mod fresh;
mod report;
mod whole;

use std::{sync::Arc, time::Duration};

use shared::server::{backoff::Backoff, health::Probe, outage::Outage};
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::store::{
    drifts,
    proofs::{self, Claimed, Pace},
};
use crate::progress::Progress;

const SERVER_LIMITS: [(&str, &str); 2] = [("statement_timeout", "10s"), ("lock_timeout", "5s")];
/// Longer than the server's limits, shorter than a claim.
const TURN_TIMEOUT: Duration = Duration::from_secs(40);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two looks when nothing is due here.
const IDLE_PAUSE: Duration = Duration::from_secs(1);
const RETRY_MIN: Duration = Duration::from_millis(500);
/// `/readyz` is degraded until the next try: no longer than a moment after the database is back.
const RETRY_MAX: Duration = Duration::from_secs(5);
/// Rows of a page at most: some milliseconds of work.
const ROWS_MAX: u32 = 2_000;
/// At which rate history is proved, and how often.
#[derive(Clone, Copy, Debug)]
pub struct ProofSettings {
    /// `PROOF_EVENTS_PER_SECOND`, 2,000; 0: history is not proved.
    pub events_per_second: u32,
    /// `PROOF_EVERY_MS`, 60,000: at most so often what is new is proved.
    pub every: Duration,
    /// `PROOF_WHOLE_EVERY_MS`, one day: at most so often every event is.
    pub whole_every: Duration,
}

/// The task.
pub struct Prover {
    options: PgConnectOptions,
    settings: ProofSettings,
    progress: Arc<Progress>,
    probe: Probe,
    shutdown: CancellationToken,
}

#[derive(Debug, thiserror::Error)]
enum ProofError {
    #[error("the database does not take part")]
    Database(#[from] sqlx::Error),
    #[error("a turn took too long")]
    TimedOut,
}

/// What a page was.
#[derive(Clone, Copy, Default, Debug)]
struct Page {
    /// Wallets that were looked at.
    looks: usize,
    /// Events that were proved, or found to be wrong.
    events: usize,
}

/// What stays from turn to turn.
#[derive(Default)]
struct Memory {
    connection: Option<PgConnection>,
    /// What a turn that failed left claimed.
    claim: Option<i64>,
}

impl Prover {
    pub fn new(
        options: PgConnectOptions,
        settings: ProofSettings,
        progress: Arc<Progress>,
        probe: Probe,
        shutdown: CancellationToken,
    ) -> Self {
        probe.ok();
        Self {
            options: options
                .application_name("history-service proof")
                .options(SERVER_LIMITS),
            settings,
            progress,
            probe,
            shutdown,
        }
    }

    /// Until the shutdown. A turn that is cut off by it leaves a claim that runs out.
    pub async fn run(self) {
        let shutdown = self.shutdown.clone();
        if self.settings.events_per_second == 0 {
            return shutdown.cancelled().await;
        }
        shutdown.run_until_cancelled(self.turns()).await;
    }

    async fn turns(self) {
        let mut memory = Memory::default();
        let mut backoff = Backoff::new(RETRY_MIN, RETRY_MAX);
        let outage = Outage::new("history cannot be proved");
        loop {
            let turn = timeout(TURN_TIMEOUT, self.turn(&mut memory)).await;
            let pause = match turn.unwrap_or(Err(ProofError::TimedOut)) {
                Ok(pause) => {
                    outage.worked();
                    backoff = Backoff::new(RETRY_MIN, RETRY_MAX);
                    pause
                }
                Err(error) => {
                    memory.connection = None;
                    outage.failed(&error);
                    self.probe.degraded(
                        "history is not proved at the moment: the log says why, and it is tried again",
                    );
                    backoff.next_pause()
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// How long there is nothing to do here.
    async fn turn(&self, memory: &mut Memory) -> Result<Duration, ProofError> {
        // Put back only when the turn ends well: what was cut off may still be running on it.
        let mut connection = match memory.connection.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        if let Some(claim) = memory.claim.take() {
            proofs::give_back(&mut connection, claim).await?;
        }
        let pace = Pace {
            new_every: self.settings.every,
            whole_every: self.settings.whole_every,
        };
        let pause = match proofs::claim(&mut connection, pace).await? {
            None => IDLE_PAUSE.min(self.settings.every),
            Some(claimed) => {
                memory.claim = Some(claimed.claim);
                let pause = self.work(&mut connection, &claimed).await?;
                memory.claim = None;
                pause
            }
        };
        let told = drifts::told(&mut connection, report::NAMED).await?;
        report::tell(&told, &self.probe, self.progress.metrics());
        memory.connection = Some(connection);
        Ok(pause)
    }

    /// One page of a round that is due; when both are, of one after the other.
    async fn work(
        &self,
        connection: &mut PgConnection,
        claimed: &Claimed,
    ) -> Result<Duration, ProofError> {
        let rows = self.settings.events_per_second.clamp(1, ROWS_MAX);
        let is_whole = claimed.is_whole_due && (!claimed.is_new_due || claimed.claim % 2 == 0);
        let (page, pause) = if is_whole {
            let (page, last) = whole::page(connection, claimed, i64::from(rows)).await?;
            let pause = self.pause_after(page);
            proofs::advance_whole(connection, claimed.claim, last, pause).await?;
            (page, pause)
        } else {
            let (page, after) = fresh::page(connection, claimed, i64::from(rows)).await?;
            let pause = self.pause_after(page);
            proofs::advance_new(connection, claimed.claim, after, pause).await?;
            (page, pause)
        };
        self.progress.metrics().proof.proved(page.events);
        Ok(pause)
    }

    /// As long as the page may take at the rate. Looking at a wallet costs about as much as proving an event.
    fn pause_after(&self, page: Page) -> Duration {
        let Page { looks, events } = page;
        let cost = u32::try_from(events.saturating_add(looks)).unwrap_or(u32::MAX);
        Duration::from_secs(u64::from(cost)) / self.settings.events_per_second.max(1)
    }

    async fn connect(&self) -> Result<PgConnection, ProofError> {
        let connecting = PgConnection::connect_with(&self.options);
        match timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(connected) => Ok(connected?),
            Err(_) => Err(ProofError::TimedOut),
        }
    }
}
