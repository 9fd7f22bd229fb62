//! Two instances of the wallet path on one database under one load, beside one instance under the same load.
//!
//! Each caller is a closed loop of its own over HTTP. They are counted one by one, because a rate does not tell whether
//! some of them starve; and whatever is not carried out ends the measurement, because no caller may see a conflict.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use serde_json::json;
use tokio::task::JoinSet;
use walletctl::format::thousands;

use super::{
    made::{self, post},
    stop,
};
use crate::{
    load::Spread,
    numbers, output,
    plan::Plan,
    results::{Shared, TwoInstances},
    stack::{Schema, Service, Stack},
};

/// All callers together, whether they call one instance or two.
const CALLERS: usize = 64;
const WALLETS: usize = 1_000;

/// # Errors
/// When a command is not carried out.
pub async fn run(stack: &Stack, plan: &Plan) -> anyhow::Result<TwoInstances> {
    let database = stack
        .database("bench_two_instances", Schema::Wallet)
        .await?;
    let services = vec![
        stack.wallet_service(&database, None).await?,
        stack.wallet_service(&database, None).await?,
    ];
    let callers = Callers {
        http: shared::server::http_client::plain(),
        wallets: Arc::from(made::wallets(&services[0], WALLETS, None).await?),
        warm_up: plan.warm_up(),
        span: Duration::from_secs(plan.run_seconds),
    };
    let mut runs: Vec<Shared> = Vec::new();
    for spread in [Spread::Uniform, Spread::Hot] {
        // There and back again, so that what the machine does meanwhile falls on both.
        for instances in [1, 2, 2, 1] {
            let run = callers.run(&services[..instances], spread).await?;
            output::line(&format!(
                "  {instances} × wallet-service, {}, {CALLERS} callers: {}/s, p50 {}, p99 {}, most of least {}",
                spread.name(),
                thousands(run.per_second),
                numbers::millis(run.p50_us),
                numbers::millis(run.p99_us),
                numbers::times(numbers::ratio(run.most, run.least)),
            ))?;
            let kept = runs
                .iter_mut()
                .find(|kept| kept.spread == spread && kept.instances == run.instances);
            match kept {
                Some(kept) if kept.per_second < run.per_second => *kept = run,
                Some(_) => {}
                None => runs.push(run),
            }
        }
    }
    stop(services).await?;
    stack.forget(&database.name).await;
    Ok(TwoInstances { runs })
}

struct Callers {
    http: reqwest::Client,
    wallets: Arc<[String]>,
    warm_up: Duration,
    span: Duration,
}

impl Callers {
    async fn run(&self, services: &[Service], spread: Spread) -> anyhow::Result<Shared> {
        let from = Instant::now() + self.warm_up;
        let until = from + self.span;
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            let url = services[caller % services.len()].url.clone();
            let (http, wallets) = (self.http.clone(), Arc::clone(&self.wallets));
            callers.spawn(async move {
                let mut latencies = Histogram::<u64>::new(3)?;
                loop {
                    let began = Instant::now();
                    transfer(&http, &url, &wallets, spread).await?;
                    if began >= from && Instant::now() < until {
                        latencies.record(u64::try_from(began.elapsed().as_micros())?.max(1))?;
                    }
                    if Instant::now() >= until {
                        return anyhow::Ok(latencies);
                    }
                }
            });
        }
        let mut all = Histogram::<u64>::new(3)?;
        let mut counts = Vec::new();
        while let Some(latencies) = callers.join_next().await {
            let latencies = latencies??;
            counts.push(latencies.len());
            all.add(latencies)?;
        }
        Ok(Shared {
            spread,
            instances: services.len().try_into()?,
            callers: CALLERS.try_into()?,
            per_second: numbers::per_second(all.len(), self.span),
            p50_us: all.value_at_quantile(0.5),
            p99_us: all.value_at_quantile(0.99),
            least: counts.iter().min().copied().unwrap_or_default(),
            most: counts.iter().max().copied().unwrap_or_default(),
        })
    }
}

async fn transfer(
    http: &reqwest::Client,
    url: &str,
    wallets: &[String],
    spread: Spread,
) -> anyhow::Result<()> {
    let from = fastrand::usize(1..wallets.len());
    let to = match spread {
        Spread::Hot => 0,
        Spread::Uniform | Spread::Zipf => {
            (from + fastrand::usize(1..wallets.len())) % wallets.len()
        }
    };
    let (from, to) = if fastrand::bool() {
        (from, to)
    } else {
        (to, from)
    };
    let url = format!("{url}/wallets/{}/transfer", wallets[from]);
    let body = json!({"to_wallet_id": wallets[to], "amount": "0.01"});
    post(http, &url, &body).await.map(drop)
}
