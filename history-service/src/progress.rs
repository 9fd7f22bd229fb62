//! What the ingest tells the rest of the process: which wallets advanced, how much was applied, and whether Kafka and the
//! database answer.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use shared::{
    Sequence, Timestamp, WalletId,
    event::WalletEvent,
    server::{
        health::{Health, Probe},
        metrics::Metrics,
    },
};
use tokio::sync::{Notify, broadcast};

use crate::metrics::HistoryMetrics;

/// How many batches a waiting reader may fall behind before it has to look for itself.
const BATCHES_KEPT: usize = 64;
/// The same of batches with all that they wrote, which is some hundred kilobytes each.
const WRITTEN_KEPT: usize = 8;

/// The wallets that a committed batch advanced, with their last applied sequence, in the order of their ids.
#[derive(Clone, Debug)]
pub struct Advanced(Arc<[(WalletId, Sequence)]>);

impl Advanced {
    pub fn wallets(&self) -> impl Iterator<Item = (WalletId, Sequence)> {
        self.0.iter().copied()
    }

    pub fn sequence_of(&self, wallet: WalletId) -> Option<Sequence> {
        let found = self.0.binary_search_by_key(&wallet, |(id, _)| *id).ok()?;
        self.0.get(found).map(|(_, sequence)| *sequence)
    }
}

/// What a batch wrote, as it is read from then on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    /// Each wallet's in order.
    pub events: Vec<WalletEvent>,
    pub recorded_at: Timestamp,
}

/// A committed batch, for who passes on what it did.
#[derive(Clone, Debug)]
pub(crate) struct Committed {
    pub(crate) advanced: Advanced,
    /// Nothing where it has to be read.
    pub(crate) written: Option<Arc<Written>>,
    /// It did more than append: it filled holes, or put events in the place of others.
    pub(crate) is_mending: bool,
}

/// What this instance has done since it started.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, serde::Serialize, schemars::JsonSchema)]
pub struct Totals {
    pub batches: u64,
    pub events: u64,
    pub duplicates: u64,
    pub parked: u64,
    pub refused: u64,
    pub unknown: u64,
    pub offset_jumps: u64,
    /// Of the events, those that came from the ledger itself.
    pub refilled: u64,
}

/// What one committed batch adds to the totals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BatchCounts {
    pub(crate) events: usize,
    pub(crate) duplicates: usize,
    pub(crate) parked: usize,
    pub(crate) refused: usize,
    pub(crate) unknown: usize,
}

/// What one committed batch did to wallets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Did {
    /// Those that advanced, in the order of their ids.
    pub(crate) applied: Vec<(WalletId, Sequence)>,
    pub(crate) written: Option<Written>,
    pub(crate) is_mending: bool,
}

pub struct Progress {
    advanced: broadcast::Sender<Advanced>,
    committed: broadcast::Sender<Committed>,
    kafka: Probe,
    database: Probe,
    batches: AtomicU64,
    events: AtomicU64,
    duplicates: AtomicU64,
    parked: AtomicU64,
    refused: AtomicU64,
    unknown: AtomicU64,
    /// Rung when a batch left parked events behind that are due.
    due: Notify,
    offset_jumps: AtomicU64,
    refilled: AtomicU64,
    /// Of each partition of the topic, the offset after its last message when that was looked at last.
    topic_ends: Mutex<BTreeMap<i32, i64>>,
    /// How many of them this instance was given, and whether Kafka still answers it.
    partitions: AtomicUsize,
    is_joined: AtomicBool,
    metrics: HistoryMetrics,
}

impl Progress {
    /// Reports to `health` as `kafka` and `projection`. Neither ever makes the process unready: what is written already
    /// can be read without them.
    pub fn new(health: &Health) -> Self {
        let (kafka, database) = (health.component("kafka"), health.component("projection"));
        kafka.degraded("joining the consumer group");
        database.ok();
        Self {
            advanced: broadcast::Sender::new(BATCHES_KEPT),
            committed: broadcast::Sender::new(WRITTEN_KEPT),
            kafka,
            database,
            batches: AtomicU64::new(0),
            events: AtomicU64::new(0),
            duplicates: AtomicU64::new(0),
            parked: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
            due: Notify::new(),
            offset_jumps: AtomicU64::new(0),
            refilled: AtomicU64::new(0),
            topic_ends: Mutex::default(),
            partitions: AtomicUsize::new(0),
            is_joined: AtomicBool::new(false),
            metrics: HistoryMetrics::default(),
        }
    }

    /// What is told in numbers, beside what is counted here.
    pub fn metrics(&self) -> &HistoryMetrics {
        &self.metrics
    }

    /// Has all of it told.
    pub fn tell(self: &Arc<Self>, metrics: &Metrics) {
        self.metrics.register(metrics, self);
    }

    /// Hears of every batch this instance commits from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Advanced> {
        self.advanced.subscribe()
    }

    /// The same with what was written.
    pub(crate) fn follow(&self) -> broadcast::Receiver<Committed> {
        self.committed.subscribe()
    }

    pub fn totals(&self) -> Totals {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Totals {
            batches: of(&self.batches),
            events: of(&self.events),
            duplicates: of(&self.duplicates),
            parked: of(&self.parked),
            refused: of(&self.refused),
            unknown: of(&self.unknown),
            offset_jumps: of(&self.offset_jumps),
            refilled: of(&self.refilled),
        }
    }

    pub(crate) fn committed(&self, batch: BatchCounts, did: Did) {
        let BatchCounts {
            events,
            duplicates,
            parked,
            refused,
            unknown,
        } = batch;
        let add = |counter: &AtomicU64, count: usize| {
            counter.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
        };
        add(&self.batches, 1);
        add(&self.events, events);
        add(&self.duplicates, duplicates);
        add(&self.parked, parked);
        add(&self.refused, refused);
        add(&self.unknown, unknown);
        self.tell_readers(did);
    }

    /// Whoever listens is told; that nobody does any more is no error.
    fn tell_readers(&self, did: Did) {
        let Did {
            applied,
            written,
            is_mending,
        } = did;
        let has_advanced = !applied.is_empty();
        let advanced = Advanced(applied.into());
        if self.committed.receiver_count() > 0 && (has_advanced || is_mending) {
            drop(self.committed.send(Committed {
                advanced: advanced.clone(),
                written: written.map(Arc::new),
                is_mending,
            }));
        }
        if self.advanced.receiver_count() > 0 && has_advanced {
            drop(self.advanced.send(advanced));
        }
    }

    /// Parked events were left behind that are due.
    pub(crate) fn more_is_due(&self) {
        self.due.notify_one();
    }

    pub(crate) async fn until_more_is_due(&self) {
        self.due.notified().await;
    }

    pub(crate) fn refilled(&self, events: usize) {
        let events = u64::try_from(events).unwrap_or(u64::MAX);
        self.refilled.fetch_add(events, Ordering::Relaxed);
    }

    pub(crate) fn topic_ends_at(&self, ends: BTreeMap<i32, i64>) {
        *self
            .topic_ends
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = ends;
    }

    /// Of each partition, the offset after its last message; nothing before that was looked at.
    pub fn topic_ends(&self) -> BTreeMap<i32, i64> {
        let ends = self.topic_ends.lock();
        ends.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn offsets_jumped(&self) {
        let jumps = self.offset_jumps.fetch_add(1, Ordering::Relaxed) + 1;
        self.kafka.detail("offset_jumps", jumps);
    }

    /// Whether every partition of the topic is this instance's, as far as it knows: then nobody else appends.
    pub(crate) fn applies_all(&self) -> bool {
        let all = self.topic_ends().len();
        let has_all = all > 0 && self.partitions.load(Ordering::Relaxed) >= all;
        has_all && self.is_joined.load(Ordering::Relaxed)
    }

    pub(crate) fn partitions_assigned(&self, partitions: usize) {
        self.partitions.store(partitions, Ordering::Relaxed);
        self.kafka.detail("partitions", partitions);
        let told = i64::try_from(partitions).unwrap_or(i64::MAX);
        self.metrics.partitions.set(told);
        self.kafka_ok();
    }

    pub(crate) fn kafka_ok(&self) {
        self.is_joined.store(true, Ordering::Relaxed);
        self.kafka.ok();
    }

    pub(crate) fn kafka_degraded(&self, reason: &'static str) {
        self.is_joined.store(false, Ordering::Relaxed);
        self.kafka.degraded(reason);
    }

    pub(crate) fn database_ok(&self) {
        self.database.ok();
    }

    pub(crate) fn database_away(&self) {
        self.database
            .degraded("history cannot be written; it goes on from where it is once it can");
    }
}
