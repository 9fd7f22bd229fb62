//! The proof that the ledger and its history are right: both databases are read to the last row and every promise is checked again.
//!
//! Both are read in pages, each of a moment of its own, so that a verification holds up nothing beside it: see [`pages`].
//! What spans pages is exact all the same. A sum over all wallets is one statement. What one side of a comparison lacks
//! is asked for once more, in the database as it is by then: events and transactions are append-only, so a row that is
//! there stays, and one that is not there though it should have been is a finding. Nothing is sampled, nothing is trusted
//! from a previous run, and nothing is kept in memory but a few pages and the first offender of each fault. Never: a
//! write, a lock, or an answer from a service.
//!
//! - [`fault`]: the promises, and the faults that break them. [`report`]: the verdict.
//! - `pages`, `rows`: what is read. `progress`: how far it is.
//! - `chain`: the rules along one wallet's events, the same for both databases, with `standing`, `holding`,
//!   `limiting` and `description`. `side` walks a
//!   database by them.
//! - `wallet`, `history`, `totals`: what only one of the databases can be asked. `compare`: one against the other.

mod archived;
mod chain;
mod compare;
mod description;
pub mod fault;
mod history;
mod holding;
mod identity;
mod limiting;
mod link;
mod open_hold;
mod pages;
mod progress;
pub mod report;
mod rows;
mod side;
mod standing;
mod totals;
mod wallet;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use shared::server::settings::Secret;
use tokio::{sync::mpsc, task::JoinHandle};

use self::{
    compare::{Compared, Present},
    fault::{Database, Findings},
    history::Beside,
    pages::{Pages, present},
    progress::{Progress, Seen, expected_events},
    rows::{HISTORY, LEDGER},
    side::{Mark, Marks, Settlement, Walked},
    wallet::Audited,
};
pub use self::{
    fault::{Fault, Promise},
    report::{Counts, HistoryState, Report},
};

/// Chunks of marks that one side may be ahead of the other.
const CHUNKS_AHEAD: usize = 4;

/// Rows of a page when nothing else is said: read in some tens of milliseconds.
pub const PAGE_ROWS: usize = 5_000;

/// What to verify.
#[derive(Clone, Debug)]
pub struct VerifySettings {
    pub wallet_database_url: Secret,
    /// Without it only the ledger is verified.
    pub history_database_url: Option<Secret>,
    /// How long history may take to get any further; what is missing after that is lost. Zero: it is not waited for, and
    /// what is missing at a wallet's end is counted as in flight.
    pub wait: Duration,
    /// How many rows are read at one moment.
    pub page_rows: usize,
}

/// Reads everything and says what holds.
///
/// # Errors
/// When a database cannot be read. A broken promise is no error but a finding.
pub async fn run(settings: &VerifySettings) -> anyhow::Result<Report> {
    let started = Instant::now();
    identity::check(settings).await?;
    let (mut findings, mut counts) = (Findings::default(), Counts::default());
    let mut ledger_now = present(&settings.wallet_database_url)
        .await
        .context("cannot read the wallet database")?;
    let seen = Arc::new(Seen::default());
    let _progress = Progress::show(Arc::clone(&seen), expected_events(&mut ledger_now).await?)?;
    counts.currencies = wallet::judge_totals(&mut ledger_now, &mut findings).await?;
    let history = match &settings.history_database_url {
        None => {
            let (walked, audited) = read_ledger(settings, &seen, None).await?;
            judge_ledger(walked, audited, &mut findings, &mut counts);
            HistoryState::NotRead
        }
        Some(url) => {
            let both = read_both(settings, url, &seen).await?;
            judge_ledger(both.ledger, both.audited, &mut findings, &mut counts);
            counts.history_wallets = both.history.wallets;
            counts.history_events = both.history.events;
            counts.matched = both.compared.matched;
            counts.in_flight = both.compared.in_flight;
            counts.newer = both.compared.newer;
            counts.archived_events = both.compared.archived;
            findings.merge(both.history.findings);
            counts.set_aside_events = both.beside.set_aside_events;
            findings.merge(both.beside.findings);
            findings.merge(both.compared.findings);
            both.compared.state
        }
    };
    Ok(Report {
        findings,
        counts,
        history,
        took: started.elapsed(),
    })
}

fn judge_ledger(walked: Walked, audited: Audited, findings: &mut Findings, counts: &mut Counts) {
    findings.merge(walked.findings);
    findings.merge(audited.findings);
    counts.wallets = walked.wallets;
    counts.events = walked.events;
    counts.transactions = audited.transactions;
    counts.answers = audited.answers;
    counts.references = audited.references;
    counts.reversals = audited.reversals;
    counts.outbox_events = audited.outbox_events;
    counts.republications_running = audited.republications_running;
    counts.republications_faulty = audited.republications_faulty;
}

/// Both databases, and one against the other.
struct Both {
    ledger: Walked,
    audited: Audited,
    history: Walked,
    beside: Beside,
    compared: Compared,
}

async fn read_both(
    settings: &VerifySettings,
    history_url: &Secret,
    seen: &Arc<Seen>,
) -> anyhow::Result<Both> {
    let unreadable = "cannot read the history database";
    let history = Pages::open(history_url, &HISTORY, settings.page_rows)
        .await
        .context(unreadable)?;
    let mut now = Present {
        ledger: present(&settings.wallet_database_url).await?,
        history: present(history_url).await.context(unreadable)?,
        wait: settings.wait,
    };
    let settlement = Settlement::of(present(&settings.wallet_database_url).await?);
    let (ledger_marks, from_ledger) = mpsc::channel(CHUNKS_AHEAD);
    let (history_marks, from_history) = mpsc::channel(CHUNKS_AHEAD);
    let counted = Arc::clone(seen);
    let walk_history = tokio::spawn(async move {
        let marks = Marks::new(Some(history_marks));
        let seen = &counted.history_events;
        side::walk(Database::History, history, settlement, marks, seen)
            .await
            .context("cannot read history's heads and events")
    });
    let (read_ledger, history, compared) = tokio::try_join!(
        read_ledger(settings, seen, Some(ledger_marks)),
        joined(walk_history),
        compare::compare(from_ledger, from_history, &mut now),
    )?;
    let beside = history::audit(&mut now, compared.state)
        .await
        .context(unreadable)?;
    let (ledger, audited) = read_ledger;
    Ok(Both {
        ledger,
        audited,
        history,
        beside,
        compared,
    })
}

/// The ledger's chains and everything beside them, at the same time.
async fn read_ledger(
    settings: &VerifySettings,
    seen: &Arc<Seen>,
    marks: Option<mpsc::Sender<Vec<Mark>>>,
) -> anyhow::Result<(Walked, Audited)> {
    let url = &settings.wallet_database_url;
    let pages = Pages::open(url, &LEDGER, settings.page_rows).await?;
    let mut beside = present(url).await?;
    let settlement = Settlement::of(present(url).await?);
    let counted = Arc::clone(seen);
    let walk = tokio::spawn(async move {
        let (marks, seen) = (Marks::new(marks), &counted.ledger_events);
        side::walk(Database::Wallet, pages, settlement, marks, seen)
            .await
            .context("cannot read the ledger's wallets and events")
    });
    let counted = Arc::clone(seen);
    let audit = tokio::spawn(async move { wallet::audit(&mut beside, &counted).await });
    tokio::try_join!(joined(walk), joined(audit))
}

/// The result of a task that runs on a core of its own; it ends with the runtime when it is not waited for any more.
async fn joined<T>(task: JoinHandle<anyhow::Result<T>>) -> anyhow::Result<T> {
    task.await
        .context("a part of the verification ended early")?
}
