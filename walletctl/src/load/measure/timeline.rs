//! A run over time: one point a second.

use serde::Serialize;

/// About one second of a run. Latencies are microseconds.
#[derive(Clone, Serialize, Debug)]
pub(crate) struct TimelinePoint {
    /// From the beginning of the load to the end of this second.
    pub(crate) at_ms: u64,
    pub(crate) span_ms: u64,
    pub(crate) completed: u64,
    pub(crate) refused: u64,
    pub(crate) failed: u64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) max_us: u64,
    /// Events that waited to be sent; none when wallet-service did not tell.
    pub(crate) outbox_events: Option<u64>,
    /// The longest that a sampled write took to be seen in history; none without a sample.
    pub(crate) history_lag_us: Option<u64>,
}

impl TimelinePoint {
    /// Answered or not, in a second.
    pub(crate) const fn rate(&self) -> u64 {
        per_second(self.completed + self.refused + self.failed, self.span_ms)
    }
}

pub(crate) const fn per_second(count: u64, span_ms: u64) -> u64 {
    let span_ms = if span_ms == 0 { 1 } else { span_ms };
    count.saturating_mul(1_000) / span_ms
}
