//! Takes up what is due and was left: parked events whose predecessor is there, and waiting ones that this build knows.
//!
//! Only the first parked event of each wallet is looked at, so a turn costs the same however many are parked. Instances
//! take turns by a lock of the transaction; the one that does not get it has nothing to do.

use std::sync::Arc;

use shared::{
    WalletId,
    server::{
        health::{Health, Probe},
        postgres::HistoryLock,
    },
};
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

use super::session::Session;
use crate::{
    ingest::{
        applied::Applied,
        apply::Decisions,
        batch::{self, BatchError},
        message::{Message, Reason, Refusal, Refused},
        store::{self, Counted, UNPARK_MAX},
    },
    progress::Progress,
};

/// Wallets whose first parked event is looked at in one turn.
const WALLETS_PER_TURN: i64 = 2_000;
/// Wallets whose parked events are taken up in one transaction.
const WALLETS_AT_ONCE: usize = 100;
/// Waiting events taken up in one transaction.
const WAITING_AT_ONCE: i64 = 500;
/// More are not counted, for that would read all of them every few seconds: a report says that there are more than so
/// many, and `GET /admin/projection` how many.
const COUNTED_MAX: i64 = 1_000;

pub(super) struct Sweep {
    /// Where the next turn goes on.
    after: Option<WalletId>,
    quarantine: Probe,
    unknown: Probe,
    upkeep: Probe,
    is_failing: bool,
}

/// What one step did.
enum Step {
    /// Another instance is at it.
    Taken,
    Nothing,
    Some(Applied),
}

impl Sweep {
    /// Reports to `health` as `quarantine`, `unknown_events` and `upkeep`. None of them makes the process unready.
    pub(super) fn new(health: &Health) -> Self {
        let probe = |name| {
            let probe = health.component(name);
            probe.ok();
            probe
        };
        Self {
            after: None,
            quarantine: probe("quarantine"),
            unknown: probe("unknown_events"),
            upkeep: probe("upkeep"),
            is_failing: false,
        }
    }

    /// One turn, told of at its first failure and when it works again.
    pub(super) async fn turn(
        &mut self,
        session: &mut Session,
        progress: &Progress,
        stop: &CancellationToken,
    ) -> Result<(), BatchError> {
        let swept = self.all_that_is_due(session, progress, stop).await;
        match &swept {
            Ok(()) if self.is_failing => {
                tracing::info!("what was left parked is taken up again");
                self.is_failing = false;
                self.upkeep.ok();
            }
            Ok(()) => {}
            Err(error) if !self.is_failing => {
                tracing::warn!(
                    error = error as &dyn std::error::Error,
                    "what was left parked cannot be taken up, trying until it can"
                );
                self.is_failing = true;
                self.upkeep.degraded(
                    "what was left parked cannot be taken up; it is, once the database takes it",
                );
            }
            Err(_) => {}
        }
        swept
    }

    async fn all_that_is_due(
        &mut self,
        session: &mut Session,
        progress: &Progress,
        stop: &CancellationToken,
    ) -> Result<(), BatchError> {
        while !stop.is_cancelled() {
            match session.transaction(take_up_known).await {
                Ok(Step::Some(applied)) => applied.report(progress),
                Ok(Step::Taken | Step::Nothing) | Err(BatchError::HeadsMoved) => break,
                Err(error) => return Err(error),
            }
        }
        let after = self.after;
        let page = session
            .transaction(async |connection| {
                Ok(store::lowest_parked(connection, after, WALLETS_PER_TURN).await?)
            })
            .await?;
        let is_full = i64::try_from(page.len()) == Ok(WALLETS_PER_TURN);
        let last = page.last().map(|lowest| lowest.wallet_id);
        self.after = last.filter(|_| is_full);
        let due = page.into_iter().filter(|lowest| lowest.is_due);
        let due: Vec<WalletId> = due.map(|lowest| lowest.wallet_id).collect();
        for wallets in due.chunks(WALLETS_AT_ONCE) {
            settle_due(session, wallets, progress, stop).await?;
        }
        if is_full && !due.is_empty() {
            progress.more_is_due();
        }
        self.count(session, progress).await
    }

    /// Counts what an operator has to know of.
    pub(super) async fn count(
        &mut self,
        session: &mut Session,
        progress: &Progress,
    ) -> Result<(), BatchError> {
        let Counted { kept, kind } = session.transaction(open_and_waiting).await?;
        progress.metrics().set_aside(kept);
        let (open, waiting) = (kept.open, kept.waiting);
        self.quarantine.detail("open", open.min(COUNTED_MAX));
        if open == 0 {
            self.quarantine.ok();
        } else {
            let messages = counted(open, "message", "messages");
            self.quarantine.degraded(format!(
                "{messages} could not be used, and nothing was decided yet: walletctl quarantine list"
            ));
        }
        self.unknown.detail("waiting", waiting.min(COUNTED_MAX));
        match kind {
            Some(kind) if waiting > 0 => self.unknown.degraded(format!(
                "{} for a newer build (such as {kind}), and so does what follows in its wallet: upgrade history-service",
                counted(waiting, "event waits", "events wait")
            )),
            _ => self.unknown.ok(),
        }
        Ok(())
    }
}

/// As exact as it was counted.
fn counted(count: i64, one: &str, many: &str) -> String {
    if count > COUNTED_MAX {
        format!("more than {COUNTED_MAX} {many}")
    } else {
        format!("{count} {}", if count == 1 { one } else { many })
    }
}

/// Takes up everything that is due of these wallets. What the database refuses is set aside alone, so that it holds up
/// neither its neighbours nor other wallets.
async fn settle_due(
    session: &mut Session,
    wallets: &[WalletId],
    progress: &Progress,
    stop: &CancellationToken,
) -> Result<(), BatchError> {
    while !stop.is_cancelled() {
        match step(session, wallets, UNPARK_MAX).await {
            Ok(Step::Some(applied)) if applied.unparked > 0 => applied.report(progress),
            // Its number was taken meanwhile: the next turn looks again.
            Ok(_) | Err(BatchError::HeadsMoved) => return Ok(()),
            Err(BatchError::Unstorable(error)) => {
                tracing::warn!(%error, "parked events are refused by the database, trying one by one");
                for wallet in wallets {
                    one_by_one(session, *wallet, progress, stop).await?;
                }
                return Ok(());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn one_by_one(
    session: &mut Session,
    wallet: WalletId,
    progress: &Progress,
    stop: &CancellationToken,
) -> Result<(), BatchError> {
    while !stop.is_cancelled() {
        match step(session, &[wallet], 1).await {
            Ok(Step::Some(applied)) if applied.unparked > 0 => applied.report(progress),
            Ok(_) | Err(BatchError::HeadsMoved) => break,
            Err(BatchError::Unstorable(error)) => {
                let detail = error.to_string();
                let aside = session
                    .transaction(async |connection| {
                        set_lowest_aside(connection, wallet, detail).await
                    })
                    .await?;
                match aside {
                    Step::Some(applied) => applied.report(progress),
                    Step::Taken | Step::Nothing => break,
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn step(session: &mut Session, wallets: &[WalletId], limit: i64) -> Result<Step, BatchError> {
    session
        .transaction(async |connection| {
            if !own_the_turn(connection).await? {
                return Ok(Step::Taken);
            }
            let decisions = batch::take_up_parked(connection, wallets, limit).await?;
            Ok(Step::Some(Applied::of(&decisions)))
        })
        .await
}

/// Moves the wallet's first parked event into the quarantine.
async fn set_lowest_aside(
    connection: &mut PgConnection,
    wallet: WalletId,
    detail: String,
) -> Result<Step, BatchError> {
    if !own_the_turn(connection).await? {
        return Ok(Step::Taken);
    }
    let heads = store::read_heads(connection, &[wallet]).await?;
    let Some(head) = heads.get(&wallet) else {
        return Ok(Step::Nothing);
    };
    let lowest = store::parked_behind(connection, &[(wallet, head.last_sequence)], 1).await?;
    let Some(parked) = lowest.into_iter().next() else {
        return Ok(Step::Nothing);
    };
    let refused = Refused {
        message: parked.message,
        refusal: Refusal::new(Reason::NotStorable, detail),
        claim: Some((parked.wallet_id, parked.sequence)),
    };
    let decisions = Decisions {
        unparked: vec![(parked.wallet_id, parked.sequence, parked.hash)],
        refused: vec![refused],
        ..Decisions::default()
    };
    store::quarantine(connection, &decisions.refused).await?;
    store::unpark(connection, &decisions.unparked).await?;
    Ok(Step::Some(Applied::of(&decisions)))
}

/// Takes up waiting events that this build knows, as if they had just arrived.
async fn take_up_known(connection: &mut PgConnection) -> Result<Step, BatchError> {
    if !own_the_turn(connection).await? {
        return Ok(Step::Taken);
    }
    let known = store::known_waiting(connection, WAITING_AT_ONCE).await?;
    if known.is_empty() {
        return Ok(Step::Nothing);
    }
    let (ids, messages): (Vec<i64>, Vec<Arc<Message>>) = known.into_iter().unzip();
    store::remove_waiting(connection, &ids).await?;
    let decisions = batch::decide_again(connection, &messages).await?;
    tracing::info!(
        count = ids.len(),
        "events that waited for a build which knows them are taken up"
    );
    Ok(Step::Some(Applied::of(&decisions)))
}

async fn own_the_turn(connection: &mut PgConnection) -> sqlx::Result<bool> {
    HistoryLock::Sweep.try_own(connection).await
}

async fn open_and_waiting(connection: &mut PgConnection) -> Result<Counted, BatchError> {
    Ok(store::count_open(connection, COUNTED_MAX + 1).await?)
}
