//! What a committed batch did, and how the process hears of it.

use shared::{Sequence, Timestamp, WalletId, event::WalletEvent};

use super::{apply::Decisions, message::Refused, store::UNPARK_MAX};
use crate::progress::{BatchCounts, Did, Progress, Written};

#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Applied {
    /// The wallets that advanced, with their last applied sequence, in the order of their ids.
    pub applied_sequences: Vec<(WalletId, Sequence)>,
    pub events: usize,
    pub duplicates: usize,
    pub parked: usize,
    pub refused: Vec<Refused>,
    /// Of a kind or a version that this build does not know; they wait.
    pub unknown: usize,
    /// What the ledger says and does not fit what is stored; nothing was done about it.
    pub contradicted: Vec<Refused>,
    /// Parked events that are settled now.
    pub unparked: usize,
    /// When the events occurred.
    pub occurred_at: Vec<Timestamp>,
    /// Of the events, those that were missing in the middle of a wallet.
    pub filled: usize,
    /// Wallets with a row that is not what its hash says.
    pub damaged: usize,
    /// Events that went for others.
    pub set_aside: usize,
    /// The events themselves, where it is known how they are read from now on.
    pub written: Option<Written>,
}

impl Applied {
    pub(super) fn of(decisions: &Decisions) -> Self {
        let heads = decisions.heads.iter();
        Self {
            applied_sequences: heads
                .map(|(wallet, advance)| (*wallet, advance.to.last_sequence))
                .collect(),
            events: decisions.events.len(),
            duplicates: decisions.duplicates,
            parked: decisions.parked.len(),
            refused: decisions.refused.clone(),
            unknown: decisions.unknown.len(),
            contradicted: decisions.contradicted.clone(),
            unparked: decisions.unparked.len(),
            occurred_at: decisions
                .events
                .iter()
                .map(|event| event.occurred_at)
                .collect(),
            filled: decisions.filled,
            damaged: decisions.damaged.len(),
            set_aside: decisions.set_aside,
            written: None,
        }
    }

    /// The same with what was written, when it is committed.
    pub(super) fn with_written(self, events: Vec<WalletEvent>, at: Option<Timestamp>) -> Self {
        let written = at.map(|recorded_at| Written {
            events,
            recorded_at,
        });
        Self { written, ..self }
    }

    /// Logs at most one line of each kind, so that many bad messages do not become many lines, and tells the readers.
    pub(super) fn report(self, progress: &Progress) {
        if let Some(first) = self.refused.first() {
            tracing::error!(
                count = self.refused.len(),
                reason = first.refusal.reason.as_str(),
                partition = first.message.position.partition,
                offset = first.message.position.offset,
                "messages were quarantined; the first one is named here"
            );
        }
        if self.parked > 0 {
            tracing::warn!(
                count = self.parked,
                "events arrived before their predecessors and are parked"
            );
        }
        if self.unknown > 0 {
            tracing::warn!(
                count = self.unknown,
                "events of a kind or version that this build does not know wait for one that does: upgrade history-service"
            );
        }
        if self.filled > 0 {
            tracing::warn!(
                count = self.filled,
                "events that were missing in the middle of wallets are there again"
            );
        }
        if self.damaged > 0 {
            tracing::error!(
                wallets = self.damaged,
                "rows of history are not what their hashes say: the ledger is asked for them"
            );
        }
        tracing::debug!(
            events = self.events,
            duplicates = self.duplicates,
            unparked = self.unparked,
            "batch committed"
        );
        let counts = BatchCounts {
            events: self.events,
            duplicates: self.duplicates,
            parked: self.parked,
            refused: self.refused.len(),
            unknown: self.unknown,
        };
        if i64::try_from(self.unparked).is_ok_and(|unparked| unparked >= UNPARK_MAX) {
            progress.more_is_due();
        }
        let did = Did {
            applied: self.applied_sequences,
            written: self.written,
            is_mending: self.filled > 0 || self.set_aside > 0,
        };
        progress.committed(counts, did);
    }
}
