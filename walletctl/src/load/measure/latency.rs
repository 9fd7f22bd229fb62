//! Latencies in microseconds, in HDR histograms: no sample is dropped, and the tail is as exact as the middle.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// A latency is kept with three digits.
const DIGITS: u8 = 3;

pub(crate) type Latencies = Histogram<u64>;

pub(crate) fn latencies() -> anyhow::Result<Latencies> {
    Ok(Histogram::new(DIGITS)?)
}

/// Whole microseconds; zero does not exist for a clock that ticks.
pub(crate) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX).max(1)
}

/// What people look at first of a distribution, in microseconds.
#[derive(Clone, Copy, Serialize, PartialEq, Eq, Debug)]
pub(crate) struct Quantiles {
    pub(crate) p50_us: u64,
    pub(crate) p95_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) p99_9_us: u64,
    pub(crate) max_us: u64,
}

impl Quantiles {
    pub(crate) fn of(latencies: &Latencies) -> Self {
        Self {
            p50_us: latencies.value_at_quantile(0.5),
            p95_us: latencies.value_at_quantile(0.95),
            p99_us: latencies.value_at_quantile(0.99),
            p99_9_us: latencies.value_at_quantile(0.999),
            max_us: latencies.max(),
        }
    }
}
