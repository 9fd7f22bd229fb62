//! The proof that the ledger and its history are right: both databases are read to the last row and every promise is checked again.
//!
//! The ledger is read in one snapshot, history in a later one, so that everything the first holds can be asked of the
//! second. Nothing is sampled, nothing is trusted from a previous run, and nothing is kept in memory but totals, a few
//! rows per table and the first offender of each fault. Never: a write, a lock, or an answer from a service.
//!
//! - [`fault`]: the promises, and the faults that break them. [`report`]: the verdict.
//! - `snapshot`, `rows`: what is read, and the moment it is read at.
//! - `chain`: the rules along one wallet's events, the same for both databases. `side` walks a database by them.
//! - `wallet`, `history`: what only one of the databases can be asked. `compare`: one against the other.

mod chain;
mod compare;
pub mod fault;
mod history;
mod identity;
pub mod report;
mod rows;
mod side;
mod snapshot;
mod wallet;

use std::time::{Duration, Instant};

use anyhow::Context;
use futures::TryStreamExt;
use shared::server::settings::Secret;
use sqlx::PgConnection;
use tokio::{sync::mpsc, task::JoinHandle};

use self::{
    compare::Compared,
    fault::{Database, Findings},
    rows::{EVENTS, EventRow, HEADS, StateRow, WALLET_EVENTS, WALLETS},
    side::{Mark, Marks, Walked},
    snapshot::Snapshot,
    wallet::Audited,
};
pub use self::{
    fault::{Fault, Promise},
    report::{Counts, HistoryState, Report},
};

/// Chunks of marks that one side may be ahead of the other.
const CHUNKS_AHEAD: usize = 4;

/// What to verify.
#[derive(Clone, Debug)]
pub struct VerifySettings {
    pub wallet_database_url: Secret,
    /// Without it only the ledger is verified.
    pub history_database_url: Option<Secret>,
    /// How long history may take to catch up with the ledger; what is missing after that is lost. Zero: it is not waited for,
    /// and what is missing at a wallet's end is counted as in flight.
    pub wait: Duration,
}

/// Reads everything and says what holds.
///
/// # Errors
/// When a database cannot be read. A broken promise is no error but a finding.
pub async fn run(settings: &VerifySettings) -> anyhow::Result<Report> {
    let started = Instant::now();
    identity::check(settings).await?;
    let mut ledger = Snapshot::take(&settings.wallet_database_url)
        .await
        .context("cannot read the wallet database")?;
    let mut findings = Findings::default();
    let mut counts = Counts::default();
    let history = match &settings.history_database_url {
        None => {
            let (walked, mut audited) = read_ledger(&ledger, None).await?;
            judge_ledger(
                &mut ledger,
                &walked,
                &mut audited,
                &mut findings,
                &mut counts,
            )
            .await?;
            HistoryState::NotRead
        }
        Some(url) => {
            let both = read_both(&mut ledger, settings, url).await?;
            let mut audited = both.audited;
            judge_ledger(
                &mut ledger,
                &both.ledger,
                &mut audited,
                &mut findings,
                &mut counts,
            )
            .await?;
            counts.history_wallets = both.history.wallets;
            counts.history_events = both.history.events;
            counts.matched = both.compared.matched;
            counts.in_flight = both.compared.in_flight;
            counts.newer = both.compared.newer;
            findings.merge(both.history.findings);
            findings.merge(both.set_aside);
            findings.merge(both.compared.findings);
            both.state
        }
    };
    Ok(Report {
        findings,
        counts,
        history,
        took: started.elapsed(),
    })
}

/// Adds what was found in the ledger, and what only the whole of it can tell.
async fn judge_ledger(
    snapshot: &mut Snapshot,
    walked: &Walked,
    audited: &mut Audited,
    findings: &mut Findings,
    counts: &mut Counts,
) -> anyhow::Result<()> {
    wallet::judge_totals(walked, findings);
    wallet::judge_unlisted_legs(snapshot.anchor(), walked, audited).await?;
    findings.merge(walked.findings.clone());
    findings.merge(std::mem::take(&mut audited.findings));
    counts.currencies = walked.totals.len() as u64;
    counts.wallets = walked.wallets;
    counts.events = walked.events;
    counts.transactions = audited.transactions;
    counts.answers = audited.answers;
    counts.references = audited.references;
    counts.outbox_events = audited.outbox_events;
    Ok(())
}

/// Both databases, and one against the other.
struct Both {
    ledger: Walked,
    audited: Audited,
    history: Walked,
    set_aside: Findings,
    compared: Compared,
    state: HistoryState,
}

async fn read_both(
    ledger: &mut Snapshot,
    settings: &VerifySettings,
    history_url: &Secret,
) -> anyhow::Result<Both> {
    let unreadable = "cannot read the history database";
    let mut history_now = snapshot::present(history_url).await.context(unreadable)?;
    let state = history::catch_up(ledger.anchor(), &mut history_now, settings.wait).await?;
    // Only now, so that it holds what was waited for.
    let mut history = Snapshot::take(history_url).await.context(unreadable)?;
    // Sees the ledger as it is now: whatever history has by this moment, the ledger had before.
    let mut ledger_now = snapshot::present(&settings.wallet_database_url).await?;

    let (ledger_marks, from_ledger) = mpsc::channel(CHUNKS_AHEAD);
    let (history_marks, from_history) = mpsc::channel(CHUNKS_AHEAD);
    let walk_history = walk_history(&history, history_marks)
        .await
        .context(unreadable)?;
    let (read_ledger, walked_history, compared) = tokio::try_join!(
        read_ledger(ledger, Some(ledger_marks)),
        joined(walk_history),
        compare::compare(from_ledger, from_history, state, &mut ledger_now),
    )?;
    let set_aside = history::audit(history.anchor(), state, &mut ledger_now).await?;
    let (walked, audited) = read_ledger;
    Ok(Both {
        ledger: walked,
        audited,
        history: walked_history,
        set_aside,
        compared,
        state,
    })
}

/// The ledger's chains and everything beside them, at the same time.
async fn read_ledger(
    snapshot: &Snapshot,
    marks: Option<mpsc::Sender<Vec<Mark>>>,
) -> anyhow::Result<(Walked, Audited)> {
    let mut states = snapshot.reader().await?;
    let mut events = snapshot.reader().await?;
    let mut beside = snapshot.reader().await?;
    let walk = tokio::spawn(async move {
        let states = sqlx::query(WALLETS)
            .fetch(&mut states)
            .and_then(|row| std::future::ready(StateRow::of_ledger(&row)));
        let events = sqlx::query(WALLET_EVENTS)
            .fetch(&mut events)
            .and_then(|row| std::future::ready(EventRow::of_ledger(&row)));
        side::walk(Database::Wallet, states, events, Marks::new(marks))
            .await
            .context("cannot read the ledger's wallets and events")
    });
    let audit = tokio::spawn(async move { wallet::audit(&mut beside).await });
    tokio::try_join!(joined(walk), joined(audit))
}

async fn walk_history(
    snapshot: &Snapshot,
    marks: mpsc::Sender<Vec<Mark>>,
) -> anyhow::Result<JoinHandle<anyhow::Result<Walked>>> {
    let mut states: PgConnection = snapshot.reader().await?;
    let mut events: PgConnection = snapshot.reader().await?;
    Ok(tokio::spawn(async move {
        let states = sqlx::query(HEADS)
            .fetch(&mut states)
            .and_then(|row| std::future::ready(StateRow::of_history(&row)));
        let events = sqlx::query(EVENTS)
            .fetch(&mut events)
            .and_then(|row| std::future::ready(EventRow::of_history(&row)));
        side::walk(Database::History, states, events, Marks::new(Some(marks)))
            .await
            .context("cannot read history's heads and events")
    }))
}

/// The result of a task that runs on a core of its own; it ends with the runtime when it is not waited for any more.
async fn joined<T>(task: JoinHandle<anyhow::Result<T>>) -> anyhow::Result<T> {
    task.await
        .context("a part of the verification ended early")?
}
