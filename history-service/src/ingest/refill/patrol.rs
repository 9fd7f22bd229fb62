//! The ends of all wallets beside the ledger's, again and again, without a word from anyone: what Kafka never got, and
//! nothing follows on, is missing with no sign of it here.
//!
//! A little in each turn, so that a round takes a small share of the time however many wallets there are. A wallet that is behind
//! may only be on its way: it is looked at once more when it has had as long as a gap has, and the topic is read to its
//! end. This is kept in memory: an instance that starts begins a round.

use std::{collections::VecDeque, time::Duration};

use shared::{Sequence, WalletId, server::outage::Outage};
use sqlx::PgConnection;
use tokio::time::Instant;

use super::{
    RefillError,
    compare::{self, Difference, Ends},
    ledger::{Ledger, LedgerError, LedgerHead},
};
use crate::{
    ingest::{
        apply::proof::{Drift, DriftReason},
        store::{drifts, rebuilds, refills},
    },
    progress::Progress,
};

/// So many wallets may be on their way at once. When there are more, the round waits for them.
const LATE_MAX: usize = 10_000;
/// How many of them are looked at in one turn.
const LATE_PER_TURN: usize = 200;
/// Pages are compared for so long in a turn, of which there is one a second while nothing is missing.
const PAGES_PER_TURN: Duration = Duration::from_millis(20);

pub(super) struct Patrol {
    every: Duration,
    patience: Duration,
    round: Round,
    /// Wallets that were behind, in the order in which that was seen.
    late: VecDeque<Late>,
    away: Outage,
}

enum Round {
    NotBefore(Instant),
    At {
        begun: Instant,
        cursor: Option<String>,
        after: Option<WalletId>,
    },
}

struct Late {
    wallet: WalletId,
    /// The ledger's last number at that time.
    version: Sequence,
    seen: Instant,
}

impl Patrol {
    pub(super) fn new(every: Duration, patience: Duration) -> Self {
        Self {
            every,
            patience,
            round: Round::NotBefore(Instant::now() + every),
            late: VecDeque::new(),
            away: Outage::new("wallets are not compared with the ledger"),
        }
    }

    /// One step of the round, if it is due.
    pub(super) async fn step(
        &mut self,
        connection: &mut PgConnection,
        ledger: &Ledger,
        progress: &Progress,
    ) -> Result<(), RefillError> {
        if self.is_kept_waiting_by(progress.metrics().lasting_lag()) {
            return Ok(());
        }
        self.look_again(connection).await?;
        let began = Instant::now();
        while self.late.len() < LATE_MAX
            && began.elapsed() < PAGES_PER_TURN
            && self.page(connection, ledger, progress).await?
        {}
        Ok(())
    }

    /// What is in the topic comes by itself, however long that takes.
    fn is_kept_waiting_by(&self, lag: Duration) -> bool {
        lag > self.patience
    }

    /// Asks for wallets that were behind long ago and still are.
    async fn look_again(&mut self, connection: &mut PgConnection) -> sqlx::Result<()> {
        let is_due = |late: &&Late| late.seen.elapsed() >= self.patience;
        let due = self.late.iter().take_while(is_due).take(LATE_PER_TURN);
        let due: Vec<_> = due.map(|late| (late.wallet, late.version)).collect();
        if due.is_empty() {
            return Ok(());
        }
        let missing: Vec<WalletId> = rebuilds::compare(connection, &due)
            .await?
            .into_iter()
            .filter(|here| here.hash.is_none())
            .map(|here| here.wallet_id)
            .collect();
        if let Some(first) = missing.first() {
            tracing::warn!(
                wallets = missing.len(),
                %first,
                "events did not come that the ledger has; they are asked of it"
            );
            refills::request_ends(connection, &missing).await?;
        }
        self.late.drain(..due.len());
        Ok(())
    }

    /// Compares a page, and says whether another one follows.
    async fn page(
        &mut self,
        connection: &mut PgConnection,
        ledger: &Ledger,
        progress: &Progress,
    ) -> Result<bool, RefillError> {
        let (begun, cursor, after) = match &self.round {
            Round::NotBefore(moment) if *moment > Instant::now() => return Ok(false),
            Round::NotBefore(_) => (Instant::now(), None, None),
            Round::At {
                begun,
                cursor,
                after,
            } => (*begun, cursor.clone(), *after),
        };
        let heads = match ledger.heads(cursor).await {
            Ok(heads) => heads,
            // Nothing is known to be missing: that is for the log, and not for health.
            Err(error @ LedgerError::Away(_)) => {
                if !self.away.is_open() {
                    drifts::ledger_compared(connection, Some(&error.to_string())).await?;
                }
                self.away.failed(&error);
                return Ok(false);
            }
            // As with a cursor that is not taken any more: from the beginning, as soon as the task tries again.
            Err(error) => {
                self.round = Round::NotBefore(Instant::now());
                return Err(error.into());
            }
        };
        self.away.worked();
        let ends = compare::look(connection, &heads, after).await?;
        let differing = Vec::from_iter(ends.differing.iter().filter_map(drift));
        drifts::compared(connection, &heads.wallets(), &differing).await?;
        self.take_note(connection, ends).await?;
        let after = heads.wallets().last().copied().or(after);
        let is_more = heads.next_cursor.is_some();
        self.round = if is_more {
            Round::At {
                begun,
                cursor: heads.next_cursor,
                after,
            }
        } else {
            progress.metrics().compared();
            drifts::ledger_compared(connection, None).await?;
            Round::NotBefore(begun + self.every)
        };
        Ok(is_more)
    }

    async fn take_note(&mut self, connection: &mut PgConnection, ends: Ends) -> sqlx::Result<()> {
        let seen = Instant::now();
        // Those that are further here may have moved meanwhile, or lost what they had in the ledger: it is asked of each.
        let (mut further, mut broken) = (ends.beside, Vec::new());
        for (there, difference) in ends.differing {
            match difference {
                Difference::Behind => self.late.push_back(Late {
                    wallet: there.wallet_id,
                    version: there.version,
                    seen,
                }),
                Difference::Ahead => further.push(there.wallet_id),
                Difference::Contradiction => broken.push(there.wallet_id),
            }
        }
        if !further.is_empty() {
            refills::request_ends(connection, &further).await?;
        }
        if !broken.is_empty() {
            refills::request(connection, &broken, "comparison", None).await?;
        }
        Ok(())
    }
}

/// One that is behind has a lag, and one that is ahead is asked about: only another event is a fault of history.
fn drift((there, difference): &(LedgerHead, Difference)) -> Option<Drift> {
    (*difference == Difference::Contradiction).then(|| Drift {
        wallet_id: there.wallet_id,
        reason: DriftReason::LedgerDiffers,
        sequence: there.version,
        detail: format!(
            "event {} of the ledger has the hash {}, which history does not have there",
            there.version, there.hash
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_the_topic_is_read_nothing_in_it_is_asked_of_the_ledger() {
        let second = Duration::from_secs(1);
        let patrol = Patrol::new(second, 30 * second);
        assert!(!patrol.is_kept_waiting_by(Duration::ZERO));
        assert!(!patrol.is_kept_waiting_by(30 * second));
        assert!(patrol.is_kept_waiting_by(31 * second));
    }
}
