//! Wallets whose next event cannot be sent, because it is larger than the topic takes or cannot be read: their events
//! wait, everybody else's go on.
//!
//! A row holds events of many wallets. Of one that cannot be sent whole, the events that wait are left in it and the
//! others are taken out: so the order of a wallet's events stays that of the rows, also after a restart. A row that cannot
//! be read is left as it is.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use shared::{EventId, WalletId, event::WalletEvent};
use sqlx::PgConnection;

use crate::outbox::{
    row::{Entry, RowEncoder, RowError},
    store::rows::{self, OutboxRow},
};

/// How many rows may wait. When there are more, everything waits: each is skipped by its id at every reading.
const ROWS_MAX: usize = 4096;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct HeldBack {
    wallets: HashMap<WalletId, Held>,
    /// Rows in which nothing but waiting events is left.
    rows: BTreeSet<i64>,
    /// Those of them that cannot be read, whose events the journal does not have, and what is wrong with them.
    lost: BTreeMap<i64, String>,
}

/// The event that a wallet waits for.
#[derive(Debug)]
struct Held {
    row: i64,
    sequence: i64,
    why: Why,
}

#[derive(Debug)]
enum Why {
    TooLarge { event_id: EventId, bytes: usize },
    Unreadable(&'static str),
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

    /// How many wallets wait.
    pub(super) fn wallets(&self) -> i64 {
        i64::try_from(self.wallets.len()).unwrap_or(i64::MAX)
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
    pub(super) fn hold_too_large(
        &mut self,
        row: i64,
        event: &WalletEvent,
        bytes: usize,
        bytes_max: usize,
    ) {
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
        let held = Held {
            row,
            sequence: sequence.get(),
            why: Why::TooLarge {
                event_id: *event_id,
                bytes,
            },
        };
        self.wallets.insert(*wallet_id, held);
    }

    /// The row cannot be read, and neither can this event of the journal that it may have held.
    pub(super) fn hold_unreadable(
        &mut self,
        row: i64,
        wallet_id: WalletId,
        sequence: i64,
        reason: &'static str,
    ) {
        tracing::error!(
            row,
            %wallet_id,
            sequence,
            "an event of the journal {reason}: the events of its wallet wait"
        );
        let why = Why::Unreadable(reason);
        self.wallets.insert(wallet_id, Held { row, sequence, why });
    }

    /// Leaves a row that cannot be read where it is. `is_lost`: the journal does not have what it held.
    pub(super) fn keep(&mut self, row: i64, is_lost: bool, fault: &RowError) {
        self.rows.insert(row);
        if is_lost {
            tracing::error!(
                row,
                error = fault as &dyn std::error::Error,
                "an outbox row cannot be read, and the journal does not have all of its events: it is left aside"
            );
            self.lost.insert(row, fault.to_string());
        }
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
        let reasons = [self.first_wallet(bytes_max), self.first_lost()];
        let reasons: Vec<String> = reasons.into_iter().flatten().collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    fn first_wallet(&self, bytes_max: usize) -> Option<String> {
        let (wallet, Held { row, sequence, why }) = self
            .wallets
            .iter()
            .min_by_key(|(wallet, held)| (held.row, **wallet))?;
        let first = match why {
            Why::TooLarge { event_id, bytes } => format!(
                "event {event_id}, number {sequence} of wallet {wallet}, in outbox row {row}, is {bytes} bytes with what \
                 goes with it and the topic takes {bytes_max} (max.message.bytes)"
            ),
            Why::Unreadable(reason) => format!(
                "outbox row {row} cannot be read, and event number {sequence} of wallet {wallet}, which may be in it, \
                 {reason} in the journal either"
            ),
        };
        let others = match self.wallets.len() - 1 {
            0 => String::new(),
            1 => "; 1 other wallet waits likewise".to_owned(),
            others => format!("; {others} other wallets wait likewise"),
        };
        Some(format!("{first}: the events of this wallet wait{others}"))
    }

    fn first_lost(&self) -> Option<String> {
        let (row, fault) = self.lost.first_key_value()?;
        let others = match self.lost.len() - 1 {
            0 => String::new(),
            others => format!(", and {others} more"),
        };
        Some(format!(
            "outbox row {row} cannot be read ({fault}){others}, and the journal does not have all of its events: it is \
             left aside, and other rows go on"
        ))
    }
}

impl Rest {
    pub(super) const fn event_count(&self) -> i32 {
        self.event_count
    }

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
