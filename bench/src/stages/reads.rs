//! What growth costs: reads and transfers over few wallets and over many, in turns, on the same machine. Then what people look
//! at on the many.

use std::{ops::Range, path::PathBuf, time::Instant};

use sqlx::{Connection, PgConnection};

use super::{at_scale, keep_better, stop, transfers};
use crate::{
    dataset,
    load::{Load, Run, Wallets, Work},
    output,
    plan::Plan,
    results::Reads,
    stack::{Database, Schema, Service, Stack},
};

const CONNECTIONS: u32 = 64;
/// Each measurement is made so often, the sizes taking turns; the better one is kept.
const TURNS: usize = 2;
const WORKS: [Work; 4] = [Work::Wallet, Work::Balance, Work::History, Work::Transfer];

/// # Errors
/// When a run fails or is not proved.
pub async fn run(stack: &Stack, plan: &Plan) -> anyhow::Result<Reads> {
    let began = Instant::now();
    let small = Pair::start(stack, "small", plan.small_wallets, plan.small_wallets).await?;
    let big = Pair::start(stack, "big", plan.big_wallets, plan.big_sample).await?;
    let seeding_seconds = began.elapsed().as_secs();
    output::line(&format!("  data sets made in {seeding_seconds} s"))?;
    let (mut of_small, mut of_big) = (Vec::new(), Vec::new());
    for work in WORKS {
        for _ in 0..TURNS {
            keep_better(&mut of_small, small.load(stack, plan, work).await?);
            keep_better(&mut of_big, big.load(stack, plan, work).await?);
        }
    }
    small.end(stack).await?;
    let (service, database) = (&big.history, &big.history_database);
    let at_scale = at_scale::run(stack, plan, service, database, plan.big_wallets).await?;
    big.end(stack).await?;
    Ok(Reads {
        small_wallets: plan.small_wallets,
        big_wallets: plan.big_wallets,
        events_per_wallet: dataset::EVENTS,
        seeding_seconds,
        small: of_small,
        big: of_big,
        at_scale: Some(at_scale),
    })
}

/// Both services on a data set of one size.
struct Pair {
    name: &'static str,
    wallet_database: Database,
    history_database: Database,
    wallet: Service,
    history: Service,
    read: PathBuf,
    moved: PathBuf,
}

impl Pair {
    async fn start(
        stack: &Stack,
        name: &'static str,
        wallets: u32,
        sample: u32,
    ) -> anyhow::Result<Self> {
        let topic = format!("bench-{name}");
        let wallet_name = format!("bench_{name}_wallet");
        let history_name = format!("bench_{name}_history");
        let wallet_database = stack.database(&wallet_name, Schema::Wallet).await?;
        let history_database = stack.database(&history_name, Schema::History).await?;
        let mut on_wallet = PgConnection::connect_with(&wallet_database.options).await?;
        let mut on_history = PgConnection::connect_with(&history_database.options).await?;
        tokio::try_join!(
            dataset::wallets(&mut on_wallet, wallets),
            dataset::history(&mut on_history, wallets)
        )?;
        on_wallet.close().await?;
        on_history.close().await?;

        // Money moves without a relay, so history stays behind on the wallets it moves between: others are read.
        let half = wallets / 2;
        let ids = |what: &str, range: Range<u32>| {
            let path = stack.scratch(&format!("{name}-{what}.ids"));
            dataset::write_ids(&path, range, sample / 2).map(|()| path)
        };
        Ok(Self {
            name,
            read: ids("read", 0..half)?,
            moved: ids("moved", half..wallets)?,
            wallet: stack.wallet_service(&wallet_database, None).await?,
            history: stack.history_service(&history_database, &topic).await?,
            wallet_database,
            history_database,
        })
    }

    async fn load(&self, stack: &Stack, plan: &Plan, work: Work) -> anyhow::Result<Run> {
        let ids = match work {
            Work::Transfer | Work::HoldAndCapture | Work::Post => &self.moved,
            Work::Wallet | Work::Balance | Work::History => &self.read,
        };
        let label = format!("{}, {work:?}", self.name).to_lowercase();
        let load = Load {
            work,
            connections: CONNECTIONS,
            seconds: plan.reads_seconds,
            history_url: (work == Work::History).then(|| self.history.url.clone()),
            wallets: Wallets::File(ids.clone()),
            ..transfers(plan, label, &self.wallet.url)
        };
        let run = load.run(stack, None).await?;
        output::run(&run)?;
        Ok(run)
    }

    async fn end(self, stack: &Stack) -> anyhow::Result<()> {
        stop(vec![self.wallet, self.history]).await?;
        stack.forget(&self.wallet_database.name).await;
        stack.forget(&self.history_database.name).await;
        Ok(())
    }
}
