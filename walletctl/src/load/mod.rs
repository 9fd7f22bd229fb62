//! `walletctl load`: a mixed workload against any installation, and the proof that it lost and doubled nothing.
//!
//! - `settings`: the flags. `operation`: what the load is made of.
//! - `run`: wallets first, then workers, probes and a look once a second, all at the same time.
//! - `target`: the installation under load; operations as requests, and what their answers mean. `http` carries them.
//! - `measure`: counts, latencies, the timeline, and how late history is.
//! - `proof`: what is open is settled under its keys, then both services are read and compared with what was acknowledged.
//! - `report`: to people, to programs, and as a page.

mod http;
mod measure;
mod operation;
mod proof;
mod report;
mod run;
pub mod settings;
mod target;

use std::{path::Path, sync::Arc};

use anyhow::{Context, bail};
use hyper::header::HeaderValue;
use shared::{Timestamp, server::auth::TokenFile};
use uuid::Uuid;

pub use self::report::Report;
use self::{
    http::{connection::ServiceClient, services::Services},
    measure::{freshness::Sampler, meter::Meters},
    proof::{check::Proof, settle},
    report::{RunFacts, page},
    run::setup,
    settings::Load,
    target::{Command, LoadTarget},
};
use crate::cli::Options;

/// Runs the load and tells how it went; writes the files that were asked for.
///
/// # Errors
/// When the services are not ready, the wallets cannot be made, or a file cannot be written.
pub async fn run(options: &Options, load: &Load) -> anyhow::Result<Report> {
    let started_at = Timestamp::now();
    let seed = load.seed.unwrap_or_else(|| u64::from(fastrand::u32(..)));
    let run_id = Uuid::now_v7().simple().to_string();
    let services = services(options, load)?;
    setup::ready(&services, load).await?;
    let (expected, currency) = setup::wallets(&services, load, &run_id).await?;
    let (sampler, samples) = Sampler::new()?;
    let target = Arc::new(LoadTarget {
        services,
        run: run_id,
        currency,
        history_limit: load.history_limit,
        keyed: load.keyed,
        batch_size: usize::from(load.batch_size),
        expected,
        meters: Meters::new(usize::from(load.workers))?,
        sampler,
    });
    let ran = run::under_load(&target, load, seed, samples).await?;
    let proof = tokio::select! {
        proof = proved(&target, ran.open) => proof,
        signal = tokio::signal::ctrl_c() => {
            signal?;
            bail!(run::UNPROVED);
        }
    };
    let facts = RunFacts {
        started_at,
        measured_from: ran.measured_from,
        seed,
        span: ran.span,
        interrupted: ran.interrupted,
        missed: ran.missed,
        timeline: ran.timeline,
    };
    let report = Report::new(load, &target, facts, proof)?;
    if let Some(path) = &load.report_json {
        write(path, &report.to_json()?)?;
    }
    if let Some(path) = &load.report_html {
        write(path, page::html(&report)?.as_bytes())?;
    }
    Ok(report)
}

async fn proved(target: &LoadTarget, open: Vec<Command>) -> Proof {
    let settled = settle::settle(target, open).await;
    settle::prove(target, settled).await
}

/// The token as it is at the start: it has to last for the run.
fn authorization(options: &Options) -> anyhow::Result<Option<HeaderValue>> {
    let Some(path) = &options.token_file else {
        return Ok(None);
    };
    let token = TokenFile::new(path.clone()).current();
    let token = token.with_context(|| format!("cannot read the token in {}", path.display()))?;
    let mut header = HeaderValue::from_str(&format!("Bearer {}", token.expose()))?;
    header.set_sensitive(true);
    Ok(Some(header))
}

fn services(options: &Options, load: &Load) -> anyhow::Result<Services> {
    let base = load.base_url.as_ref().unwrap_or(&options.wallet_url);
    let timeout = options.timeout();
    let authorization = authorization(options)?;
    let client = |url| ServiceClient::new(url, timeout, authorization.clone());
    Ok(Services {
        wallet: client(base)?,
        history: (!load.without_history)
            .then(|| client(&options.history_url))
            .transpose()?,
        timeout,
    })
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    std::fs::write(path, bytes).with_context(|| format!("{} cannot be written", path.display()))
}
