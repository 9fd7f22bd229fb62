//! What the standing proof counts and finds.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use prometheus_client::metrics::counter::Counter;
use shared::server::metrics::{Definition, Metrics};

pub(super) const DRIFTED: Definition = Definition::gauge(
    "proof_drifted_wallets",
    "wallets",
    "Wallets whose rows are not what was written, as the standing proof found them last",
);

pub(super) const PROVED: Definition = Definition::counter(
    "proof_events_total",
    "events",
    "Events that the standing proof of this instance has looked at",
);

pub(super) const AGE: Definition = Definition::gauge(
    "proof_age_seconds",
    "seconds",
    "How long ago a round of the proof over what is new ended, of all instances",
);

pub(super) const WHOLE_AGE: Definition = Definition::gauge(
    "proof_whole_age_seconds",
    "seconds",
    "How long ago a round of the proof over every event ended, of all instances",
);

/// See the module. Clones share what was counted.
#[derive(Clone, Default, Debug)]
pub(crate) struct ProofMetrics {
    proved: Counter,
    last: Arc<RwLock<Option<Found>>>,
}

/// What was found, and how long ago the rounds had ended by then.
#[derive(Clone, Copy, Debug)]
struct Found {
    looked: Instant,
    wallets: i64,
    new_age: Option<Duration>,
    whole_age: Option<Duration>,
}

impl ProofMetrics {
    pub(super) fn register(&self, metrics: &Metrics) {
        let last = |read: fn(Found) -> Option<f64>| {
            let last = Arc::clone(&self.last);
            move || (*last.read().unwrap_or_else(PoisonError::into_inner)).and_then(read)
        };
        metrics.read(DRIFTED, last(|found| Some(super::told(found.wallets))));
        metrics.add(PROVED, self.proved.clone());
        metrics.read(AGE, last(|found| found.since(found.new_age)));
        metrics.read(WHOLE_AGE, last(|found| found.since(found.whole_age)));
    }

    pub(crate) fn proved(&self, events: usize) {
        self.proved
            .inc_by(u64::try_from(events).unwrap_or(u64::MAX));
    }

    pub(crate) fn found(
        &self,
        wallets: i64,
        new_age: Option<Duration>,
        whole_age: Option<Duration>,
    ) {
        let mut last = self.last.write().unwrap_or_else(PoisonError::into_inner);
        *last = Some(Found {
            looked: Instant::now(),
            wallets,
            new_age,
            whole_age,
        });
    }
}

impl Found {
    fn since(&self, age: Option<Duration>) -> Option<f64> {
        Some(age?.saturating_add(self.looked.elapsed()).as_secs_f64())
    }
}
