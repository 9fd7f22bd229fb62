//! A histogram with fixed bounds, for hot paths: two atomic additions an observation, no lock and no allocation.
//!
//! The library's own takes a lock for each observation, which a thread that is suspended keeps from all others.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::{MetricType, TypedMetric},
};

const NANOSECONDS: f64 = 1e9;

/// From what a commit takes to what no caller waits for, in nanoseconds.
const SHORT: &[u64] = &[
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    10_000_000_000,
];

/// From what the pipeline takes to what an outage takes, in nanoseconds.
const LONG: &[u64] = &[
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
    60_000_000_000,
    300_000_000_000,
    3_600_000_000_000,
];

const SIZES: &[u64] = &[1, 2, 5, 10, 20, 50, 100, 200, 300, 400, 512, 1000, 2000];

/// See the module. Clones share what was observed.
#[derive(Clone, Debug)]
pub struct Histogram(Arc<Observed>);

#[derive(Debug)]
struct Observed {
    /// The largest value of each bucket; the last bucket has none.
    bounds: &'static [u64],
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
    /// How many of what is observed make one of what is told.
    scale: f64,
}

impl Histogram {
    /// Of times within a request.
    pub fn of_durations() -> Self {
        Self::new(SHORT, NANOSECONDS)
    }

    /// Of times through the whole pipeline.
    pub fn of_long_durations() -> Self {
        Self::new(LONG, NANOSECONDS)
    }

    /// Of how many there are in a batch.
    pub fn of_sizes() -> Self {
        Self::new(SIZES, 1.0)
    }

    fn new(bounds: &'static [u64], scale: f64) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Observed {
            bounds,
            counts,
            sum: AtomicU64::new(0),
            scale,
        }))
    }

    pub fn observe(&self, duration: Duration) {
        self.add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    pub fn observe_size(&self, size: usize) {
        self.add(u64::try_from(size).unwrap_or(u64::MAX));
    }

    fn add(&self, value: u64) {
        let Observed {
            bounds,
            counts,
            sum,
            ..
        } = &*self.0;
        let bucket = bounds.partition_point(|bound| *bound < value);
        if let Some(count) = counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
            sum.fetch_add(value, Ordering::Relaxed);
        }
    }
}

impl TypedMetric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let Observed {
            bounds,
            counts,
            sum,
            scale,
        } = &*self.0;
        let bounds = bounds.iter().map(|bound| told(*bound, *scale));
        let counts = counts.iter().map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.chain([f64::INFINITY]).zip(counts).collect();
        // One look at each: the count is that of the buckets, whatever is observed meanwhile.
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = told(sum.load(Ordering::Relaxed), *scale);
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

/// To 53 bits, which is more than anyone reads.
#[expect(clippy::float_arithmetic, reason = "it is no money")]
fn told(value: u64, scale: f64) -> f64 {
    value as f64 / scale
}
