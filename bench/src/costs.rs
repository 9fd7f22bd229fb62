//! What a run costs, watched from outside while it runs: CPU by group of processes, WAL, commits and resident memory.
//!
//! A watcher looks twice a second. A run's costs are the difference between two looks within its measured time, so
//! that neither the making of wallets nor the proof is counted.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use shared::Timestamp;
use sqlx::{Connection, PgConnection, Row};
use tokio::{task::JoinHandle, time::interval};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{numbers, proc, stack::Stack, statements::StatementLog};

const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The groups that CPU is told for.
pub const LOAD: &str = "load tool";
const KAFKA: &str = "kafka";
pub const POSTGRES_WALLET: &str = "postgres for wallet";
pub const POSTGRES_HISTORY: &str = "postgres for history";
const POSTGRES_SHARED: &str = "postgres background";

/// Whom to watch.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// Programs of this project, by group.
    pub services: Vec<(String, u32)>,
    pub wallet_database: String,
    pub history_database: Option<String>,
    pub count_statements: bool,
}

impl Watched {
    /// The group of those who work for a database.
    fn group(&self, database: Option<&str>) -> &'static str {
        match database {
            Some(database) if database == self.wallet_database => POSTGRES_WALLET,
            Some(database) if Some(database) == self.history_database.as_deref() => {
                POSTGRES_HISTORY
            }
            _ => POSTGRES_SHARED,
        }
    }
}

/// What one look saw.
#[derive(Clone, Debug)]
struct Look {
    at: Timestamp,
    /// Clock ticks since the watch began, by group.
    ticks: BTreeMap<String, u64>,
    resident: BTreeMap<String, u64>,
    wal_bytes: u64,
    commits: u64,
}

/// A watch that goes on until it is ended or dropped.
pub struct Watch {
    stop: DropGuard,
    task: JoinHandle<anyhow::Result<Vec<Look>>>,
    statements: Option<(StatementLog, Watched)>,
}

/// Costs of one run.
#[derive(Clone, Serialize, Deserialize, PartialEq, Eq, Debug, Default)]
pub struct Costs {
    /// Nanoseconds of CPU for a transfer, by group.
    pub cpu_ns: BTreeMap<String, u64>,
    pub wal_bytes: u64,
    /// Transactions that wrote, relay and history included, for a thousand transfers.
    pub commits_per_thousand: u64,
    /// Statements for a thousand transfers, by group; empty when they were not counted.
    pub statements_per_thousand: BTreeMap<String, u64>,
    pub memory: Vec<Memory>,
}

/// Resident bytes of a service over a run.
#[derive(Clone, Serialize, Deserialize, PartialEq, Eq, Debug)]
pub struct Memory {
    pub service: String,
    pub start: u64,
    pub max: u64,
    pub end: u64,
    /// One value a second.
    pub line: Vec<u64>,
}

impl Costs {
    pub fn cpu_total(&self) -> u64 {
        self.cpu_ns.values().sum()
    }
}

impl Watch {
    /// # Errors
    /// When Postgres does not answer.
    pub async fn begin(stack: &Stack, watched: Watched) -> anyhow::Result<Self> {
        let statements = if watched.count_statements {
            Some((StatementLog::begin(stack)?, watched.clone()))
        } else {
            None
        };
        let watcher = Watcher {
            connection: stack.admin().await?,
            postmaster: stack.postmaster,
            kafka: stack.kafka,
            watched,
            seen: BTreeMap::new(),
            ticks: BTreeMap::new(),
        };
        let stop = CancellationToken::new();
        let task = tokio::spawn(watcher.watch(stop.clone()));
        let stop = stop.drop_guard();
        Ok(Self {
            stop,
            task,
            statements,
        })
    }

    /// Ends the watch; what `transfers` cost that happened from `from` on within `span`.
    ///
    /// # Errors
    /// When the watch failed, or saw too little.
    pub async fn end(
        self,
        from: Timestamp,
        span: Duration,
        transfers: u64,
    ) -> anyhow::Result<Costs> {
        drop(self.stop);
        let looks = self.task.await??;
        let mut costs = costs(&looks, from, span, transfers)
            .context("the run was too short to see its costs")?;
        if let Some((statements, watched)) = self.statements {
            for (database, count) in statements.end(from, span)? {
                let group = watched.group(Some(&database)).to_owned();
                let each = (count * 1_000).checked_div(transfers).unwrap_or_default();
                costs.statements_per_thousand.insert(group, each);
            }
        }
        Ok(costs)
    }
}

struct Watcher {
    connection: PgConnection,
    postmaster: u32,
    kafka: u32,
    watched: Watched,
    /// The last ticks of each process, by id and start.
    seen: BTreeMap<(u32, u64), u64>,
    ticks: BTreeMap<String, u64>,
}

impl Watcher {
    async fn watch(mut self, stop: CancellationToken) -> anyhow::Result<Vec<Look>> {
        let mut looks = Vec::new();
        let mut timer = interval(LOOK_EVERY);
        while stop.run_until_cancelled(timer.tick()).await.is_some() {
            looks.push(self.look(looks.is_empty()).await?);
        }
        looks.push(self.look(false).await?);
        self.connection.close().await?;
        Ok(looks)
    }

    async fn look(&mut self, first: bool) -> anyhow::Result<Look> {
        let mut resident = BTreeMap::new();
        for (group, pid) in self.watched.services.clone() {
            self.count(&group, pid, proc::stat(pid), first);
            if let Some(bytes) = proc::resident(pid) {
                resident.insert(group, bytes);
            }
        }
        self.count(KAFKA, self.kafka, proc::stat(self.kafka), first);
        for (pid, stat) in proc::children(self.postmaster) {
            let title = proc::title(pid).unwrap_or_default();
            let group = self.watched.group(proc::database_of(&title));
            self.count(group, pid, Some(stat), first);
        }
        // The ids of transactions count those that write. The statistics of the databases would count readers too, and
        // tell up to ten seconds late: the proof of one run would be found in the next.
        let row = sqlx::query(
            "select (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint as wal_bytes,
                    pg_snapshot_xmax(pg_current_snapshot())::text::bigint as commits",
        )
        .fetch_one(&mut self.connection)
        .await?;
        let counter = |value: Option<i64>| u64::try_from(value.unwrap_or_default());
        Ok(Look {
            at: Timestamp::now(),
            ticks: self.ticks.clone(),
            resident,
            wal_bytes: counter(row.try_get("wal_bytes")?)?,
            commits: counter(row.try_get("commits")?)?,
        })
    }

    /// Adds what a process has used since the last look. One that is new since then has used all of it since then.
    fn count(&mut self, group: &str, pid: u32, stat: Option<proc::Stat>, first: bool) {
        let Some(stat) = stat else { return };
        let before = self.seen.insert((pid, stat.started), stat.ticks);
        let before = before.unwrap_or(if first { stat.ticks } else { 0 });
        *self.ticks.entry(group.to_owned()).or_default() += stat.ticks.saturating_sub(before);
    }
}

/// The costs between the first and the last look within the time.
fn costs(looks: &[Look], from: Timestamp, span: Duration, transfers: u64) -> Option<Costs> {
    let until = from.micros() + i64::try_from(span.as_micros()).ok()?;
    let within: Vec<&Look> = looks
        .iter()
        .filter(|look| (from.micros()..=until).contains(&look.at.micros()))
        .collect();
    let (first, last) = (within.first()?, within.last()?);
    let seen = u64::try_from(last.at.micros() - first.at.micros()).ok()?;
    if seen == 0 {
        return None;
    }
    let span = u64::try_from(span.as_micros()).ok()?.max(1);
    // Transfers are told for the whole span; the looks lie within it.
    let transfers =
        u64::try_from(u128::from(transfers) * u128::from(seen) / u128::from(span)).ok()?;
    let ticks_per_second = procfs::ticks_per_second();
    let cpu = last.ticks.iter().map(|(group, ticks)| {
        let before = first.ticks.get(group).copied().unwrap_or_default();
        let used = ticks.saturating_sub(before);
        (
            group.clone(),
            numbers::nanos_each(used, ticks_per_second, transfers),
        )
    });
    let each = |count: u64| count.checked_div(transfers).unwrap_or_default();
    Some(Costs {
        cpu_ns: cpu.collect(),
        wal_bytes: each(last.wal_bytes.saturating_sub(first.wal_bytes)),
        commits_per_thousand: each(last.commits.saturating_sub(first.commits) * 1_000),
        statements_per_thousand: BTreeMap::new(),
        memory: memory(&within),
    })
}

fn memory(looks: &[&Look]) -> Vec<Memory> {
    let services = looks
        .last()
        .map(|look| look.resident.keys().cloned().collect::<Vec<_>>());
    let services = services.unwrap_or_default();
    let lines = services.into_iter().map(|service| {
        let all: Vec<u64> = looks
            .iter()
            .filter_map(|look| look.resident.get(&service).copied())
            .collect();
        Memory {
            start: all.first().copied().unwrap_or_default(),
            max: all.iter().copied().max().unwrap_or_default(),
            end: all.last().copied().unwrap_or_default(),
            line: all.iter().copied().step_by(2).collect(),
            service,
        }
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(second: i64, ticks: u64, resident: u64) -> Look {
        let at = chrono::DateTime::from_timestamp(second, 0).unwrap();
        Look {
            at: Timestamp::from(at),
            ticks: BTreeMap::from([("kafka".to_owned(), ticks)]),
            resident: BTreeMap::from([("wallet-service".to_owned(), resident)]),
            wal_bytes: ticks * 1_000,
            commits: ticks,
        }
    }

    #[test]
    fn costs_are_those_of_the_measured_time_alone() {
        let looks = [
            look(0, 0, 1),
            look(10, 100, 50),
            look(15, 150, 80),
            look(20, 200, 60),
            look(30, 900, 99),
        ];
        let span = Duration::from_secs(10);
        let costs = costs(&looks, looks[1].at, span, 1_000).unwrap();
        let ticks_per_second = procfs::ticks_per_second();
        assert_eq!(
            costs.cpu_ns["kafka"],
            100 * 1_000_000_000 / ticks_per_second / 1_000
        );
        assert_eq!(costs.wal_bytes, 100);
        assert_eq!(costs.commits_per_thousand, 100);
        let memory = &costs.memory[0];
        assert_eq!((memory.start, memory.max, memory.end), (50, 80, 60));
    }

    #[test]
    fn one_look_is_no_measurement() {
        let looks = [look(0, 0, 1)];
        assert_eq!(costs(&looks, looks[0].at, Duration::from_secs(1), 10), None);
    }
}
