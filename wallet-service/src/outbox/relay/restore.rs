//! Rows that cannot be read, because something damaged them or a later build wrote them: what they held is sent from the
//! journal.
//!
//! A row is a copy; its events were committed with it and stand in the journal. It does not say any more which they were,
//! but they occurred shortly before it was written. So the events that every wallet has from then on are sent, in their
//! order and before any later row: no wallet's order changes, and readers skip what they have. A row goes only when all
//! that was sent. One that has to stay is named, and the others go on.

use std::sync::Arc;

use chrono::TimeDelta;
use shared::{Timestamp, WalletId};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    RelayError,
    batch::hand_over,
    leader::{Leader, RENEW},
};
use crate::outbox::{
    publisher::Deliveries,
    republish::{checked, first_since},
    row::{Entry, RowError},
    store::{
        republications::{self as journal, NextWallet},
        rows::{self, OutboxRow, Written},
    },
};

/// How long before its row an event may have occurred: longer than any command is on its way.
const BEFORE: TimeDelta = TimeDelta::seconds(30);
/// How long after it, by a clock that is ahead; and how long the statement that wrote it may have taken.
const SLACK: TimeDelta = TimeDelta::seconds(5);
/// The events of so long a time after the row are sent as well, so that rows that follow are dealt with at once.
const AFTER: TimeDelta = TimeDelta::seconds(60);

/// Wallets that are looked at together, and events that are sent together.
const WALLETS: i64 = 1000;
const EVENTS: i64 = 500;

/// The time whose events were sent from the journal since the lease was taken.
#[derive(Debug, Default)]
pub(super) struct Restored {
    span: Option<(Timestamp, Timestamp)>,
}

impl Restored {
    /// Whether everything that a row written then can have held was sent.
    fn covers(&self, written: Timestamp) -> bool {
        self.span
            .is_some_and(|(from, to)| from <= earlier(written, BEFORE) && written <= to)
    }
}

/// What came of it.
#[derive(Debug, Default)]
struct Sent {
    events: i64,
    /// Of some wallet something has to wait.
    is_incomplete: bool,
}

impl Leader<'_> {
    /// Sends what the row may have held, and deletes it.
    pub(super) async fn restore(
        &mut self,
        row: OutboxRow,
        fault: &RowError,
        shutdown: &CancellationToken,
    ) -> Result<(), RelayError> {
        let Some(written) = rows::written(&mut self.connection, row.id).await? else {
            return Ok(());
        };
        self.relay.probe.degraded(format!(
            "outbox row {} cannot be read ({fault}): what it may have held is sent from the journal",
            row.id
        ));
        tracing::error!(
            row = row.id,
            written_at = %written.at,
            error = fault as &dyn std::error::Error,
            "an outbox row cannot be read: what it may have held is sent from the journal"
        );
        if !self.restored.covers(written.at) {
            let sent = self.send_journal(&row, &written, shutdown).await?;
            tracing::warn!(
                row = row.id,
                events = sent.events,
                "events were sent from the journal"
            );
            if sent.is_incomplete || sent.events < i64::from(row.event_count) {
                self.held.keep(row.id, !sent.is_incomplete, fault);
                return Ok(());
            }
            let to = later(written.at, AFTER).min(written.now);
            self.restored.span = Some((earlier(written.at, BEFORE), earlier(to, SLACK)));
        }
        self.rows_restored += 1;
        let probe = &self.relay.probe;
        probe.detail("outbox_rows_restored", self.rows_restored);
        probe.detail("outbox_row_restored_last", row.id);
        self.acknowledged
            .delete(&mut self.connection, &[row])
            .await?;
        Ok(())
    }

    async fn send_journal(
        &mut self,
        row: &OutboxRow,
        written: &Written,
        shutdown: &CancellationToken,
    ) -> Result<Sent, RelayError> {
        let (from, to) = (earlier(written.at, BEFORE), later(written.at, AFTER));
        let mut sent = Sent::default();
        let mut after = Uuid::nil();
        loop {
            let wallets =
                journal::wallets_after(&mut self.connection, after, None, Some(from), WALLETS)
                    .await?;
            let Some(last) = wallets.last() else {
                return Ok(sent);
            };
            after = last.id;
            for wallet in wallets.into_iter().filter(|wallet| wallet.is_concerned) {
                let mut at = first_since(&mut self.connection, wallet, Some(from)).await? - 1;
                while let Some(next) = self
                    .send_some(row, wallet, at, to, &mut sent, shutdown)
                    .await?
                {
                    at = next;
                }
            }
            if self.renewed.elapsed() >= RENEW {
                self.renew().await?;
            }
        }
    }

    /// Sends events of a wallet after this number; gives where to go on.
    async fn send_some(
        &mut self,
        row: &OutboxRow,
        wallet: NextWallet,
        after: i64,
        to: Timestamp,
        sent: &mut Sent,
        shutdown: &CancellationToken,
    ) -> Result<Option<i64>, RelayError> {
        let id = WalletId::from_uuid(wallet.id);
        let found = journal::events_after(
            &mut self.connection,
            wallet.id,
            after,
            wallet.version,
            EVENTS,
        )
        .await?;
        let deliveries = Arc::new(Deliveries::default());
        let mut at = after;
        for event in found {
            if self.held.holds(id) {
                break;
            }
            match checked(event, at + 1) {
                Ok(event) if event.occurred_at > to => {
                    self.acknowledge(&deliveries, shutdown).await?;
                    return Ok(None);
                }
                Ok(event) => {
                    let entry = Entry {
                        traceparent: None,
                        event,
                    };
                    hand_over(&self.publisher, row.id, &entry, &mut self.held, &deliveries)?;
                }
                Err(reason) => self.held.hold_unreadable(row.id, id, at + 1, reason),
            }
            if !self.held.holds(id) {
                at += 1;
                sent.events += 1;
            }
        }
        self.acknowledge(&deliveries, shutdown).await?;
        if self.held.holds(id) {
            sent.is_incomplete = true;
            return Ok(None);
        }
        Ok((at > after && at < wallet.version).then_some(at))
    }
}

fn earlier(moment: Timestamp, by: TimeDelta) -> Timestamp {
    (moment.utc() - by).into()
}

fn later(moment: Timestamp, by: TimeDelta) -> Timestamp {
    (moment.utc() + by).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_covered_when_all_that_it_can_have_held_was_sent() {
        let moment: Timestamp = "2026-11-27T12:00:00Z".parse().unwrap();
        assert!(!Restored::default().covers(moment));
        let restored = Restored {
            span: Some((moment, later(moment, TimeDelta::seconds(60)))),
        };
        for (seconds, is_covered) in [(0, false), (29, false), (30, true), (60, true), (61, false)]
        {
            let written = later(moment, TimeDelta::seconds(seconds));
            assert_eq!(restored.covers(written), is_covered, "{seconds}");
        }
    }
}
