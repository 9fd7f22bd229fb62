//! What is done beside the stream: parked and waiting events that are due are taken up on a schedule, and what is in the
//! quarantine is settled by a person's word.
//!
//! One task on a connection of its own. Its errors are its own: the ingest goes on whatever happens here. A caller who
//! goes away leaves nothing half done, for nothing of the work runs in the request's future.

mod resolve;
mod session;
mod sweep;

use std::{collections::HashSet, sync::Arc, time::Duration};

use shared::server::{backoff::Backoff, health::Health};
use sqlx::postgres::PgConnectOptions;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

pub use resolve::{Decision, Outcome, ResolveError, Verdict};

use self::{session::Session, sweep::Sweep};
use super::batch::BatchError;
use crate::progress::Progress;

/// How often is looked for what is due and was not taken up by what arrived.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
const RETRY_MIN: Duration = Duration::from_secs(1);
/// `/readyz` is degraded until the next try: no longer than a moment after the database is back.
const RETRY_MAX: Duration = Duration::from_secs(5);
/// Operators are few. One more is told to come again.
const QUEUE: usize = 16;

/// Where decisions on quarantined messages are handed in.
#[derive(Clone)]
pub struct Upkeep {
    orders: mpsc::Sender<Order>,
}

/// Several decisions, carried out one after the other.
struct Order {
    decisions: Vec<Decision>,
    answer: oneshot::Sender<Vec<Resolved>>,
}

/// What came of a decision.
pub type Resolved = Result<Outcome, ResolveError>;

/// The task behind [`Upkeep`].
pub struct UpkeepTask {
    orders: mpsc::Receiver<Order>,
    session: Session,
    sweep: Sweep,
    progress: Arc<Progress>,
}

impl Upkeep {
    /// `options` say what the planner is told.
    pub fn new(
        options: PgConnectOptions,
        health: &Health,
        progress: Arc<Progress>,
    ) -> (Self, UpkeepTask) {
        let (sender, orders) = mpsc::channel(QUEUE);
        let task = UpkeepTask {
            orders,
            session: Session::new(options),
            sweep: Sweep::new(health),
            progress,
        };
        (Self { orders: sender }, task)
    }

    /// Settles a quarantined message.
    ///
    /// # Errors
    /// When there is no such message, it is settled already, or the database cannot be written.
    pub async fn resolve(&self, decision: Decision) -> Resolved {
        let mut resolved = self.resolve_all(vec![decision]).await?;
        resolved.pop().unwrap_or(Err(ResolveError::Busy))
    }

    /// Settles several, in order, each by itself: one that cannot be settled holds up no other.
    ///
    /// # Errors
    /// When other decisions are being carried out.
    pub async fn resolve_all(
        &self,
        decisions: Vec<Decision>,
    ) -> Result<Vec<Resolved>, ResolveError> {
        let (answer, answered) = oneshot::channel();
        let order = Order { decisions, answer };
        self.orders
            .try_send(order)
            .map_err(|_| ResolveError::Busy)?;
        answered.await.map_err(|_| ResolveError::Busy)
    }
}

impl UpkeepTask {
    /// Works until `stop`; what is in hand is finished.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut pause = Duration::ZERO;
        let mut backoff = Backoff::new(RETRY_MIN, RETRY_MAX);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(order) = self.orders.recv() => self.carry_out(order).await,
                // Rung by a batch, or the time has come.
                _ = timeout(pause, self.progress.until_more_is_due()) => {
                    pause = match self.sweep(&stop).await {
                        Ok(()) => {
                            backoff = Backoff::new(RETRY_MIN, RETRY_MAX);
                            SWEEP_EVERY
                        }
                        Err(_) => backoff.next_pause(),
                    };
                }
            }
        }
    }

    async fn carry_out(&mut self, order: Order) {
        let Order { decisions, answer } = order;
        let mut resolved = Vec::with_capacity(decisions.len());
        // Alone it takes as long, and its line names it.
        let mut discarded = match decisions.as_slice() {
            [_] => HashSet::new(),
            // What went wrong is told by the first that is tried alone.
            several => resolve::discard_together(&mut self.session, several)
                .await
                .unwrap_or_default(),
        };
        for decision in &decisions {
            // Taken out: the same id again is settled already.
            if discarded.remove(&decision.id) {
                resolved.push(Ok(Outcome::Discarded));
                continue;
            }
            let outcome = resolve::resolve(&mut self.session, decision, &self.progress).await;
            let is_away = matches!(outcome, Err(ResolveError::Database(_)));
            resolved.push(outcome);
            // Each further one would wait as long.
            if is_away {
                break;
            }
        }
        if resolved.iter().any(Result::is_ok) {
            // The report of health need not wait for the next turn.
            let counted = self.sweep.count(&mut self.session, &self.progress).await;
            drop(counted);
        }
        // The caller may have gone.
        drop(answer.send(resolved));
    }

    /// Until nothing more is due.
    async fn sweep(&mut self, stop: &CancellationToken) -> Result<(), BatchError> {
        let Self {
            session,
            sweep,
            progress,
            ..
        } = self;
        sweep.turn(session, progress, stop).await
    }
}
