//! `walletctl load` as a child process: the tool that users have makes the figures, and proves each run.

mod document;

use std::{path::PathBuf, time::Duration};

use anyhow::ensure;
use serde::{Deserialize, Serialize};

use self::document::Document;
use crate::{
    costs::{self, Costs, Watch, Watched},
    stack::Stack,
};

/// What each wallet is given, in minor units: no transfer of a run may be refused.
const DEPOSIT: u64 = 100_000_000;
/// Wallets made at the same time.
const SEED_CONCURRENCY: u32 = 64;

/// Which wallets a transfer touches.
#[derive(Clone, Copy, Serialize, Deserialize, PartialEq, Eq, Debug)]
#[serde(rename_all = "snake_case")]
pub enum Spread {
    Uniform,
    Zipf,
    /// One wallet is on one side of every transfer.
    Hot,
}

impl Spread {
    pub const ALL: [Self; 3] = [Self::Uniform, Self::Zipf, Self::Hot];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Zipf => "Zipf",
            Self::Hot => "one hot wallet",
        }
    }

    fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Uniform => &["--hot-account-ratio=0"],
            Self::Zipf => &["--zipf=1.0"],
            Self::Hot => &["--hot-account-ratio=0.0001", "--hot-selection-rate=1"],
        }
    }
}

/// The one operation of a run.
#[derive(Clone, Copy, Serialize, Deserialize, PartialEq, Eq, Debug)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    Transfer,
    Wallet,
    Balance,
    History,
    /// As many of the one as of the other; each is an operation.
    HoldAndCapture,
    /// Transactions of three legs.
    Post,
}

impl Work {
    fn flags(self) -> Vec<String> {
        let weights = [
            ("deposit", false),
            ("withdraw", false),
            ("transfer", self == Self::Transfer),
            ("wallet", self == Self::Wallet),
            ("balance", self == Self::Balance),
            ("history", self == Self::History),
            ("create", false),
            ("hold", self == Self::HoldAndCapture),
            ("capture", self == Self::HoldAndCapture),
            ("post", self == Self::Post),
        ];
        weights
            .map(|(name, used)| format!("--{name}-weight={}", u8::from(used)))
            .to_vec()
    }
}

#[derive(Clone, Debug)]
pub enum Wallets {
    Make(u32),
    /// Ids of wallets that are there, one a line.
    File(PathBuf),
}

/// A run to be made.
#[derive(Clone, Debug)]
pub struct Load {
    pub label: String,
    pub url: String,
    pub history_url: Option<String>,
    pub connections: u32,
    pub seconds: u64,
    pub warm_up: u64,
    /// Arrivals a second; without it each connection sends the next when the last is answered.
    pub rate: Option<u64>,
    pub work: Work,
    pub spread: Spread,
    pub keyed: bool,
    /// A file with the token that is shown.
    pub token: Option<PathBuf>,
    pub batch: Option<u32>,
    pub wallets: Wallets,
    /// Whether there is money to prove: a server that does nothing has none.
    pub provable: bool,
    /// Whether Postgres' statements are counted. Logging them costs a little, so such a run is not told for its rate.
    pub count_statements: bool,
}

/// A run that was made.
#[derive(Clone, Serialize, Deserialize, PartialEq, Eq, Debug)]
pub struct Run {
    pub label: String,
    pub work: Work,
    pub spread: Spread,
    pub connections: u32,
    pub seconds: u64,
    pub keyed: bool,
    pub batch: Option<u32>,
    pub rate_asked: Option<u64>,
    pub per_second: u64,
    pub completed: u64,
    pub refused: u64,
    pub missed: u64,
    /// Answers that were neither good nor a refusal for want of money: conflicts among them.
    pub conflicts: u64,
    pub p50_us: u64,
    pub p99_us: u64,
    pub max_us: u64,
    pub freshness: Option<Freshness>,
    pub first_third: u64,
    pub last_third: u64,
    /// How far history was behind in the last second.
    pub lag_at_end_us: Option<u64>,
    pub proved: bool,
    pub costs: Option<Costs>,
    /// On average; where it was asked for.
    pub transfers_per_commit: Option<u64>,
    /// Operations in each second.
    pub timeline: Vec<u64>,
}

#[derive(Clone, Copy, Serialize, Deserialize, PartialEq, Eq, Debug)]
pub struct Freshness {
    pub samples: u64,
    pub not_seen: u64,
    pub p50_us: u64,
    pub p99_us: u64,
    pub max_us: u64,
}

impl Load {
    fn arguments(&self, report: &str) -> Vec<String> {
        let mut arguments = vec![
            "load".to_owned(),
            format!("--base-url={}", self.url),
            format!("--workers={}", self.connections),
            format!("--duration={}", self.seconds),
            format!("--seed-concurrency={SEED_CONCURRENCY}"),
            "--min-amount=1".to_owned(),
            "--max-amount=100".to_owned(),
            format!("--report-json={report}"),
        ];
        arguments.extend(self.work.flags());
        arguments.extend(self.spread.flags().iter().map(|flag| (*flag).to_owned()));
        match &self.history_url {
            Some(url) => arguments.push(format!("--history-url={url}")),
            None => arguments.push("--without-history".to_owned()),
        }
        match &self.wallets {
            Wallets::Make(count) => {
                arguments.push(format!("--accounts={count}"));
                arguments.push(format!("--initial-deposit={DEPOSIT}"));
            }
            Wallets::File(path) => {
                arguments.push(format!("--wallets-file={}", path.display()));
            }
        }
        if self.warm_up > 0 {
            arguments.push(format!("--warm-up={}", self.warm_up));
        }
        if let Some(rate) = self.rate {
            arguments.push(format!("--rate={rate}"));
        }
        if !self.keyed {
            arguments.push("--keyed=false".to_owned());
        }
        if let Some(batch) = self.batch {
            arguments.push(format!("--batch-size={batch}"));
        }
        arguments
    }

    /// Makes the run, and watches its costs when it is given what to watch.
    ///
    /// # Errors
    /// When the tool fails, an operation fails, or the proof does not hold.
    pub async fn run(&self, stack: &Stack, watched: Option<Watched>) -> anyhow::Result<Run> {
        let path = stack.scratch("load.json");
        // What an earlier run has left must not be taken for this one's.
        drop(std::fs::remove_file(&path));
        let arguments = self.arguments(&path.display().to_string());
        let token = self.token.iter();
        let token = token.map(|file| ("WALLET_TOKEN_FILE", file.display().to_string()));
        let mut tool = stack.spawn("load", "walletctl", arguments, token.collect())?;
        let watch = match watched {
            Some(mut watched) => {
                let group = costs::LOAD.to_owned();
                watched.services.push((group, tool.pid()));
                watched.count_statements = self.count_statements;
                Some(Watch::begin(stack, watched).await?)
            }
            None => None,
        };
        let ended = tool.ended().await?;
        let document = Document::read(&path, self, &tool)?;
        let costs = match (watch, document.measured_from) {
            (Some(watch), Some(from)) => {
                let span = Duration::from_millis(document.duration_ms);
                Some(watch.end(from, span, document.completed).await?)
            }
            _ => None,
        };
        ensure!(
            ended.success() || !self.provable,
            "{}: walletctl load ended with {ended}:\n{}",
            self.label,
            tool.log_end()
        );
        Ok(document.figures(self, costs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn load() -> Load {
        Load {
            label: "test".to_owned(),
            url: "http://127.0.0.1:1".to_owned(),
            history_url: None,
            connections: 8,
            seconds: 3,
            warm_up: 0,
            rate: None,
            work: Work::Transfer,
            spread: Spread::Uniform,
            keyed: true,
            token: None,
            batch: None,
            wallets: Wallets::Make(10),
            provable: true,
            count_statements: false,
        }
    }

    #[test]
    fn a_run_asks_for_its_one_operation_and_nothing_that_it_need_not_say() {
        let arguments = load().arguments("r.json").join(" ");
        assert!(arguments.contains("--transfer-weight=1"), "{arguments}");
        assert!(arguments.contains("--balance-weight=0"), "{arguments}");
        assert!(arguments.contains("--without-history"), "{arguments}");
        for absent in ["--rate", "--batch-size", "--keyed", "--warm-up"] {
            assert!(!arguments.contains(absent), "{arguments}");
        }
    }
}
