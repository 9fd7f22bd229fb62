//! Everything together: the wallet path, the relay, Kafka and history, at full speed, at parts of it, and for long.

use shared::Timestamp;

use super::{counted, running::Running, transfers, wallet::transfers_per_commit};
use crate::{
    costs::Watched,
    load::{Load, Run, Spread},
    numbers, output,
    plan::Plan,
    results::Everything,
    stack::Stack,
};

/// History that is no further behind when the load ends keeps up.
const LAG_MAX_US: u64 = 1_000_000;
/// Parts of the closed loop's rate, in percent, at which it is tried whether history keeps up.
const SEARCH_PERCENT: [u64; 5] = [90, 80, 70, 60, 50];

/// Has Kafka carry what is measured later, until it is as fast as one that has run for long.
///
/// # Errors
/// When the run fails or is not proved.
pub async fn warm_up_kafka(stack: &Stack, plan: &Plan) -> anyhow::Result<()> {
    let running = RunningSystem::start(stack, plan, "kafka").await?;
    let load = Load {
        seconds: plan.kafka_warm_up_seconds,
        ..running.transfers("before all with Kafka")
    };
    output::run(&load.run(stack, None).await?)?;
    running.both.end().await
}

/// # Errors
/// When a run fails or is not proved.
pub async fn run(stack: &Stack, plan: &Plan) -> anyhow::Result<Everything> {
    let running = RunningSystem::start(stack, plan, "everything").await?;
    let mut closed = running.transfers("everything, closed loop");
    closed.warm_up = plan.everything_warm_up_seconds;
    closed.seconds = plan.everything_seconds;
    let closed = running.load(&closed).await?;
    let kept_up = keeps_up(&closed);
    let (search, rate) = if kept_up {
        (Vec::new(), closed.per_second)
    } else {
        running.search(closed.per_second).await?
    };
    let half = running.open("everything, at 50 %", rate, 50).await?;
    let four_fifths = running.open("everything, at 80 %", rate, 80).await?;
    let hot = Load {
        spread: Spread::Hot,
        seconds: plan.open_loop_seconds / 2,
        ..running.transfers("everything, one hot wallet")
    };
    let hot = running.load(&hot).await?;
    let counted = running
        .load(&counted(running.transfers("everything")))
        .await?;
    running.both.end().await?;
    Ok(Everything {
        closed,
        kept_up,
        search,
        rate,
        half,
        four_fifths,
        hot,
        counted,
    })
}

/// Everything at half the rate, for long. Without a known rate it is looked for first.
///
/// # Errors
/// When a run fails or is not proved.
pub async fn soak(stack: &Stack, plan: &Plan, known: Option<u64>) -> anyhow::Result<Run> {
    let running = RunningSystem::start(stack, plan, "soak").await?;
    let rate = match known {
        Some(rate) => rate,
        None => {
            running
                .load(&running.transfers("before the soak"))
                .await?
                .per_second
        }
    };
    let soak = Load {
        seconds: plan.soak_seconds,
        rate: Some(numbers::percent_of(rate, 50).max(1)),
        ..running.transfers("soak, at 50 %")
    };
    let soak = running.load(&soak).await?;
    running.both.end().await?;
    Ok(soak)
}

/// Whether everything that was answered was in history when the load ended, but for a moment's worth.
fn keeps_up(run: &Run) -> bool {
    run.lag_at_end_us.is_some_and(|lag| lag <= LAG_MAX_US)
        && run.freshness.is_none_or(|seen| seen.not_seen == 0)
}

struct RunningSystem<'a> {
    both: Running<'a>,
    plan: &'a Plan,
}

impl<'a> RunningSystem<'a> {
    async fn start(stack: &'a Stack, plan: &'a Plan, name: &str) -> anyhow::Result<Self> {
        let both = Running::start(stack, name).await?;
        Ok(Self { both, plan })
    }

    fn transfers(&self, label: &str) -> Load {
        Load {
            history_url: Some(self.both.history.url.clone()),
            ..transfers(self.plan, label, &self.both.wallet.url)
        }
    }

    async fn load(&self, load: &Load) -> anyhow::Result<Run> {
        let watched = Watched {
            services: vec![
                ("wallet-service".to_owned(), self.both.wallet.process.pid()),
                (
                    "history-service".to_owned(),
                    self.both.history.process.pid(),
                ),
            ],
            wallet_database: self.both.wallet_database.name.clone(),
            history_database: Some(self.both.history_database.name.clone()),
            ..Watched::default()
        };
        let began = Timestamp::now();
        let mut run = load.run(self.both.stack, Some(watched)).await?;
        let database = &self.both.wallet_database.options;
        run.transfers_per_commit = Some(transfers_per_commit(database, began).await?);
        output::run(&run)?;
        Ok(run)
    }

    async fn open(&self, label: &str, rate: u64, percent: u64) -> anyhow::Result<Run> {
        let load = Load {
            seconds: self.plan.open_loop_seconds,
            rate: Some(numbers::percent_of(rate, percent).max(1)),
            ..self.transfers(label)
        };
        self.load(&load).await
    }

    /// The highest of some open-loop rates at which history keeps up; the lowest of them when it does at none.
    async fn search(&self, closed: u64) -> anyhow::Result<(Vec<Run>, u64)> {
        let mut tried = Vec::new();
        let mut rate = closed;
        for percent in SEARCH_PERCENT {
            rate = numbers::percent_of(closed, percent).max(1);
            let run = self
                .open(
                    &format!("does history keep up at {percent} %?"),
                    closed,
                    percent,
                )
                .await?;
            let found = keeps_up(&run);
            tried.push(run);
            if found {
                break;
            }
        }
        Ok((tried, rate))
    }
}
