//! Numbers that are kept elsewhere and read when they are asked for.

use std::fmt;

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::MetricType,
};

use super::Kind;

/// A value under its labels.
pub type Sample = (Vec<(&'static str, String)>, f64);

/// See the module.
pub(super) struct Read<F> {
    kind: Kind,
    read: F,
}

impl<F: Fn() -> Vec<Sample>> Read<F> {
    pub(super) const fn new(kind: Kind, read: F) -> Self {
        Self { kind, read }
    }
}

impl<F> fmt::Debug for Read<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Read").finish_non_exhaustive()
    }
}

impl<F: Fn() -> Vec<Sample>> EncodeMetric for Read<F> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (labels, value) in (self.read)() {
            if labels.is_empty() {
                encode(self.kind, &mut encoder, value)?;
            } else {
                encode(self.kind, &mut encoder.encode_family(&labels)?, value)?;
            }
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        match self.kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge | Kind::Histogram => MetricType::Gauge,
        }
    }
}

fn encode(kind: Kind, encoder: &mut MetricEncoder<'_>, value: f64) -> fmt::Result {
    match kind {
        Kind::Counter => encoder.encode_counter::<NoLabelSet, _, f64>(&value, None),
        Kind::Gauge | Kind::Histogram => encoder.encode_gauge(&value),
    }
}
