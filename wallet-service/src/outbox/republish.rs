//! Stored events, sent once more: for a topic that lost them, or a consumer that missed them.
//!
//! They go through the outbox like new ones, so there is one order for both and one relay. A wallet's events go in their
//! order, as the same bytes with the same hash: readers that have them skip them. A step puts rows into the outbox and
//! notes how far it is, both or neither, so a kill costs nothing; and it waits while the outbox has more than a little,
//! so what happens now does not wait behind what happened long ago. Memory holds one step.

use std::time::Duration;

use shared::{Timestamp, event::WalletEvent, new_uuid};
use sqlx::{PgConnection, postgres::PgConnectOptions};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use super::store::republications::{Republication, Target};
use super::{
    metrics::OutboxMetrics,
    row::RowEncoder,
    store::{
        self,
        republications::{self as orders, Job, NextWallet, Position, Step},
        topics,
    },
};

/// Events that one step puts into the outbox, about.
const STEP_EVENTS: i64 = 500;
/// Wallets that one step looks at, at most.
const STEP_WALLETS: i64 = 1000;
/// More rows than this in the outbox, and it waits: a tenth of a second of work for the relay.
const OUTBOX_ROWS_MAX: i64 = 64;
/// How often it asks whether there is work, or room.
const POLL: Duration = Duration::from_secs(1);
const ROOM_POLL: Duration = Duration::from_millis(100);
/// The pause after a failure.
const RETRY: Duration = Duration::from_secs(1);

/// How callers order it and see how far it is.
#[derive(Clone, Debug)]
pub struct Republish {
    database: PgConnectOptions,
    topic: String,
}

/// The database did not take the order, or did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the database did not answer")]
pub struct NotOrdered(#[from] sqlx::Error);

impl Republish {
    /// `topic` is the one that events are sent to.
    pub const fn new(database: PgConnectOptions, topic: String) -> Self {
        Self { database, topic }
    }

    /// Orders that events are sent once more; the same order that is under way is not given twice and takes the new pace.
    /// `create_topic`: also that the topic is made again, should it be gone.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn order(
        &self,
        target: Target,
        events_per_second: i32,
        create_topic: bool,
        actor: &str,
    ) -> Result<Republication, NotOrdered> {
        let mut connection = store::connect(&self.database).await?;
        if create_topic {
            topics::make_again(&mut connection, &self.topic).await?;
        }
        Ok(orders::order(&mut connection, target, events_per_second, actor).await?)
    }

    /// The last orders, newest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn list(&self) -> Result<Vec<Republication>, NotOrdered> {
        const LIMIT: i64 = 20;
        let mut connection = store::connect(&self.database).await?;
        Ok(orders::list(&mut connection, LIMIT).await?)
    }

    /// Carries out what is ordered, for as long as it may.
    pub(super) async fn run(self, stop: CancellationToken, metrics: OutboxMetrics) {
        let worker = new_uuid();
        // May be cut anywhere: a step is one statement.
        let working = async {
            loop {
                if let Err(error) = self.work(worker, &metrics).await {
                    tracing::debug!(%error, "events are not sent again for the moment");
                }
                tokio::time::sleep(RETRY).await;
            }
        };
        stop.run_until_cancelled(working).await;
    }

    async fn work(&self, worker: Uuid, metrics: &OutboxMetrics) -> sqlx::Result<()> {
        let mut connection = store::connect(&self.database).await?;
        loop {
            let job = orders::next_job(&mut connection, worker).await?;
            metrics.republishing.set(i64::from(job.is_some()));
            match job {
                Some(job) => self.step(&mut connection, &job, metrics).await?,
                None => tokio::time::sleep(POLL).await,
            }
        }
    }

    async fn step(
        &self,
        connection: &mut PgConnection,
        job: &Job,
        metrics: &OutboxMetrics,
    ) -> sqlx::Result<()> {
        while orders::is_outbox_busy(connection, OUTBOX_ROWS_MAX).await? {
            orders::touch(connection, job.id).await?;
            tokio::time::sleep(ROOM_POLL).await;
        }
        let Some((to, step, rows)) = gather(connection, job).await? else {
            return self.finish(connection, job).await;
        };
        if let Some(fault) = &step.fault {
            tracing::error!(fault, "a wallet's events cannot all be sent again");
        }
        orders::put(connection, job, to, &step, rows.columns()).await?;
        let events = u64::try_from(step.events).unwrap_or_default();
        metrics.republished.inc_by(events);
        let pause = time_for(step.events, job.events_per_second);
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// Everything is in the outbox: it is done when everything is out of it.
    async fn finish(&self, connection: &mut PgConnection, job: &Job) -> sqlx::Result<()> {
        if let Some(last) = orders::last_row(connection).await? {
            while orders::is_any_left(connection, last).await? {
                orders::touch(connection, job.id).await?;
                tokio::time::sleep(ROOM_POLL).await;
            }
        }
        // Not when it began anew meanwhile.
        if orders::finish(connection, job, &self.topic).await? {
            tracing::info!(target = job.target, "events were sent again");
        }
        Ok(())
    }
}

/// How long so many events may take.
fn time_for(events: i64, per_second: i32) -> Duration {
    let micros = u64::try_from(events).unwrap_or_default();
    let micros = micros.saturating_mul(1_000_000);
    Duration::from_micros(micros / u64::from(per_second.max(1).unsigned_abs()))
}

/// The next events, where the order stands after them; nothing when there are no more.
async fn gather(
    connection: &mut PgConnection,
    job: &Job,
) -> sqlx::Result<Option<(Position, Step, RowEncoder)>> {
    let mut rows = RowEncoder::default();
    let mut step = Step::default();
    let mut at = job.at;
    if at.at_sequence < at.until_sequence {
        at = some_of(connection, at, &mut rows, &mut step).await?;
    }
    if at.at_sequence >= at.until_sequence && step.events < STEP_EVENTS {
        let (after, only, since) = (at.at_wallet, job.wallet_id, job.since);
        for next in orders::wallets_after(connection, after, only, since, STEP_WALLETS).await? {
            let NextWallet {
                id: at_wallet,
                version: until_sequence,
                is_concerned,
            } = next;
            at = Position {
                at_wallet,
                at_sequence: until_sequence,
                until_sequence,
            };
            if !is_concerned {
                continue;
            }
            step.wallets += 1;
            at.at_sequence = first_since(connection, next, job.since).await? - 1;
            at = some_of(connection, at, &mut rows, &mut step).await?;
            if at.at_sequence < at.until_sequence || step.events >= STEP_EVENTS {
                break;
            }
        }
    }
    Ok((at != job.at).then_some((at, step, rows)))
}

/// Events of the wallet in hand, until there are enough of them.
async fn some_of(
    connection: &mut PgConnection,
    mut at: Position,
    rows: &mut RowEncoder,
    step: &mut Step,
) -> sqlx::Result<Position> {
    let Position {
        at_wallet: wallet,
        at_sequence: after,
        until_sequence: up_to,
    } = at;
    let room = (STEP_EVENTS - step.events).max(1);
    let events = orders::events_after(connection, wallet, after, up_to, room).await?;
    for event in events {
        let next = at.at_sequence.saturating_add(1);
        match checked(event, next) {
            Ok(event) => {
                rows.add(None, &event);
                step.events += 1;
                at.at_sequence = next;
            }
            Err(reason) => {
                // What comes after it could not be applied by anybody: the next wallet.
                step.faulty_wallets += 1;
                step.fault
                    .get_or_insert(format!("event {next} of wallet {wallet} {reason}"));
                at.at_sequence = up_to;
                return Ok(at);
            }
        }
    }
    if at.at_sequence == after {
        step.faulty_wallets += 1;
        step.fault.get_or_insert(format!(
            "event {} of wallet {wallet} is missing",
            after.saturating_add(1)
        ));
        at.at_sequence = up_to;
    }
    Ok(at)
}

/// What is sent again must be what was sent.
pub(super) fn checked(
    event: sqlx::Result<WalletEvent>,
    number: i64,
) -> Result<WalletEvent, &'static str> {
    let event = event.map_err(|_| "cannot be read")?;
    if event.sequence.get() != number {
        return Err("is missing");
    }
    if event.computed_hash() != event.hash {
        return Err("does not fit its hash");
    }
    Ok(event)
}

/// The first event from then on. Times never decrease along a wallet's numbers, so it is found by halving.
pub(super) async fn first_since(
    connection: &mut PgConnection,
    wallet: NextWallet,
    since: Option<Timestamp>,
) -> sqlx::Result<i64> {
    let Some(since) = since else {
        return Ok(1);
    };
    let (mut low, mut high) = (1, wallet.version);
    while low < high {
        let middle = low + (high - low) / 2;
        let occurred = orders::occurred_at(connection, wallet.id, middle).await?;
        if occurred.is_some_and(|occurred| occurred < since) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}
