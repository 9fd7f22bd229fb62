//! What the machine can do at all: its disk, its commits, its HTTP.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context;
use sqlx::{Connection, Executor, PgConnection, postgres::PgConnectOptions};

use super::{stop, transfers};
use walletctl::format::thousands;

use crate::{
    closed_loop::{self, Measured, Work},
    dataset,
    load::{Load, Run, Wallets},
    numbers, output,
    plan::Plan,
    results::Floors,
    stack::{Schema, Stack},
};

/// A page of Postgres' log.
const BLOCK: [u8; 8192] = [1; 8192];
/// As large as a segment of the log: it is written over again, as recycled segments are.
const BLOCKS: u64 = 2048;
const COMMIT_CONNECTIONS: [u32; 4] = [1, 4, 16, 64];
const HTTP_CONNECTIONS: [u32; 2] = [64, 256];

/// # Errors
/// When a measurement fails.
pub async fn run(stack: &Stack, plan: &Plan) -> anyhow::Result<Floors> {
    let path = stack.data_disk().join("fdatasync.probe");
    let span = Duration::from_secs(plan.fdatasync_seconds);
    let fdatasync_per_second =
        tokio::task::spawn_blocking(move || fdatasync(&path, span)).await??;
    output::line(&format!(
        "  fdatasync of 8 kB: {}/s",
        thousands(fdatasync_per_second)
    ))?;
    let commits = commits(stack, plan, &COMMIT_CONNECTIONS).await?;
    let http = http(stack, plan).await?;
    Ok(Floors {
        fdatasync_per_second,
        commits,
        http,
    })
}

/// Durable writes in a second, one after the other.
fn fdatasync(path: &Path, span: Duration) -> anyhow::Result<u64> {
    let probe = Probe::create(path)?;
    for block in 0..BLOCKS {
        probe.0.write_all_at(&BLOCK, block * BLOCK.len() as u64)?;
    }
    probe.0.sync_all()?;
    let began = Instant::now();
    let mut count = 0;
    while began.elapsed() < span {
        let place = count % BLOCKS * BLOCK.len() as u64;
        probe.0.write_all_at(&BLOCK, place)?;
        probe.0.sync_data()?;
        count += 1;
    }
    Ok(numbers::per_second(count, began.elapsed()))
}

/// A file that is removed whatever happens.
struct Probe(File, PathBuf);

impl Probe {
    fn create(path: &Path) -> anyhow::Result<Self> {
        let file =
            File::create(path).with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(Self(file, path.to_owned()))
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        // The run's folder is removed anyway.
        drop(std::fs::remove_file(&self.1));
    }
}

/// The smallest durable commit, one row in a transaction of its own, by connections.
///
/// # Errors
/// When a commit fails.
pub async fn commits(
    stack: &Stack,
    plan: &Plan,
    connections: &[u32],
) -> anyhow::Result<Vec<Measured>> {
    let database = stack.database("bench_floors", Schema::Wallet).await?;
    let mut connection = PgConnection::connect_with(&database.options).await?;
    connection
        .execute("create table smallest (id bigint generated always as identity primary key, n bigint not null)")
        .await?;
    connection.close().await?;
    let mut measured = Vec::new();
    for connections in connections {
        let workers = committers(&database.options, *connections).await?;
        let span = Duration::from_secs(plan.commit_seconds);
        let commits = closed_loop::run(workers, plan.warm_up(), span).await?;
        output::line(&format!(
            "  smallest commit, {connections} connections: {}/s, p50 {}",
            thousands(commits.per_second),
            numbers::millis(commits.p50_us)
        ))?;
        measured.push(commits);
    }
    stack.forget(&database.name).await;
    Ok(measured)
}

struct Committer(PgConnection);

impl Work for Committer {
    async fn once(&mut self) -> anyhow::Result<()> {
        sqlx::query("insert into smallest (n) values ($1)")
            .bind(1_i64)
            .execute(&mut self.0)
            .await?;
        Ok(())
    }
}

async fn committers(options: &PgConnectOptions, count: u32) -> anyhow::Result<Vec<Committer>> {
    let mut committers = Vec::new();
    for _ in 0..count {
        committers.push(Committer(PgConnection::connect_with(options).await?));
    }
    Ok(committers)
}

/// Requests that are read and answered, and nothing else.
async fn http(stack: &Stack, plan: &Plan) -> anyhow::Result<Vec<Run>> {
    let ids = stack.scratch("wallets.ids");
    dataset::write_ids(&ids, 0..plan.wallets, plan.wallets)?;
    let service = stack.serve("serve-noop", &[], Vec::new()).await?;
    let mut runs = Vec::new();
    for connections in HTTP_CONNECTIONS {
        let load = Load {
            connections,
            seconds: plan.commit_seconds,
            wallets: Wallets::File(ids.clone()),
            provable: false,
            ..transfers(plan, format!("empty answer, {connections}"), &service.url)
        };
        let run = load.run(stack, None).await?;
        output::run(&run)?;
        runs.push(run);
    }
    stop(vec![service]).await?;
    Ok(runs)
}
