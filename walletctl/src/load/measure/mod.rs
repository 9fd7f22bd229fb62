//! What is measured: counts and latencies by operation, one point a second, and how late history is.

pub(crate) mod freshness;
pub(crate) mod latency;
pub(crate) mod meter;
pub(crate) mod timeline;
