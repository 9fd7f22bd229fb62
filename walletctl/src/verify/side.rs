//! One database from its first wallet to its last: state rows and events side by side, both in wallet order.
//!
//! Two streams are merged, so memory does not grow with the number of wallets or events. What the other database is
//! compared with leaves as [`Mark`]s, a bounded number ahead of their reader.

use std::{
    collections::BTreeMap,
    pin::{Pin, pin},
};

use futures::{Stream, TryStreamExt};
use shared::Hash;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{
    chain::{Walk, check_limits},
    fault::{Database, Fault, Findings, Offence},
    rows::{EventRow, StateRow},
};

/// Marks travel in chunks: one at a time, the channel would cost more than the hash.
pub(super) const MARKS_PER_CHUNK: usize = 1_024;

/// What is compared: an event's place and hash. Number 0 stands before a wallet's events, also if it has none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub(super) wallet_id: Uuid,
    pub(super) sequence: i64,
    /// How far the state row says the wallet is.
    pub(super) wallet_at: i64,
    /// None in a mark with number 0, and for a column that holds no hash.
    pub(super) hash: Option<Hash>,
}

/// Where marks go. Without a receiver they are not made.
pub(super) struct Marks {
    receiver: Option<mpsc::Sender<Vec<Mark>>>,
    chunk: Vec<Mark>,
}

impl Marks {
    pub(super) const fn new(receiver: Option<mpsc::Sender<Vec<Mark>>>) -> Self {
        Self {
            receiver,
            chunk: Vec::new(),
        }
    }

    async fn put(&mut self, mark: Mark) {
        if self.receiver.is_some() {
            self.chunk.push(mark);
            if self.chunk.len() >= MARKS_PER_CHUNK {
                self.flush().await;
            }
        }
    }

    /// A receiver that is gone has failed and says so itself.
    async fn flush(&mut self) {
        if let Some(receiver) = &self.receiver {
            let sent = receiver.send(std::mem::take(&mut self.chunk)).await;
            if sent.is_err() {
                self.receiver = None;
            }
        }
    }
}

/// What one database holds, walked from end to end.
#[derive(Debug, Default)]
pub(super) struct Walked {
    pub(super) findings: Findings,
    pub(super) wallets: u64,
    pub(super) events: u64,
    /// Events that are legs of a transaction.
    pub(super) legs: u64,
    /// Per currency: how many wallets, and the sum of their balances.
    pub(super) totals: BTreeMap<String, (u64, i128)>,
}

pub(super) async fn walk(
    database: Database,
    states: impl Stream<Item = sqlx::Result<StateRow>>,
    events: impl Stream<Item = sqlx::Result<EventRow>>,
    mut marks: Marks,
) -> anyhow::Result<Walked> {
    let mut states = pin!(states);
    let events = pin!(events);
    let mut events = Cursor::open(events).await?;
    let mut walked = Walked::default();
    while let Some(state) = states.try_next().await? {
        while let Some(row) = events
            .take_if(|row| row.wallet_id < state.wallet_id)
            .await?
        {
            marks.put(walked.stray(database, &row)).await;
        }
        walked.meet(&state);
        let mark = |sequence, hash| Mark {
            wallet_id: state.wallet_id,
            sequence,
            wallet_at: state.last_sequence,
            hash,
        };
        marks.put(mark(0, None)).await;
        let mut walk = Walk::new(database, &state);
        while let Some(row) = events
            .take_if(|row| row.wallet_id == state.wallet_id)
            .await?
        {
            walked.count(&row);
            walk.step(&row, &mut walked.findings);
            marks.put(mark(row.sequence, row.hash())).await;
        }
        walk.finish(&mut walked.findings);
    }
    while let Some(row) = events.take_if(|_| true).await? {
        marks.put(walked.stray(database, &row)).await;
    }
    marks.flush().await;
    Ok(walked)
}

/// A stream whose next row can be looked at before it is taken.
struct Cursor<'stream, S> {
    rows: Pin<&'stream mut S>,
    next: Option<EventRow>,
}

impl<'stream, S: Stream<Item = sqlx::Result<EventRow>>> Cursor<'stream, S> {
    async fn open(mut rows: Pin<&'stream mut S>) -> sqlx::Result<Self> {
        let next = rows.try_next().await?;
        Ok(Self { rows, next })
    }

    async fn take_if(
        &mut self,
        wanted: impl FnOnce(&EventRow) -> bool,
    ) -> sqlx::Result<Option<EventRow>> {
        match self.next.take_if(|row| wanted(row)) {
            Some(row) => {
                self.next = self.rows.try_next().await?;
                Ok(Some(row))
            }
            None => Ok(None),
        }
    }
}

impl Walked {
    fn meet(&mut self, state: &StateRow) {
        self.wallets += 1;
        let total = self.totals.entry(state.currency.clone()).or_default();
        total.0 += 1;
        total.1 += i128::from(state.balance);
        check_limits(state, &mut self.findings);
    }

    fn count(&mut self, row: &EventRow) {
        self.events += 1;
        self.legs += u64::from(row.transaction_id.is_some());
    }

    /// An event whose wallet has no state row: there is nothing to check it against but the other database.
    fn stray(&mut self, database: Database, row: &EventRow) -> Mark {
        self.count(row);
        self.findings.add(Fault::StateMissing, database, || {
            Offence::new("an event of a wallet that has no state row")
                .on_wallet(row.wallet_id)
                .at_sequence(row.sequence)
        });
        Mark {
            wallet_id: row.wallet_id,
            sequence: row.sequence,
            wallet_at: 0,
            hash: row.hash(),
        }
    }
}
