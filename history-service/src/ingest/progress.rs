//! What the ingest thread tells the rest of the process: what moved, how much, and whether its neighbours are well.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use shared::{
    Sequence, WalletId,
    server::health::{Health, Probe},
};
use tokio::sync::broadcast;

use super::project::Applied;

/// How many batches a waiting reader may fall behind before it has to look for itself.
const BATCHES_KEPT: usize = 64;

/// The wallets a committed batch moved, in the order of their ids.
#[derive(Clone, Debug)]
pub struct Moved(Arc<[(WalletId, Sequence)]>);

impl Moved {
    pub fn sequence_of(&self, wallet: WalletId) -> Option<Sequence> {
        let found = self.0.binary_search_by_key(&wallet, |(id, _)| *id).ok()?;
        self.0.get(found).map(|(_, sequence)| *sequence)
    }
}

/// What this instance has done since it started.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Totals {
    pub batches: u64,
    pub events: u64,
    pub duplicates: u64,
    pub parked: u64,
    pub refused: u64,
    pub offset_jumps: u64,
}

pub struct Progress {
    moved: broadcast::Sender<Moved>,
    kafka: Probe,
    database: Probe,
    batches: AtomicU64,
    events: AtomicU64,
    duplicates: AtomicU64,
    parked: AtomicU64,
    refused: AtomicU64,
    offset_jumps: AtomicU64,
}

impl Progress {
    /// Reports to `health` as `kafka` and `projection`. Neither ever makes the process unready: what is written already
    /// can be read without them.
    pub fn new(health: &Health) -> Self {
        let (kafka, database) = (health.component("kafka"), health.component("projection"));
        kafka.degraded("joining the consumer group");
        database.ok();
        Self {
            moved: broadcast::Sender::new(BATCHES_KEPT),
            kafka,
            database,
            batches: AtomicU64::new(0),
            events: AtomicU64::new(0),
            duplicates: AtomicU64::new(0),
            parked: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            offset_jumps: AtomicU64::new(0),
        }
    }

    /// Hears of every batch this instance commits from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Moved> {
        self.moved.subscribe()
    }

    pub fn totals(&self) -> Totals {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Totals {
            batches: of(&self.batches),
            events: of(&self.events),
            duplicates: of(&self.duplicates),
            parked: of(&self.parked),
            refused: of(&self.refused),
            offset_jumps: of(&self.offset_jumps),
        }
    }

    pub(super) fn applied(&self, applied: Applied) {
        let add = |counter: &AtomicU64, count: usize| {
            counter.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
        };
        add(&self.batches, 1);
        add(&self.events, applied.events);
        add(&self.duplicates, applied.duplicates);
        add(&self.parked, applied.parked);
        add(&self.refused, applied.refused.len());
        report(&applied);
        if self.moved.receiver_count() > 0 && !applied.heads.is_empty() {
            // Nobody listening any more is no error.
            drop(self.moved.send(Moved(applied.heads.into())));
        }
    }

    pub(super) fn offsets_jumped(&self) {
        let jumps = self.offset_jumps.fetch_add(1, Ordering::Relaxed) + 1;
        self.kafka.detail("offset_jumps", jumps);
    }

    pub(super) fn partitions_assigned(&self, partitions: usize) {
        self.kafka.detail("partitions", partitions);
        self.kafka_ok();
    }

    pub(super) fn kafka_ok(&self) {
        self.kafka.ok();
    }

    pub(super) fn kafka_degraded(&self, reason: &'static str) {
        self.kafka.degraded(reason);
    }

    pub(super) fn database_ok(&self) {
        self.database.ok();
    }

    pub(super) fn database_away(&self) {
        self.database
            .degraded("history cannot be written; it goes on from where it is once it can");
    }
}

/// One line per batch at most, whatever arrives: a flood of poison must not become a flood of logs.
fn report(applied: &Applied) {
    if let Some(first) = applied.refused.first() {
        tracing::error!(
            count = applied.refused.len(),
            reason = first.refusal.reason.as_str(),
            detail = first.refusal.detail,
            partition = first.message.position.partition,
            offset = first.message.position.offset,
            "messages were quarantined; the first one is described here"
        );
    }
    if applied.parked > 0 {
        tracing::warn!(
            count = applied.parked,
            "events arrived before their predecessors and are parked"
        );
    }
    tracing::debug!(
        events = applied.events,
        duplicates = applied.duplicates,
        unparked = applied.unparked,
        "batch committed"
    );
}
