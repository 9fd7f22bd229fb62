//! The baseline, straight on Postgres and behind HTTP, with whatever number of connections suits it best.

use std::time::Duration;

use anyhow::Context;
use sqlx::{Connection, PgConnection};

use super::{stop, transfers};
use walletctl::format::thousands;

use crate::{
    baseline::{Aim, direct},
    dataset,
    load::{Load, Run, Spread, Wallets},
    numbers, output,
    plan::Plan,
    results::Baseline,
    stack::{Database, Schema, Service, Stack},
};

const DIRECT_CONNECTIONS: [u32; 4] = [8, 16, 32, 64];
const POOLS: [u32; 4] = [8, 16, 32, 64];

/// # Errors
/// When a measurement fails.
pub async fn run(stack: &Stack, plan: &Plan) -> anyhow::Result<Baseline> {
    let database = stack.database("bench_baseline", Schema::Wallet).await?;
    let mut connection = PgConnection::connect_with(&database.options).await?;
    dataset::wallets(&mut connection, plan.wallets).await?;
    connection.close().await?;

    let time = (plan.warm_up(), Duration::from_secs(plan.run_seconds));
    let mut straight = Vec::new();
    for connections in DIRECT_CONNECTIONS {
        let aim = Aim::Uniform;
        let measured = direct(&database.options, connections, plan.wallets, aim, time).await?;
        output::line(&format!(
            "  a transaction per transfer, straight on Postgres, {connections} connections: {}/s, p50 {}",
            thousands(measured.per_second),
            numbers::millis(measured.p50_us)
        ))?;
        straight.push(measured);
    }
    let best = straight.iter().max_by_key(|measured| measured.per_second);
    let best = best.context("nothing was measured")?.connections;
    let direct_hot = direct(&database.options, best, plan.wallets, Aim::Hot, time).await?;
    output::line(&format!(
        "  the same on one hot wallet: {}/s",
        thousands(direct_hot.per_second)
    ))?;

    let behind = Behind::new(stack, plan, database)?;
    let (pool, pools_tried) = behind.best_pool().await?;
    let service = behind.serve(pool).await?;
    let mut http = Vec::new();
    for connections in &plan.connections {
        http.push(behind.load(&service, *connections, Spread::Uniform).await?);
    }
    let http_hot = behind.load(&service, plan.compared_at, Spread::Hot).await?;
    stop(vec![service]).await?;
    stack.forget(&behind.database.name).await;
    Ok(Baseline {
        direct: straight,
        direct_hot,
        pool,
        pools_tried,
        http,
        http_hot,
    })
}

/// The baseline behind HTTP.
struct Behind<'a> {
    stack: &'a Stack,
    plan: &'a Plan,
    database: Database,
    ids: std::path::PathBuf,
}

impl<'a> Behind<'a> {
    fn new(stack: &'a Stack, plan: &'a Plan, database: Database) -> anyhow::Result<Self> {
        let ids = stack.scratch("wallets.ids");
        dataset::write_ids(&ids, 0..plan.wallets, plan.wallets)?;
        Ok(Self {
            stack,
            plan,
            database,
            ids,
        })
    }

    async fn serve(&self, pool: u32) -> anyhow::Result<Service> {
        let settings = vec![("WALLET_DATABASE_URL", self.database.url.clone())];
        let arguments = [format!("--pool={pool}")];
        self.stack
            .serve("serve-baseline", &arguments, settings)
            .await
    }

    async fn load(
        &self,
        service: &Service,
        connections: u32,
        spread: Spread,
    ) -> anyhow::Result<Run> {
        let label = format!("baseline, {}, {connections}", spread.name());
        let load = Load {
            connections,
            spread,
            wallets: Wallets::File(self.ids.clone()),
            ..transfers(self.plan, label, &service.url)
        };
        let run = load.run(self.stack, None).await?;
        output::run(&run)?;
        Ok(run)
    }

    /// The pool with the highest rate at the number of connections that is compared.
    async fn best_pool(&self) -> anyhow::Result<(u32, Vec<(u32, u64)>)> {
        let mut tried = Vec::new();
        for pool in POOLS {
            let service = self.serve(pool).await?;
            let run = self
                .load(&service, self.plan.compared_at, Spread::Uniform)
                .await?;
            stop(vec![service]).await?;
            output::line(&format!("  … with a pool of {pool}"))?;
            tried.push((pool, run.per_second));
        }
        let best = tried.iter().max_by_key(|(_, rate)| *rate);
        let best = best.context("no pool was tried")?.0;
        Ok((best, tried))
    }
}
