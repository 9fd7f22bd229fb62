//! Ledger against history, event by event: missing, extra, different.
//!
//! The ledger is read first and history later, so history may be ahead of the ledger that was read. Whatever it has
//! beyond that is looked up in the ledger as it is by then: the journal is append-only, so the answer is final.

use anyhow::Context;
use shared::Hash;
use sqlx::{PgConnection, Row};
use std::{cmp::Ordering, collections::HashMap};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{
    fault::{Database, Fault, Findings, Offence},
    report::HistoryState,
    side::Mark,
};

/// How many events that are newer than the ledger's snapshot are looked up together.
const LOOK_UP_MAX: usize = 1_000;

/// What the comparison saw.
#[derive(Debug, Default)]
pub(super) struct Compared {
    pub(super) findings: Findings,
    pub(super) matched: u64,
    pub(super) in_flight: u64,
    pub(super) newer: u64,
}

/// One side of the comparison, a mark at a time.
struct Side {
    chunks: mpsc::Receiver<Vec<Mark>>,
    chunk: std::vec::IntoIter<Mark>,
    /// The wallet the last marks were about, and how far it is.
    wallet: Option<(Uuid, i64)>,
}

impl Side {
    fn new(chunks: mpsc::Receiver<Vec<Mark>>) -> Self {
        Self {
            chunks,
            chunk: Vec::new().into_iter(),
            wallet: None,
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
        self.wallet = Some((mark.wallet_id, mark.wallet_at));
    }

    /// How far a wallet is on this side, by the last marks that passed; 0 when it is not there.
    fn reach(&self, wallet_id: Uuid) -> i64 {
        self.wallet
            .filter(|(passed, _)| *passed == wallet_id)
            .map_or(0, |(_, at)| at)
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

/// `ledger_now` is a connection that sees the ledger as it is, not as it was when `ledger` was read.
pub(super) async fn compare(
    ledger: mpsc::Receiver<Vec<Mark>>,
    history: mpsc::Receiver<Vec<Mark>>,
    state: HistoryState,
    ledger_now: &mut PgConnection,
) -> anyhow::Result<Compared> {
    let (mut ledger, mut history) = (Side::new(ledger), Side::new(history));
    let mut compared = Compared::default();
    let mut newer: Vec<Mark> = Vec::new();
    let (mut left, mut right) = (ledger.next().await, history.next().await);
    loop {
        match earlier(left, right) {
            Earlier::Both { ours, theirs } => {
                ledger.pass(&ours);
                history.pass(&theirs);
                compared.both(&ours, &theirs);
                left = ledger.next().await;
                right = history.next().await;
            }
            Earlier::Ledger(ours) => {
                ledger.pass(&ours);
                compared.only_in_ledger(&ours, history.reach(ours.wallet_id), state);
                left = ledger.next().await;
            }
            Earlier::History(theirs) => {
                history.pass(&theirs);
                if theirs.sequence > ledger.reach(theirs.wallet_id) {
                    newer.push(theirs);
                } else if theirs.sequence > 0 {
                    compared.extra(&theirs);
                }
                if newer.len() >= LOOK_UP_MAX {
                    compared
                        .look_up(ledger_now, std::mem::take(&mut newer))
                        .await?;
                }
                right = history.next().await;
            }
            Earlier::Neither => break,
        }
    }
    compared.look_up(ledger_now, newer).await?;
    Ok(compared)
}

impl Compared {
    fn both(&mut self, ours: &Mark, theirs: &Mark) {
        if ours.sequence == 0 {
            return;
        }
        if ours.hash.is_some() && ours.hash == theirs.hash {
            self.matched += 1;
            return;
        }
        self.findings
            .add(Fault::DifferentInHistory, Database::History, || {
                offence(theirs, "has another hash than in the ledger")
            });
    }

    /// `reach` is how far history is on that wallet: what lies beyond may still be on its way.
    fn only_in_ledger(&mut self, ours: &Mark, reach: i64, state: HistoryState) {
        if ours.sequence == 0 {
            return;
        }
        if ours.sequence > reach && state == HistoryState::NotAwaited {
            self.in_flight += 1;
            return;
        }
        self.findings
            .add(Fault::MissingInHistory, Database::History, || {
                offence(ours, format!("is missing, history is at {reach}"))
            });
    }

    fn extra(&mut self, theirs: &Mark) {
        self.findings
            .add(Fault::ExtraInHistory, Database::History, || {
                offence(theirs, "is not in the ledger")
            });
    }

    /// Judges what history has beyond the ledger's snapshot.
    async fn look_up(
        &mut self,
        ledger_now: &mut PgConnection,
        marks: Vec<Mark>,
    ) -> anyhow::Result<()> {
        let places: Vec<(Uuid, i64)> = marks
            .iter()
            .map(|mark| (mark.wallet_id, mark.sequence))
            .collect();
        let known = ledger_hashes(ledger_now, &places).await?;
        for mark in &marks {
            match known.get(&(mark.wallet_id, mark.sequence)) {
                None => self.extra(mark),
                Some(hash) if *hash == mark.hash => self.newer += 1,
                Some(_) => self
                    .findings
                    .add(Fault::DifferentInHistory, Database::History, || {
                        offence(mark, "has another hash than in the ledger")
                    }),
            }
        }
        Ok(())
    }
}

/// The hashes of those of these events that the ledger has.
pub(super) async fn ledger_hashes(
    connection: &mut PgConnection,
    places: &[(Uuid, i64)],
) -> anyhow::Result<HashMap<(Uuid, i64), Option<Hash>>> {
    if places.is_empty() {
        return Ok(HashMap::new());
    }
    let (wallets, sequences): (Vec<Uuid>, Vec<i64>) = places.iter().copied().unzip();
    // A lateral look-up leaves the planner one plan: the primary key, once per place.
    let rows = sqlx::query(
        "select found.wallet_id, found.sequence, found.hash \
         from unnest($1::uuid[], $2::bigint[]) as asked (wallet_id, sequence) \
         cross join lateral ( \
             select e.wallet_id, e.sequence, e.hash from wallet_events e \
             where e.wallet_id = asked.wallet_id and e.sequence = asked.sequence \
             limit 1 \
         ) as found",
    )
    .bind(wallets)
    .bind(sequences)
    .fetch_all(connection)
    .await
    .context("cannot look up events in the ledger")?;
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
