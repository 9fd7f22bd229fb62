//! The load itself: workers, probes and the look once a second, all at the same time, until the time is over.

pub(crate) mod batch;
mod pocket;
pub(crate) mod probe;
pub(crate) mod progress;
pub(crate) mod schedule;
pub(crate) mod setup;
pub(crate) mod worker;
pub(crate) mod workload;

use std::{sync::Arc, time::Duration};

use anyhow::bail;
use shared::Timestamp;
use tokio::{sync::watch, task::JoinSet};

use crate::load::{
    measure::{freshness::Samples, timeline::TimelinePoint},
    run::{schedule::Schedule, workload::Stream},
    settings::Load,
    target::{Command, LoadTarget},
};

/// Why there is no report after a second Ctrl-C.
pub(crate) const UNPROVED: &str =
    "interrupted before the proof: nothing is known about what was sent";

/// What the load left behind.
pub(crate) struct LoadRun {
    pub(crate) measured_from: Timestamp,
    pub(crate) span: Duration,
    pub(crate) interrupted: bool,
    pub(crate) missed: Option<u64>,
    pub(crate) timeline: Vec<TimelinePoint>,
    pub(crate) open: Vec<Command>,
}

/// Everything at once: workers, probes and the look once a second. Ctrl-C ends the load early and the proof follows all
/// the same; a second one ends everything.
pub(crate) async fn under_load(
    target: &Arc<LoadTarget>,
    load: &Load,
    seed: u64,
    samples: Samples,
) -> anyhow::Result<LoadRun> {
    let (stop, stopped) = watch::channel(false);
    let (end, ended) = watch::channel(false);
    let measured_from = Timestamp::from(Timestamp::now().utc() + load.warm_up());
    let schedule = Arc::new(Schedule::new(
        load.warm_up(),
        load.span(),
        load.rate,
        stopped,
    ));
    let mut workers = JoinSet::new();
    for worker in 0..usize::from(load.workers) {
        let (target, schedule) = (Arc::clone(target), Arc::clone(&schedule));
        let stream = Stream::new(load, seed, worker as u64);
        workers.spawn(async move { worker::work(&target, &schedule, stream, worker).await });
    }
    let working = async {
        let mut open = Vec::new();
        let mut interrupted = false;
        loop {
            tokio::select! {
                ended = workers.join_next() => match ended {
                    Some(ended) => open.extend(ended??),
                    None => break,
                },
                signal = tokio::signal::ctrl_c() => {
                    signal?;
                    if interrupted {
                        bail!(UNPROVED);
                    }
                    interrupted = true;
                    stop.send_replace(true);
                }
            }
        }
        let span = schedule.elapsed();
        target.sampler.close();
        end.send_replace(true);
        anyhow::Ok((span, interrupted, open))
    };
    let (worked, timeline, ()) = tokio::try_join!(
        working,
        progress::watch(target, &schedule, load.duration, ended),
        probe::probe(target, samples)
    )?;
    let (span, interrupted, open) = worked;
    Ok(LoadRun {
        measured_from,
        span,
        interrupted,
        missed: schedule.missed(),
        timeline,
        open,
    })
}
