//! Ours, the wallet path alone: no relay, no history.

use anyhow::Context;
use shared::Timestamp;
use sqlx::{Connection, PgConnection, Row, postgres::PgConnectOptions};

use super::{counted, floors, keep_better, stop, transfers};
use crate::{
    costs::Watched,
    load::{Load, Run, Spread},
    output,
    plan::Plan,
    results::Wallet,
    stack::{Database, Schema, Service, Stack},
};

/// With a hundred commands in a request, as many in flight as single ones need hundreds of connections for.
const BATCHED_CONNECTIONS: u32 = 16;

/// # Errors
/// When a run fails or is not proved.
pub async fn run(stack: &Stack, plan: &Plan) -> anyhow::Result<Wallet> {
    let database = stack.database("bench_wallet", Schema::Wallet).await?;
    let service = stack.wallet_service(&database, None).await?;
    let running = RunningService {
        stack,
        database,
        service,
    };
    let (mut runs, mut keyed, mut commits) = (Vec::new(), Vec::new(), Vec::new());
    for connections in &plan.connections {
        let mut kinds = Spread::ALL.map(|spread| (spread, false)).to_vec();
        if *connections == plan.compared_at {
            kinds.push((Spread::Uniform, true));
        }
        if *connections == 1 {
            commits.extend(floors::commits(stack, plan, &[1]).await?);
        }
        // There and back again, so that what the machine does meanwhile falls on all of them.
        for (spread, with_keys) in kinds.iter().chain(kinds.iter().rev()) {
            let keys = if *with_keys { ", with keys" } else { "" };
            let label = format!("{}, {connections}{keys}", spread.name());
            let load = Load {
                connections: *connections,
                spread: *spread,
                keyed: *with_keys,
                ..transfers(plan, label, &running.service.url)
            };
            let kept = if *with_keys { &mut keyed } else { &mut runs };
            keep_better(kept, running.load(&load).await?);
        }
        if *connections == 1 {
            commits.extend(floors::commits(stack, plan, &[1]).await?);
        }
    }
    let keyed = keyed.pop().context("keys were not compared")?;
    let batched = Load {
        batch: Some(plan.batch_size),
        connections: BATCHED_CONNECTIONS,
        ..transfers(
            plan,
            format!("{} in a request", plan.batch_size),
            &running.service.url,
        )
    };
    let batched = running.load(&batched).await?;
    let counted = counted(transfers(plan, "wallet path", &running.service.url));
    let counted = running.load(&counted).await?;
    let RunningService {
        database, service, ..
    } = running;
    stop(vec![service]).await?;
    stack.forget(&database.name).await;
    Ok(Wallet {
        runs,
        commits,
        keyed,
        batched,
        counted,
    })
}

struct RunningService<'a> {
    stack: &'a Stack,
    database: Database,
    service: Service,
}

impl RunningService<'_> {
    async fn load(&self, load: &Load) -> anyhow::Result<Run> {
        let began = Timestamp::now();
        let watched = Watched {
            services: vec![("wallet-service".to_owned(), self.service.process.pid())],
            wallet_database: self.database.name.clone(),
            ..Watched::default()
        };
        let mut run = load.run(self.stack, Some(watched)).await?;
        run.transfers_per_commit = Some(transfers_per_commit(&self.database.options, began).await?);
        output::run(&run)?;
        Ok(run)
    }
}

/// How many transfers shared a commit, on average, since a moment: rows by the transaction that wrote them.
///
/// # Errors
/// When the database does not tell.
pub async fn transfers_per_commit(
    options: &PgConnectOptions,
    since: Timestamp,
) -> anyhow::Result<u64> {
    let mut connection = PgConnection::connect_with(options).await?;
    let row = sqlx::query(
        "select count(*) as transfers, count(distinct xmin::text) as commits
         from transactions where occurred_at >= $1 and kind = 'transfer'",
    )
    .bind(since.utc())
    .fetch_one(&mut connection)
    .await?;
    connection.close().await?;
    let count = |column| anyhow::Ok(u64::try_from(row.try_get::<i64, _>(column)?)?);
    count("transfers")?
        .checked_div(count("commits")?)
        .context("nothing was committed")
}
