//! How long and how much: the full benchmark, and the quick one that only tries it out.

use std::time::Duration;

use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize, PartialEq, Eq, Debug)]
pub struct Plan {
    pub quick: bool,
    /// What Postgres logs before anything is measured: twice what it logs from one checkpoint to the next.
    pub wal_warm_up_mb: u32,
    /// Wallets that share the money, where nothing else is said.
    pub wallets: u32,
    pub connections: Vec<u32>,
    /// The number of connections at which ours, baselines and variants are compared.
    pub compared_at: u32,
    pub warm_up_seconds: u64,
    pub run_seconds: u64,
    pub fdatasync_seconds: u64,
    pub commit_seconds: u64,
    pub set_floor_seconds: u64,
    pub batch_size: u32,
    /// Everything at full speed before the first stage with Kafka: its first two minutes cost up to several times what later
    /// ones do.
    #[serde(default)]
    pub kafka_warm_up_seconds: u64,
    pub everything_warm_up_seconds: u64,
    pub everything_seconds: u64,
    pub open_loop_seconds: u64,
    pub small_wallets: u32,
    pub big_wallets: u32,
    /// Wallets of the big data set that are read and that money moves between.
    pub big_sample: u32,
    pub reads_seconds: u64,
    /// Readers of streams.
    #[serde(default)]
    pub streams: u32,
    /// Transfers of each kind whose bytes are counted.
    #[serde(default)]
    pub stored_transfers: u64,
    pub soak_seconds: u64,
}

impl Plan {
    /// About half an hour.
    pub fn full() -> Self {
        Self {
            quick: false,
            wal_warm_up_mb: 9_000,
            wallets: 10_000,
            connections: vec![1, 16, 64, 256, 512],
            compared_at: 256,
            warm_up_seconds: 3,
            run_seconds: 8,
            fdatasync_seconds: 3,
            commit_seconds: 5,
            set_floor_seconds: 15,
            batch_size: 100,
            kafka_warm_up_seconds: 120,
            everything_warm_up_seconds: 15,
            everything_seconds: 60,
            open_loop_seconds: 40,
            small_wallets: 1_000,
            big_wallets: 1_000_000,
            big_sample: 50_000,
            reads_seconds: 8,
            streams: 2_000,
            stored_transfers: 60_000,
            soak_seconds: 600,
        }
    }

    /// Every stage in a few seconds. The figures mean nothing.
    pub fn quick() -> Self {
        Self {
            quick: true,
            wal_warm_up_mb: 100,
            wallets: 1_000,
            warm_up_seconds: 1,
            run_seconds: 2,
            fdatasync_seconds: 1,
            commit_seconds: 1,
            set_floor_seconds: 1,
            kafka_warm_up_seconds: 2,
            everything_warm_up_seconds: 2,
            everything_seconds: 6,
            open_loop_seconds: 4,
            small_wallets: 1_000,
            big_wallets: 10_000,
            big_sample: 1_000,
            reads_seconds: 2,
            streams: 100,
            stored_transfers: 2_000,
            soak_seconds: 8,
            ..Self::full()
        }
    }

    pub const fn warm_up(&self) -> Duration {
        Duration::from_secs(self.warm_up_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compared_is_measured() {
        for plan in [Plan::full(), Plan::quick()] {
            assert!(plan.connections.contains(&plan.compared_at));
            assert!(plan.connections.contains(&1), "for the latency of one");
            assert!(plan.small_wallets.is_multiple_of(2) && plan.big_wallets.is_multiple_of(2));
        }
    }
}
