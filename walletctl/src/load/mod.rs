//! `walletctl load`: a mixed workload against any installation, and the proof that it lost and doubled nothing.
//!
//! In phases: `setup` waits and makes the wallets. Workers (`worker`) draw operations (`workload`) and send them
//! through the `site`, which keeps the `books`; meanwhile `live` looks once a second and `freshness` asks
//! history for some of the writes. At the end `audit` settles what is open and reads both services for the `proof`,
//! and `report` tells it: to people, to programs, and as a page (`html`).

mod audit;
mod batch;
mod books;
mod call;
mod chart;
mod freshness;
mod html;
mod live;
mod measure;
mod proof;
mod report;
pub mod settings;
mod setup;
mod site;
mod values;
mod wire;
mod worker;
mod workload;

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use shared::Timestamp;
use tokio::{sync::watch, task::JoinSet};
use uuid::Uuid;

pub use self::report::Report;
use self::{
    freshness::{Sampler, Samples},
    measure::{Meters, Moment},
    proof::Proof,
    report::Course,
    settings::Load,
    site::{Command, Site, Wire},
    wire::Peer,
    worker::Pace,
    workload::Stream,
};
use crate::cli::Options;

/// Why there is no report when somebody insists on an end.
const UNPROVED: &str = "interrupted before the proof: nothing is known about what was sent";

/// Runs the load and tells how it went; writes the files that were asked for.
///
/// # Errors
/// When the services are not ready, the wallets cannot be made, or a file cannot be written.
pub async fn run(options: &Options, load: &Load) -> anyhow::Result<Report> {
    let started_at = Timestamp::now();
    let seed = load.seed.unwrap_or_else(|| u64::from(fastrand::u32(..)));
    let run = Uuid::now_v7().simple().to_string();
    let wire = wire(options, load)?;
    setup::ready(&wire, load).await?;
    let (books, currency) = setup::wallets(&wire, load, &run).await?;
    let (sampler, samples) = Sampler::new()?;
    let site = Arc::new(Site {
        wire,
        run,
        currency,
        history_limit: load.history_limit,
        keyed: load.keyed,
        batch_size: usize::from(load.batch_size),
        books,
        meters: Meters::new(usize::from(load.workers))?,
        sampler,
    });
    let ran = under_load(&site, load, seed, samples).await?;
    let proof = tokio::select! {
        proof = proved(&site, ran.open) => proof,
        signal = tokio::signal::ctrl_c() => {
            signal?;
            bail!(UNPROVED);
        }
    };
    let course = Course {
        started_at,
        measured_from: ran.measured_from,
        seed,
        span: ran.span,
        interrupted: ran.interrupted,
        missed: ran.missed,
        moments: ran.moments,
    };
    let report = Report::new(load, &site, course, proof)?;
    if let Some(path) = &load.report_json {
        write(path, &report.to_json()?)?;
    }
    if let Some(path) = &load.report_html {
        write(path, html::page(&report).as_bytes())?;
    }
    Ok(report)
}

async fn proved(site: &Site, open: Vec<Command>) -> Proof {
    let settled = audit::settle(site, open).await;
    audit::prove(site, settled).await
}

fn wire(options: &Options, load: &Load) -> anyhow::Result<Wire> {
    let base = load.base_url.as_ref().unwrap_or(&options.wallet_url);
    let timeout = options.timeout();
    Ok(Wire {
        wallet: Peer::new(base, timeout)?,
        history: (!load.without_history)
            .then(|| Peer::new(&options.history_url, timeout))
            .transpose()?,
        timeout,
    })
}

/// What the load left behind.
struct Ran {
    measured_from: Timestamp,
    span: Duration,
    interrupted: bool,
    missed: Option<u64>,
    moments: Vec<Moment>,
    open: Vec<Command>,
}

/// Everything at once: workers, probes and the look once a second. Ctrl-C ends the load early and the proof follows all
/// the same; a second one ends everything.
async fn under_load(
    site: &Arc<Site>,
    load: &Load,
    seed: u64,
    samples: Samples,
) -> anyhow::Result<Ran> {
    let (stop, stopped) = watch::channel(false);
    let (end, ended) = watch::channel(false);
    let measured_from = Timestamp::from(Timestamp::now().utc() + load.warm_up());
    let pace = Arc::new(Pace::new(load.warm_up(), load.span(), load.rate, stopped));
    let mut workers = JoinSet::new();
    for worker in 0..usize::from(load.workers) {
        let (site, pace) = (Arc::clone(site), Arc::clone(&pace));
        let stream = Stream::new(load, seed, worker as u64);
        workers.spawn(async move { worker::work(&site, &pace, stream, worker).await });
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
        let span = pace.elapsed();
        site.sampler.close();
        end.send_replace(true);
        anyhow::Ok((span, interrupted, open))
    };
    let (worked, moments, ()) = tokio::try_join!(
        working,
        live::watch(site, &pace, load.duration, ended),
        freshness::probe(site, samples)
    )?;
    let (span, interrupted, open) = worked;
    Ok(Ran {
        measured_from,
        span,
        interrupted,
        missed: pace.missed(),
        moments,
        open,
    })
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    std::fs::write(path, bytes).with_context(|| format!("{} cannot be written", path.display()))
}
