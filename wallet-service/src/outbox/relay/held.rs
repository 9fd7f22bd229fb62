//! Wallets whose next event is larger than the topic takes: their events wait, everybody else's go on.
//!
//! A row holds events of many wallets. Of one that cannot be sent whole, the events that wait are left in it and the
//! others are taken out: so the order of a wallet's events stays that of the rows, also after a restart.

use std::collections::{BTreeSet, HashMap};

use shared::{EventId, Sequence, WalletId, event::WalletEvent};
use sqlx::PgConnection;

use crate::outbox::{
    row::{Entry, RowEncoder},
    store::rows::{self, OutboxRow},
};

/// How many rows may wait. When there are more, everything waits: each is skipped by its id at every reading.
const ROWS_MAX: usize = 4096;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct HeldBack {
    wallets: HashMap<WalletId, TooLarge>,
    /// Rows in which nothing but waiting events is left.
    rows: BTreeSet<i64>,
}

/// The event that a wallet waits for.
#[derive(Debug)]
struct TooLarge {
    row: i64,
    event_id: EventId,
    sequence: Sequence,
    bytes: usize,
}

/// What is left of a row that could not be sent whole.
#[derive(Debug)]
pub(super) struct Rest {
    entries: Vec<u8>,
    event_count: i32,
}

impl HeldBack {
    pub(super) fn is_empty(&self) -> bool {
        self.wallets.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows.len() >= ROWS_MAX
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = i64> {
        self.rows.iter().copied()
    }

    pub(super) fn lowest_row(&self) -> Option<i64> {
        self.rows().next()
    }

    pub(super) fn holds(&self, wallet: WalletId) -> bool {
        self.wallets.contains_key(&wallet)
    }

    /// The topic does not take this event, so its wallet waits from here on.
    pub(super) fn hold(&mut self, row: i64, event: &WalletEvent, bytes: usize, bytes_max: usize) {
        let WalletEvent {
            event_id,
            wallet_id,
            sequence,
            ..
        } = event;
        tracing::error!(
            row,
            %event_id,
            %wallet_id,
            %sequence,
            bytes,
            bytes_max,
            "an event is larger than the topic takes: the events of its wallet wait"
        );
        let too_large = TooLarge {
            row,
            event_id: *event_id,
            sequence: *sequence,
            bytes,
        };
        self.wallets.insert(*wallet_id, too_large);
    }

    /// Leaves in the row what has to wait.
    ///
    /// # Errors
    /// When it cannot be written; then nothing is changed.
    pub(super) async fn leave(
        &mut self,
        connection: &mut PgConnection,
        row: &OutboxRow,
        rest: &Rest,
    ) -> sqlx::Result<()> {
        let Rest {
            entries,
            event_count,
        } = rest;
        if *event_count != row.event_count {
            rows::replace_entries(connection, row, entries, *event_count).await?;
        }
        self.rows.insert(row.id);
        Ok(())
    }

    /// What to say about it, in public.
    pub(super) fn reason(&self, bytes_max: usize) -> Option<String> {
        let (wallet, first) = self
            .wallets
            .iter()
            .min_by_key(|(wallet, held)| (held.row, **wallet))?;
        let TooLarge {
            row,
            event_id,
            sequence,
            bytes,
        } = first;
        let others = match self.wallets.len() - 1 {
            0 => String::new(),
            1 => "; 1 other wallet waits likewise".to_owned(),
            others => format!("; {others} other wallets wait likewise"),
        };
        Some(format!(
            "event {event_id}, number {sequence} of wallet {wallet}, in outbox row {row}, is {bytes} bytes with what goes \
             with it and the topic takes {bytes_max} (max.message.bytes): the events of this wallet wait{others}"
        ))
    }
}

impl Rest {
    /// Of these entries, in their order. Nothing when there are none.
    pub(super) fn of(entries: &[&Entry<'_>]) -> Option<Self> {
        let mut encoder = RowEncoder::default();
        for Entry { traceparent, event } in entries {
            encoder.add(*traceparent, event);
        }
        // Fewer entries than were in one row fit into one row.
        let (rows, counts) = encoder.columns();
        Some(Self {
            entries: rows.first()?.clone(),
            event_count: *counts.first()?,
        })
    }
}
