//! What the ingest tells the rest of the process: which wallets advanced, how much was applied, and whether Kafka and the
//! database answer.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use shared::{
    Sequence, WalletId,
    server::{
        health::{Health, Probe},
        metrics::Metrics,
    },
};
use tokio::sync::{Notify, broadcast};

use crate::metrics::HistoryMetrics;

/// How many batches a waiting reader may fall behind before it has to look for itself.
const BATCHES_KEPT: usize = 64;

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

pub struct Progress {
    advanced: broadcast::Sender<Advanced>,
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

    pub(crate) fn committed(&self, batch: BatchCounts, applied: Vec<(WalletId, Sequence)>) {
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
        if self.advanced.receiver_count() > 0 && !applied.is_empty() {
            // No listener any more is no error.
            drop(self.advanced.send(Advanced(applied.into())));
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

    pub(crate) fn partitions_assigned(&self, partitions: usize) {
        self.kafka.detail("partitions", partitions);
        let told = i64::try_from(partitions).unwrap_or(i64::MAX);
        self.metrics.partitions.set(told);
        self.kafka_ok();
    }

    pub(crate) fn kafka_ok(&self) {
        self.kafka.ok();
    }

    pub(crate) fn kafka_degraded(&self, reason: &'static str) {
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
