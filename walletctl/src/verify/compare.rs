//! Ledger against history, event by event: missing, extra, different.
//!
//! The two sides are read at different moments, so one may have what the other had not yet. Whatever one side lacks is
//! asked for in it again, as it is by then: both are append-only, so the answer is final. What history lacks is waited for.

use anyhow::Context;
use shared::Hash;
use sqlx::{PgConnection, Row};
use std::{
    cmp::Ordering,
    collections::HashMap,
    time::{Duration, Instant},
};
use tokio::{sync::mpsc, time::sleep};
use uuid::Uuid;

use super::{
    fault::{Database, Fault, Findings, Offence},
    report::HistoryState,
    side::Mark,
};

/// How many events are looked up together.
const LOOK_UP_MAX: usize = 1_000;
/// Between two looks: short beside a second, long beside a query.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Both databases as they are when they are asked.
pub(super) struct Present {
    pub(super) ledger: PgConnection,
    pub(super) history: PgConnection,
    /// How long history may take to get any further.
    pub(super) wait: Duration,
}

/// What the comparison saw.
#[derive(Debug)]
pub(super) struct Compared {
    pub(super) findings: Findings,
    pub(super) matched: u64,
    pub(super) in_flight: u64,
    pub(super) newer: u64,
    /// Of the ledger's, those that history has in archives.
    pub(super) archived: u64,
    pub(super) state: HistoryState,
    /// Not in the ledger when it was read.
    newer_marks: Vec<Mark>,
    /// Not in history when it was read.
    lagging: Vec<Mark>,
}

/// One side of the comparison, a mark at a time.
struct Side {
    chunks: mpsc::Receiver<Vec<Mark>>,
    chunk: std::vec::IntoIter<Mark>,
    /// The last mark that passed: of which wallet, how far that is, and up to where it is archived.
    passed: Option<Mark>,
}

impl Side {
    fn new(chunks: mpsc::Receiver<Vec<Mark>>) -> Self {
        Self {
            chunks,
            chunk: Vec::new().into_iter(),
            passed: None,
        }
    }

    /// The next event; marks that only name a wallet are remembered on the way.
    async fn next(&mut self) -> Option<Mark> {
        loop {
            if let Some(mark) = self.chunk.next() {
                return Some(mark);
            }
            self.chunk = self.chunks.recv().await?.into_iter();
        }
    }

    fn pass(&mut self, mark: &Mark) {
        self.passed = Some(*mark);
    }

    fn of(&self, wallet_id: Uuid) -> Option<&Mark> {
        self.passed
            .as_ref()
            .filter(|passed| passed.wallet_id == wallet_id)
    }

    /// Up to which event a wallet is in an archive on this side.
    fn archived_to(&self, wallet_id: Uuid) -> i64 {
        self.of(wallet_id).map_or(0, |passed| passed.archived_to)
    }

    /// How far a wallet is on this side, by the last marks that passed; 0 when it is not there.
    fn reach(&self, wallet_id: Uuid) -> i64 {
        self.of(wallet_id).map_or(0, |passed| passed.wallet_at)
    }
}

/// Which side has the next mark, in the order of wallets and numbers.
enum Earlier {
    Ledger(Mark),
    History(Mark),
    Both { ours: Mark, theirs: Mark },
    Neither,
}

fn earlier(ours: Option<Mark>, theirs: Option<Mark>) -> Earlier {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) => {
            let place = |mark: &Mark| (mark.wallet_id, mark.sequence);
            match place(&ours).cmp(&place(&theirs)) {
                Ordering::Less => Earlier::Ledger(ours),
                Ordering::Equal => Earlier::Both { ours, theirs },
                Ordering::Greater => Earlier::History(theirs),
            }
        }
        (Some(ours), None) => Earlier::Ledger(ours),
        (None, Some(theirs)) => Earlier::History(theirs),
        (None, None) => Earlier::Neither,
    }
}

pub(super) async fn compare(
    ledger: mpsc::Receiver<Vec<Mark>>,
    history: mpsc::Receiver<Vec<Mark>>,
    now: &mut Present,
) -> anyhow::Result<Compared> {
    let (mut ledger, mut history) = (Side::new(ledger), Side::new(history));
    let mut compared = Compared::begun(now.wait);
    let (mut left, mut right) = (ledger.next().await, history.next().await);
    loop {
        match earlier(left, right) {
            Earlier::Both { ours, theirs } => {
                history.pass(&theirs);
                if ours.sequence > 0 {
                    compared.both(&ours, theirs.hash);
                    // The mark of the event where an archive ends, which is in it.
                    compared.archived += u64::from(theirs.sequence == theirs.archived_to);
                }
                left = ledger.next().await;
                right = history.next().await;
            }
            Earlier::Ledger(ours) => {
                let next = right.filter(|next| next.wallet_id == ours.wallet_id);
                let archived_to = next.map_or(0, |next| next.archived_to);
                let archived_to = archived_to.max(history.archived_to(ours.wallet_id));
                if ours.sequence > 0 && ours.sequence < archived_to {
                    compared.archived += 1;
                } else if ours.sequence > 0 {
                    let follows = next.is_some();
                    let hole = follows || ours.sequence <= history.reach(ours.wallet_id);
                    compared.only_in_ledger(ours, hole);
                }
                left = ledger.next().await;
            }
            Earlier::History(theirs) => {
                history.pass(&theirs);
                if theirs.sequence > 0 {
                    compared.newer_marks.push(theirs);
                }
                right = history.next().await;
            }
            Earlier::Neither => break,
        }
        compared.look_up(now, LOOK_UP_MAX).await?;
    }
    compared.look_up(now, 1).await?;
    Ok(compared)
}

impl Compared {
    fn begun(wait: Duration) -> Self {
        Self {
            findings: Findings::default(),
            matched: 0,
            in_flight: 0,
            newer: 0,
            archived: 0,
            state: if wait.is_zero() {
                HistoryState::NotAwaited
            } else {
                HistoryState::CaughtUp
            },
            newer_marks: Vec::new(),
            lagging: Vec::new(),
        }
    }

    fn both(&mut self, ours: &Mark, theirs: Option<Hash>) {
        if ours.hash.is_some() && ours.hash == theirs {
            self.matched += 1;
        } else {
            self.different(ours);
        }
    }

    fn different(&mut self, mark: &Mark) {
        self.findings
            .add(Fault::DifferentInHistory, Database::History, || {
                offence(mark, "has another hash than in the ledger")
            });
    }

    /// A `hole` has later events of its wallet behind it, so it is not on its way.
    fn only_in_ledger(&mut self, ours: Mark, hole: bool) {
        match (self.state, hole) {
            (HistoryState::NotAwaited, true) => self.missing(&ours),
            (HistoryState::NotAwaited, false) => self.in_flight += 1,
            _ => self.lagging.push(ours),
        }
    }

    fn missing(&mut self, mark: &Mark) {
        self.findings
            .add(Fault::MissingInHistory, Database::History, || {
                offence(mark, "is missing")
            });
    }

    /// Once that many wait for it on a side.
    async fn look_up(&mut self, now: &mut Present, enough: usize) -> anyhow::Result<()> {
        if self.newer_marks.len() >= enough {
            self.look_up_newer(&mut now.ledger).await?;
        }
        if self.lagging.len() >= enough {
            self.await_lagging(now).await?;
        }
        Ok(())
    }

    /// Judges what history has beyond what was read of the ledger.
    async fn look_up_newer(&mut self, ledger_now: &mut PgConnection) -> anyhow::Result<()> {
        let marks = std::mem::take(&mut self.newer_marks);
        let known = hashes(ledger_now, IN_LEDGER, &places(&marks)).await?;
        for mark in &marks {
            match known.get(&(mark.wallet_id, mark.sequence)) {
                None => self
                    .findings
                    .add(Fault::ExtraInHistory, Database::History, || {
                        offence(mark, "is not in the ledger")
                    }),
                Some(hash) if *hash == mark.hash => self.newer += 1,
                Some(_) => self.different(mark),
            }
        }
        Ok(())
    }

    /// Looks until history has all of these, or has got no further for as long as it may take. Once it did not, nothing
    /// more is waited for.
    async fn await_lagging(&mut self, now: &mut Present) -> anyhow::Result<()> {
        let mut lagging = std::mem::take(&mut self.lagging);
        let mut moved = Instant::now();
        loop {
            let known = hashes(&mut now.history, IN_HISTORY, &places(&lagging)).await?;
            let before = lagging.len();
            let mut still = Vec::new();
            for mark in lagging {
                match known.get(&(mark.wallet_id, mark.sequence)) {
                    Some(hash) => self.both(&mark, *hash),
                    None => still.push(mark),
                }
            }
            lagging = still;
            if lagging.is_empty() {
                return Ok(());
            }
            if lagging.len() < before {
                moved = Instant::now();
            }
            if self.state == HistoryState::Behind || moved.elapsed() >= now.wait {
                break;
            }
            sleep(LOOK_EVERY.min(now.wait)).await;
        }
        self.state = HistoryState::Behind;
        for mark in &lagging {
            self.missing(mark);
        }
        Ok(())
    }
}

fn places(marks: &[Mark]) -> Vec<(Uuid, i64)> {
    let place = |mark: &Mark| (mark.wallet_id, mark.sequence);
    marks.iter().map(place).collect()
}

// A lateral look-up leaves the planner one plan: the primary key, once per place.
pub(super) const IN_LEDGER: &str = "select found.wallet_id, found.sequence, found.hash \
     from unnest($1::uuid[], $2::bigint[]) as asked (wallet_id, sequence) \
     cross join lateral ( \
         select e.wallet_id, e.sequence, e.hash from wallet_events e \
         where e.wallet_id = asked.wallet_id and e.sequence = asked.sequence \
         limit 1 \
     ) as found";

const IN_HISTORY: &str = "select found.wallet_id, found.sequence, found.hash \
     from unnest($1::uuid[], $2::bigint[]) as asked (wallet_id, sequence) \
     cross join lateral ( \
         select e.wallet_id, e.sequence, e.hash from events e \
         where e.wallet_id = asked.wallet_id and e.sequence = asked.sequence \
         limit 1 \
     ) as found";

/// The hashes of those of these events that the database has.
pub(super) async fn hashes(
    connection: &mut PgConnection,
    statement: &'static str,
    places: &[(Uuid, i64)],
) -> anyhow::Result<HashMap<(Uuid, i64), Option<Hash>>> {
    if places.is_empty() {
        return Ok(HashMap::new());
    }
    let (wallets, sequences): (Vec<Uuid>, Vec<i64>) = places.iter().copied().unzip();
    let rows = sqlx::query(statement)
        .bind(wallets)
        .bind(sequences)
        .fetch_all(connection)
        .await
        .context("cannot look up events")?;
    rows.iter()
        .map(|row| {
            let hash: Vec<u8> = row.try_get(2)?;
            Ok((
                (row.try_get(0)?, row.try_get(1)?),
                Hash::try_from(hash).ok(),
            ))
        })
        .collect()
}

fn offence(mark: &Mark, detail: impl Into<String>) -> Offence {
    Offence::new(detail)
        .on_wallet(mark.wallet_id)
        .at_sequence(mark.sequence)
}
