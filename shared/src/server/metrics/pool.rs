//! The connections of read pools, and the reads that wait for one.

use sqlx::PgPool;

use super::{Definition, Metrics, Sample};
use crate::server::postgres;

const CONNECTIONS: Definition = Definition::gauge(
    "postgres_pool_connections",
    "connections",
    "Connections of the pool of reads, by whether they are used or idle",
)
.by(&["state"]);

const MAX: Definition = Definition::gauge(
    "postgres_pool_max_connections",
    "connections",
    "How many connections the pool of reads may have",
);

const WAITING: Definition = Definition::gauge(
    "postgres_pool_waiting_reads",
    "reads",
    "Reads that wait for a connection of the pool",
);

/// Every number about the pool.
pub const POOL: &[Definition] = &[CONNECTIONS, MAX, WAITING];

/// Tells how many connections the process' pool of reads has, and how many reads wait for one.
pub fn tell_pool(metrics: &Metrics, pool: &PgPool) {
    let of = pool.clone();
    metrics.read_all(CONNECTIONS, move || {
        let (used, idle) = connections(&of);
        let sample = |state, count| -> Sample { (vec![("state", String::from(state))], count) };
        vec![
            sample("used", f64::from(used)),
            sample("idle", f64::from(idle)),
        ]
    });
    let of = pool.clone();
    metrics.read(MAX, move || {
        Some(f64::from(of.options().get_max_connections()))
    });
    let of = pool.clone();
    metrics.read(WAITING, move || {
        let (used, _) = connections(&of);
        let reads = u32::try_from(postgres::reads_in_flight()).unwrap_or(u32::MAX);
        Some(f64::from(reads.saturating_sub(used)))
    });
}

fn connections(pool: &PgPool) -> (u32, u32) {
    let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
    (pool.size().saturating_sub(idle), idle)
}
