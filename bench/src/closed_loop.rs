//! A closed loop against anything that is not HTTP: so many workers, each doing the next as soon as the last is done.

use std::{future::Future, time::Duration};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use tokio::{task::JoinSet, time::Instant};

use crate::numbers;

/// What one worker does again and again.
pub trait Work: Send + 'static {
    fn once(&mut self) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// A rate with its latencies, in microseconds.
#[derive(Clone, Serialize, Deserialize, PartialEq, Eq, Debug)]
pub struct Measured {
    pub connections: u32,
    pub per_second: u64,
    pub p50_us: u64,
    pub p99_us: u64,
}

/// Runs all workers for `span`, after a `warm_up` that does not count.
///
/// # Errors
/// For the first thing that fails.
pub async fn run<W: Work>(
    workers: Vec<W>,
    warm_up: Duration,
    span: Duration,
) -> anyhow::Result<Measured> {
    let connections = u32::try_from(workers.len())?;
    let from = Instant::now() + warm_up;
    let until = from + span;
    let mut tasks = JoinSet::new();
    for worker in workers {
        tasks.spawn(work(worker, from, until));
    }
    let mut all = Histogram::<u64>::new(3)?;
    while let Some(ended) = tasks.join_next().await {
        all.add(ended??)?;
    }
    Ok(Measured {
        connections,
        per_second: numbers::per_second(all.len(), span),
        p50_us: all.value_at_quantile(0.5),
        p99_us: all.value_at_quantile(0.99),
    })
}

async fn work<W: Work>(
    mut worker: W,
    from: Instant,
    until: Instant,
) -> anyhow::Result<Histogram<u64>> {
    let mut latencies = Histogram::new(3)?;
    loop {
        let began = Instant::now();
        worker.once().await?;
        let ended = Instant::now();
        if ended >= until {
            return Ok(latencies);
        }
        if ended >= from {
            let us = u64::try_from((ended - began).as_micros())?;
            latencies.record(us.max(1))?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Work that takes two milliseconds, and lets the other workers do theirs meanwhile.
    struct TwoMillis;

    impl Work for TwoMillis {
        async fn once(&mut self) -> anyhow::Result<()> {
            let began = Instant::now();
            while began.elapsed() < Duration::from_millis(2) {
                tokio::task::yield_now().await;
            }
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_loop_counts_only_what_ends_within_its_span() {
        let span = Duration::from_millis(200);
        let measured = run(vec![TwoMillis, TwoMillis], Duration::from_millis(20), span)
            .await
            .unwrap();
        assert_eq!(measured.connections, 2);
        assert!((2..=1_000).contains(&measured.per_second), "{measured:?}");
        assert!(measured.p50_us >= 2_000, "{measured:?}");
    }
}
