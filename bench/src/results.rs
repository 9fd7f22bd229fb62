//! Everything that a run of the benchmark found. It is the JSON file, and what page, charts and targets are made from.

use std::collections::BTreeMap;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::{
    closed_loop::Measured,
    load::{Run, Spread},
    machine::Machine,
    numbers,
    plan::Plan,
    stack::Postgres,
};

/// What can be chosen by name.
#[derive(Clone, Copy, ValueEnum, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    Floors,
    Baseline,
    Wallet,
    TwoInstances,
    Commands,
    Everything,
    Guarded,
    Reads,
    Storage,
    Streams,
    Soak,
}

impl Stage {
    pub const ALL: [Self; 11] = [
        Self::Floors,
        Self::Baseline,
        Self::Wallet,
        Self::TwoInstances,
        Self::Commands,
        Self::Everything,
        Self::Guarded,
        Self::Reads,
        Self::Storage,
        Self::Streams,
        Self::Soak,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Floors => "floors",
            Self::Baseline => "baseline",
            Self::Wallet => "wallet",
            Self::TwoInstances => "two-instances",
            Self::Commands => "commands",
            Self::Everything => "everything",
            Self::Guarded => "guarded",
            Self::Reads => "reads",
            Self::Storage => "storage",
            Self::Streams => "streams",
            Self::Soak => "soak",
        }
    }
}

#[derive(Clone, Serialize, Deserialize, Debug)]
pub struct Results {
    pub started_at: String,
    pub finished_at: Option<String>,
    /// Whether the figures may be told to others.
    pub publishable: bool,
    pub machine: Machine,
    pub postgres: Postgres,
    pub plan: Plan,
    pub floors: Option<Floors>,
    /// The set-based floor, each time it was measured, by the stage that it was measured beside.
    pub set_floor: BTreeMap<Stage, Vec<SetFloorRate>>,
    pub baseline: Option<Baseline>,
    pub wallet: Option<Wallet>,
    #[serde(default)]
    pub two_instances: Option<TwoInstances>,
    #[serde(default)]
    pub commands: Option<Commands>,
    pub everything: Option<Everything>,
    #[serde(default)]
    pub guarded: Option<Guarded>,
    pub reads: Option<Reads>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streams: Option<Streams>,
    pub soak: Option<Run>,
    /// What went wrong, by stage.
    pub failures: BTreeMap<Stage, String>,
}

/// Transfers a second.
#[derive(Clone, Copy, Serialize, Deserialize, Debug)]
pub struct SetFloorRate {
    /// Of a program that makes the rows and writes them.
    pub per_second: u64,
    /// As if the rows were there already: the time of the statements alone.
    pub statements_per_second: u64,
}

#[derive(Clone, Serialize, Deserialize, Debug)]
pub struct Floors {
    pub fdatasync_per_second: u64,
    pub commits: Vec<Measured>,
    /// Requests that are read and answered without doing anything.
    pub http: Vec<Run>,
}

#[derive(Clone, Serialize, Deserialize, Debug)]
pub struct Baseline {
    /// Straight on Postgres, uniform, by connections.
    pub direct: Vec<Measured>,
    pub direct_hot: Measured,
    /// The pool with which it was best behind HTTP, of those that were tried.
    pub pool: u32,
    pub pools_tried: Vec<(u32, u64)>,
    /// Behind HTTP with that pool, by connections.
    pub http: Vec<Run>,
    pub http_hot: Run,
}

#[derive(Clone, Serialize, Deserialize, Debug)]
pub struct Wallet {
    /// By spread and connections.
    pub runs: Vec<Run>,
    /// The smallest commit, right before and right after the runs with one connection.
    pub commits: Vec<Measured>,
    /// With an `Idempotency-Key` in every request.
    pub keyed: Run,
    /// Through `POST /transactions/batch`.
    pub batched: Run,
    /// With statements counted.
    pub counted: Run,
}

/// One load on one instance, and on two that share a database.
#[derive(Clone, Serialize, Deserialize, Debug)]
pub struct TwoInstances {
    pub runs: Vec<Shared>,
}

#[derive(Clone, Serialize, Deserialize, PartialEq, Eq, Debug)]
pub struct Shared {
    pub spread: Spread,
    pub instances: u32,
    pub callers: u32,
    pub per_second: u64,
    pub p50_us: u64,
    pub p99_us: u64,
    /// What the caller got done that got the least done, and the one that got the most.
    pub least: u64,
    pub most: u64,
}

impl TwoInstances {
    pub fn of(&self, spread: Spread, instances: u32) -> Option<&Shared> {
        let is_asked = |run: &&Shared| run.spread == spread && run.instances == instances;
        self.runs.iter().find(is_asked)
    }
}

/// Other commands beside transfers, in turns.
#[derive(Clone, Serialize, Deserialize, Debug)]
pub struct Commands {
    pub transfers: Run,
    /// Holds and captures of all of them, each one counted.
    pub holds: Run,
    /// Transfers between wallets that are limited by five windows.
    pub limited: Run,
    /// Transactions of three legs.
    pub legs: Run,
}

#[derive(Clone, Serialize, Deserialize, Debug)]
pub struct Everything {
    pub closed: Run,
    /// Whether history kept up with the closed loop.
    pub kept_up: bool,
    /// Open loops that looked for the rate at which it does.
    pub search: Vec<Run>,
    /// What everything together can carry.
    pub rate: u64,
    pub half: Run,
    pub four_fifths: Run,
    pub hot: Run,
    /// The closed loop once more, shorter and with statements counted.
    pub counted: Run,
}

/// What it costs to tell callers apart and to log each request, and what everything carries with both.
#[derive(Clone, Serialize, Deserialize, Debug)]
pub struct Guarded {
    /// The wallet path: open and without a line per request.
    pub silent: Run,
    /// With a line per request.
    pub logged: Run,
    /// With that, and a token in every request.
    pub guarded: Run,
    /// Relay, Kafka and history too, with tokens, keys and lines.
    pub everything: Run,
    /// The same from the most connections of the plan.
    pub crowded: Run,
}

#[derive(Clone, Serialize, Deserialize, Debug)]
pub struct Reads {
    pub small_wallets: u32,
    pub big_wallets: u32,
    pub events_per_wallet: u32,
    pub seeding_seconds: u64,
    pub small: Vec<Run>,
    pub big: Vec<Run>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_scale: Option<AtScale>,
}

/// Where people look, on the large history.
#[derive(Clone, Serialize, Deserialize, Debug)]
pub struct AtScale {
    pub events: u64,
    pub wallets_of_one: u32,
    pub reads: Vec<ScaleRead>,
    pub statement: LongStatement,
    pub pairs: Pairs,
}

#[derive(Clone, Serialize, Deserialize, Debug)]
pub struct ScaleRead {
    pub what: String,
    pub measured: Measured,
}

/// A statement as text.
#[derive(Clone, Serialize, Deserialize, Debug)]
pub struct LongStatement {
    pub lines: u64,
    pub bytes: u64,
    pub took_ms: u64,
    /// Memory of history-service before it was asked, and the most while it was.
    pub resident_before: u64,
    pub resident_most: u64,
}

/// Writes that were read again at once, under load.
#[derive(Clone, Serialize, Deserialize, Debug)]
pub struct Pairs {
    pub pairs: u64,
    pub stale: u64,
    pub behind: u64,
    pub p50_us: u64,
    pub p99_us: u64,
}

/// What transfers leave on disk, and what an archive takes away.
#[derive(Clone, Serialize, Deserialize, Debug)]
pub struct Storage {
    pub wallets: u64,
    /// By what callers send with a transfer.
    pub footprints: Vec<Footprint>,
    pub archive: ArchiveCosts,
}

#[derive(Clone, Serialize, Deserialize, Debug)]
pub struct Footprint {
    pub what: String,
    pub transfers: u64,
    pub tables: Vec<Grown>,
    pub kafka_bytes: u64,
}

/// By how much a table is larger than before.
#[derive(Clone, Serialize, Deserialize, PartialEq, Eq, Debug)]
pub struct Grown {
    pub database: String,
    pub table: String,
    pub row_bytes: u64,
    pub index_bytes: u64,
}

impl Grown {
    pub const fn bytes(&self) -> u64 {
        self.row_bytes + self.index_bytes
    }
}

/// Bytes of each transfer, in one table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Each {
    pub row_bytes: u64,
    pub index_bytes: u64,
}

impl Each {
    pub const fn bytes(self) -> u64 {
        self.row_bytes + self.index_bytes
    }
}

impl Footprint {
    pub fn of_each(&self, database: &str, table: &str) -> Each {
        let transfers = self.transfers.max(1);
        let mut tables = self.tables.iter();
        let grown = tables.find(|grown| grown.database == database && grown.table == table);
        Each {
            row_bytes: grown.map_or(0, |grown| grown.row_bytes) / transfers,
            index_bytes: grown.map_or(0, |grown| grown.index_bytes) / transfers,
        }
    }

    /// Of each transfer, in Kafka.
    pub fn in_kafka(&self) -> u64 {
        self.kafka_bytes / self.transfers.max(1)
    }

    /// Of each transfer, everywhere.
    pub fn bytes_of_each(&self) -> u64 {
        let grown: u64 = self.tables.iter().map(Grown::bytes).sum();
        grown / self.transfers.max(1) + self.in_kafka()
    }
}

/// Events that were moved away and brought back. Tables are with their indexes.
#[derive(Clone, Serialize, Deserialize, Debug)]
pub struct ArchiveCosts {
    pub wallets: u64,
    pub events: u64,
    pub took_ms: u64,
    pub restored_ms: u64,
    pub file_bytes: u64,
    /// What stays in the database of what was moved.
    pub base_bytes: u64,
    pub table_bytes_before: u64,
    pub table_bytes_after: u64,
    /// Transfers that came then.
    pub transfers_after: u64,
    pub table_bytes_refilled: u64,
}

/// Everything running, with readers of streams and without.
#[derive(Clone, Serialize, Deserialize, Debug)]
pub struct Streams {
    pub streams: u32,
    /// Events that all readers together were told.
    pub told: u64,
    pub without: Run,
    pub with: Run,
}

impl Results {
    /// The median of one of the set-based floor's rates.
    pub fn floor_of(&self, which: fn(&SetFloorRate) -> u64) -> Option<u64> {
        let rates: Vec<u64> = self.set_floor.values().flatten().map(which).collect();
        numbers::median(&rates)
    }

    /// The set-based floor right before and right after a stage, on average.
    pub fn floor_beside(&self, stage: Stage) -> Option<u64> {
        let rates = self.set_floor.get(&stage)?.iter();
        numbers::mean(&rates.map(|rate| rate.per_second).collect::<Vec<_>>())
    }

    /// Ours on the wallet path.
    pub fn ours(&self, spread: Spread, connections: u32) -> Option<&Run> {
        let wallet = self.wallet.as_ref()?;
        find(&wallet.runs, connections, |run| run.spread == spread)
    }

    /// The baseline behind HTTP.
    pub fn theirs(&self, connections: u32) -> Option<&Run> {
        find(&self.baseline.as_ref()?.http, connections, |_| true)
    }
}

fn find(runs: &[Run], connections: u32, which: impl Fn(&Run) -> bool) -> Option<&Run> {
    runs.iter()
        .find(|run| run.connections == connections && which(run))
}
