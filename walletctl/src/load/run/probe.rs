//! Asks history for the writes that are sampled, and tells how long each took to be seen.

use std::time::Duration;

use futures::{StreamExt, stream::FuturesUnordered};

use crate::load::{
    measure::freshness::{Sample, Samples},
    target::LoadTarget,
};

/// What is not seen by then counts as not seen.
const SEEN_WITHIN: Duration = Duration::from_secs(60);

/// Probes what is sampled until the sampler is closed and every probe has ended.
pub(crate) async fn probe(target: &LoadTarget, mut samples: Samples) -> anyhow::Result<()> {
    let mut probes = FuturesUnordered::new();
    let mut closed = false;
    while !closed || !probes.is_empty() {
        tokio::select! {
            sample = samples.0.recv(), if !closed => match sample.flatten() {
                Some(sample) => probes.push(taken(target, sample)),
                None => closed = true,
            },
            Some(taken) = probes.next() => target.sampler.probed(taken)?,
        }
    }
    Ok(())
}

/// How long it took to be seen; `None` when it was not.
async fn taken(target: &LoadTarget, sample: Sample) -> Option<Duration> {
    let history = target.services.history.as_ref()?;
    let wallet = &target.expected.accounts[sample.wallet].id;
    let until = sample.acknowledged + SEEN_WITHIN;
    let found = target
        .services
        .history_at(history, wallet, target.currency, sample.sequence, until)
        .await;
    found.ok().map(|_| sample.acknowledged.elapsed())
}
