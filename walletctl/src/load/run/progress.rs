//! While the load runs: looks once a second, keeps the timeline for the report, and shows them on one line.

use std::{
    io::{self, Write},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use crate::format::duration_us;
use crate::load::{
    measure::{
        latency::{Quantiles, micros},
        timeline::TimelinePoint,
    },
    run::schedule::Schedule,
    target::LoadTarget,
};

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Without a terminal a line is written only so often.
const LINE_EVERY: usize = 10;
/// Less than a look apart: a slow answer must not shift the next one.
const HEALTH_TIMEOUT: Duration = Duration::from_millis(800);

#[derive(Deserialize)]
struct Health {
    components: Components,
}

#[derive(Deserialize)]
struct Components {
    outbox: Outbox,
}

#[derive(Deserialize)]
struct Outbox {
    outbox_events: Option<u64>,
}

/// The line that says how it goes.
struct Line {
    bar: ProgressBar,
    shown: usize,
}

impl Line {
    fn new(load_seconds: u64) -> anyhow::Result<Self> {
        let bar = ProgressBar::new(load_seconds);
        bar.set_style(ProgressStyle::with_template(
            "{elapsed}/{len}s  {wide_msg}",
        )?);
        Ok(Self { bar, shown: 0 })
    }

    fn show(&mut self, point: &TimelinePoint, failed: u64) -> io::Result<()> {
        let lag = point
            .history_lag_us
            .map_or_else(|| "–".to_owned(), duration_us);
        let said = format!(
            "{}/s  p99 {}  failed {failed}  history lag {lag}",
            point.rate(),
            duration_us(point.p99_us)
        );
        self.shown += 1;
        if !self.bar.is_hidden() {
            self.bar.set_message(said);
            return Ok(());
        }
        if self.shown.is_multiple_of(LINE_EVERY) {
            writeln!(io::stderr().lock(), "{} s  {said}", point.at_ms / 1_000)?;
        }
        Ok(())
    }
}

/// Looks from the end of the warm-up until `ended`; gives every point.
pub(crate) async fn watch(
    target: &LoadTarget,
    schedule: &Schedule,
    load_seconds: u64,
    mut ended: watch::Receiver<bool>,
) -> anyhow::Result<Vec<TimelinePoint>> {
    tokio::select! {
        () = schedule.warm() => {}
        _ = ended.wait_for(|ended| *ended) => return Ok(Vec::new()),
    }
    let mut line = Line::new(load_seconds)?;
    let mut timeline: Vec<TimelinePoint> = Vec::new();
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let (mut before_ms, mut failed) = (0, 0);
    let mut over = false;
    while !over {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = ended.wait_for(|ended| *ended) => over = true,
        }
        let at_ms = micros(schedule.elapsed()) / 1_000;
        let seen = target.meters.take_interval()?;
        let quantiles = Quantiles::of(&seen.latencies);
        let point = TimelinePoint {
            at_ms,
            span_ms: at_ms - before_ms,
            completed: seen.counts.completed,
            refused: seen.counts.refused,
            failed: seen.counts.failed,
            p50_us: quantiles.p50_us,
            p99_us: quantiles.p99_us,
            max_us: quantiles.max_us,
            outbox_events: outbox_events(target).await,
            history_lag_us: target.sampler.take_longest(),
        };
        before_ms = at_ms;
        failed += point.failed;
        // The last piece of a second may be too short for a rate that means anything.
        if !over || point.span_ms * 2 > 1_000 {
            line.show(&point, failed)?;
        }
        timeline.push(point);
    }
    line.bar.finish_and_clear();
    Ok(timeline)
}

/// How many events wait to be sent, if wallet-service tells.
async fn outbox_events(target: &LoadTarget) -> Option<u64> {
    let asked = target.services.wallet.get(format_args!("/readyz"));
    let answer = asked.within(HEALTH_TIMEOUT).answer().await.ok()?;
    let health: Health = serde_json::from_slice(&answer.body).ok()?;
    health.components.outbox.outbox_events
}
