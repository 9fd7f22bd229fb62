//! One database from its first wallet to its last: state rows and events side by side, both in wallet order.
//!
//! Read page by page, so memory does not grow with the number of wallets or events. What the other database is compared
//! with leaves as [`Mark`]s, a bounded number ahead of their reader.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicU64, Ordering},
};

use anyhow::Context;
use shared::{Hash, UserId};
use sqlx::PgConnection;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{
    chain::{Walk, check_limits},
    fault::{Database, Fault, Findings, Offence},
    pages::{Page, Pages},
    rows::EventRow,
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
    /// Up to which event the wallet is in an archive: below that, nothing is missing.
    pub(super) archived_to: i64,
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
}

/// The wallets that stand for the outside world, as the ledger has them.
pub(super) struct Settlement {
    ledger: PgConnection,
    wallets: HashSet<Uuid>,
}

impl Settlement {
    pub(super) fn of(ledger: PgConnection) -> Self {
        Self {
            ledger,
            wallets: HashSet::new(),
        }
    }

    /// All that an event which was read by now can name.
    async fn by_now(&mut self) -> sqlx::Result<()> {
        let ids: Vec<Uuid> = sqlx::query_scalar("select id from wallets where user_id = $1")
            .bind(UserId::settlement().as_str())
            .fetch_all(&mut self.ledger)
            .await?;
        self.wallets.extend(ids);
        Ok(())
    }
}

/// Counts events in `seen` as it goes.
pub(super) async fn walk(
    database: Database,
    mut pages: Pages,
    mut settlement: Settlement,
    mut marks: Marks,
    seen: &AtomicU64,
) -> anyhow::Result<Walked> {
    let mut walked = Walked::default();
    let mut open = None;
    while let Some(page) = pages.next().await? {
        let known = settlement.by_now().await;
        known.context("cannot read the ledger's settlement wallets")?;
        let settled = &settlement.wallets;
        seen.fetch_add(page.events.len() as u64, Ordering::Relaxed);
        open = walked.page(database, page, settled, open, &mut marks).await;
    }
    marks.flush().await;
    Ok(walked)
}

impl Walked {
    /// Gives the walk along the wallet that goes on in the next page.
    async fn page(
        &mut self,
        database: Database,
        page: Page,
        settlement: &HashSet<Uuid>,
        mut open: Option<Walk>,
        marks: &mut Marks,
    ) -> Option<Walk> {
        let mut events = page.events.into_iter().peekable();
        for state in page.states {
            while let Some(row) = events.next_if(|row| row.wallet_id < state.wallet_id) {
                marks.put(self.stray(database, &row)).await;
            }
            let (wallet_id, wallet_at) = (state.wallet_id, state.last_sequence);
            let archived = state.archived;
            let archived_to = archived.map_or(0, |archived| archived.sequence);
            let mark = |sequence, hash| Mark {
                wallet_id,
                sequence,
                wallet_at,
                hash,
                archived_to,
            };
            let (mut walk, seen_to) = match open.take() {
                Some(walk) if walk.state().wallet_id == wallet_id => {
                    let seen_to = walk.at();
                    (walk.later(state), seen_to)
                }
                _ => {
                    marks.put(mark(0, None)).await;
                    (Walk::new(database, state), 0)
                }
            };
            if let Some(archived) = archived.filter(|archived| archived.sequence > seen_to) {
                marks.put(mark(archived.sequence, archived.hash)).await;
            }
            while let Some(row) = events.next_if(|row| row.wallet_id == wallet_id) {
                self.events += 1;
                walk.step(&row, settlement, &mut self.findings);
                marks.put(mark(row.sequence, row.hash())).await;
            }
            if page.cut == Some(wallet_id) {
                open = Some(walk);
            } else {
                self.wallets += 1;
                check_limits(walk.state(), &mut self.findings);
                walk.finish(&mut self.findings);
            }
        }
        for row in events {
            marks.put(self.stray(database, &row)).await;
        }
        open
    }

    /// An event whose wallet has no state row: there is nothing to check it against but the other database.
    fn stray(&mut self, database: Database, row: &EventRow) -> Mark {
        self.events += 1;
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
            archived_to: 0,
        }
    }
}
