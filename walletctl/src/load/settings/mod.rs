//! The flags of `walletctl load`. Each is also an environment variable: `LOAD_` and the flag's name in upper snake case.
//!
//! A value that cannot be used stops the run before anything is sent, and is named.

pub(crate) mod values;
mod weights;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{ArgAction, Args};
use reqwest::Url;
use shared::{Currency, server::settings::service_url};

pub use self::weights::Weights;
use crate::cli::argument::{currency, number};
use crate::load::{
    operation::Kind,
    settings::values::{Exponent, Share, Wallets},
};

#[derive(Args, Clone, Debug)]
pub struct Load {
    /// Seconds of load, without what comes before and after.
    #[arg(long, env = "LOAD_DURATION", default_value_t = 60, value_parser = number::<u64>(1..=604_800))]
    pub duration: u64,
    /// Seconds of load before that, which count for the proof and for nothing else.
    #[arg(long, env = "LOAD_WARM_UP", default_value_t = 0, value_name = "SECONDS", value_parser = number::<u64>(0..=86_400))]
    pub warm_up: u64,
    /// Requests in flight at most, each on a connection of its own.
    #[arg(long, env = "LOAD_WORKERS", default_value_t = 20, value_parser = number::<u16>(1..=4_096))]
    pub workers: u16,
    /// Wallets that are made before the load begins, and share it.
    #[arg(long, env = "LOAD_ACCOUNTS", default_value_t = 100, value_parser = number::<u32>(1..=1_000_000))]
    pub accounts: u32,
    /// Use these wallets, one id in each line, instead of making any. Nothing else may move them meanwhile.
    #[arg(long, env = "LOAD_WALLETS_FILE", value_name = "FILE", value_parser = Wallets::read,
          conflicts_with_all = ["accounts", "initial_deposit"])]
    pub wallets_file: Option<Wallets>,
    /// How many of them are made, or read, at the same time.
    #[arg(long, env = "LOAD_SEED_CONCURRENCY", default_value_t = 10, value_parser = number::<u16>(1..=1_000))]
    pub seed_concurrency: u16,
    /// What each of them is given first, in minor units.
    #[arg(long, env = "LOAD_INITIAL_DEPOSIT", default_value_t = 10_000, value_parser = number::<i64>(0..=1_000_000_000_000))]
    pub initial_deposit: i64,
    /// The smallest amount that is moved, in minor units.
    #[arg(long, env = "LOAD_MIN_AMOUNT", default_value_t = 100, value_parser = number::<i64>(1..=1_000_000_000))]
    pub min_amount: i64,
    /// The largest amount that is moved, in minor units.
    #[arg(long, env = "LOAD_MAX_AMOUNT", default_value_t = 1_500, value_parser = number::<i64>(1..=1_000_000_000))]
    pub max_amount: i64,
    /// Where wallet-service listens; without it --wallet-url.
    #[arg(long, env = "LOAD_BASE_URL", value_parser = service_url)]
    pub base_url: Option<Url>,
    /// The share of the wallets that are hot.
    #[arg(
        long,
        env = "LOAD_HOT_ACCOUNT_RATIO",
        default_value = "0.1",
        value_name = "SHARE"
    )]
    pub hot_account_ratio: Share,
    /// The share of the operations that go to a hot wallet.
    #[arg(
        long,
        env = "LOAD_HOT_SELECTION_RATE",
        default_value = "0.8",
        value_name = "SHARE"
    )]
    pub hot_selection_rate: Share,
    /// Choose wallets by Zipf's law with this exponent instead: the first most often.
    #[arg(long, env = "LOAD_ZIPF", value_name = "EXPONENT", conflicts_with_all = ["hot_account_ratio", "hot_selection_rate"])]
    pub zipf: Option<Exponent>,
    #[command(flatten)]
    pub weights: Weights,
    /// There is no history-service: it is not waited for, not measured, and not part of the proof.
    #[arg(long, env = "LOAD_WITHOUT_HISTORY")]
    pub without_history: bool,
    /// Whether commands have an Idempotency-Key. Without one, an answer that was lost cannot be asked for again.
    #[arg(long, env = "LOAD_KEYED", default_value_t = true, default_missing_value = "true", num_args = 0..=1,
          require_equals = true, action = ArgAction::Set)]
    pub keyed: bool,
    /// Commands that go together in one request to /transactions/batch; 1 sends each on its own.
    #[arg(long, env = "LOAD_BATCH_SIZE", default_value_t = 1, value_name = "N", value_parser = number::<u16>(1..=1_000))]
    pub batch_size: u16,
    /// The currency of the wallets, an ISO 4217 code; without it the service's default.
    #[arg(long, env = "LOAD_CURRENCY", value_parser = currency)]
    pub currency: Option<Currency>,
    /// Entries that a reading of history asks for.
    #[arg(long, env = "LOAD_HISTORY_LIMIT", default_value_t = 20, value_parser = number::<u16>(1..=200))]
    pub history_limit: u16,
    /// How often the services are asked whether they are ready, before the run is given up.
    #[arg(long, env = "LOAD_HEALTH_RETRIES", default_value_t = 10, value_parser = number::<u32>(1..=10_000))]
    pub health_retries: u32,
    /// Milliseconds between two of these questions.
    #[arg(long, env = "LOAD_HEALTH_RETRY_DELAY_MS", default_value_t = 1_500, value_parser = number::<u64>(0..=600_000))]
    pub health_retry_delay_ms: u64,
    /// Operations that arrive in a second, whatever the answers take; without it each worker sends the next one when
    /// the one before it is answered.
    #[arg(long, env = "LOAD_RATE", value_parser = number::<u32>(1..=1_000_000))]
    pub rate: Option<u32>,
    /// Chooses the operations: the same seed chooses the same ones. Without it one is drawn and reported.
    #[arg(long, env = "LOAD_SEED", value_parser = number::<u64>(0..=u64::MAX))]
    pub seed: Option<u64>,
    /// Whether an operation that fails, other than by a refusal that was to be expected, ends the run with code 1. A proof
    /// that does not hold always does.
    #[arg(long, env = "LOAD_FAIL_ON_UNEXPECTED", default_value_t = true, default_missing_value = "true", num_args = 0..=1,
          require_equals = true, action = ArgAction::Set)]
    pub fail_on_unexpected: bool,
    /// Also write the report into this file, for programs.
    #[arg(long, env = "LOAD_REPORT_JSON", value_name = "FILE")]
    pub report_json: Option<PathBuf>,
    /// Also write the report into this file, one page with charts.
    #[arg(long, env = "LOAD_REPORT_HTML", value_name = "FILE")]
    pub report_html: Option<PathBuf>,
}

impl Load {
    /// What is wrong between two flags that are right on their own.
    pub fn conflict(&self) -> Option<String> {
        if self.min_amount > self.max_amount {
            return Some(format!(
                "--min-amount {} is more than --max-amount {}",
                self.min_amount, self.max_amount
            ));
        }
        if self.weights.total() == 0 {
            return Some(
                "with every --…-weight at 0, such as --deposit-weight, nothing is left to do"
                    .to_owned(),
            );
        }
        let needs_two = |kind: &&Kind| kind.names_two() && self.weights.of(**kind) > 0;
        let needing = Kind::ALL.iter().find(needs_two);
        if let Some(kind) = needing.filter(|_| self.wallets() < 2) {
            let name = kind.name();
            return Some(format!(
                "a {name} needs two wallets: --accounts 2 or two in --wallets-file, or --{name}-weight 0"
            ));
        }
        if self.without_history && self.weights.history > 0 {
            return Some(format!(
                "--without-history needs --history-weight 0, not {}",
                self.weights.history
            ));
        }
        self.unwritable_report()
    }

    /// Said before the load and not after it.
    fn unwritable_report(&self) -> Option<String> {
        let reports = [
            ("--report-json", &self.report_json),
            ("--report-html", &self.report_html),
        ];
        reports.into_iter().find_map(|(flag, path)| {
            let path = path.as_ref()?;
            let shown = path.display();
            if path.is_dir() {
                return Some(format!(
                    "{flag} {shown}: this is a folder, and a file is meant"
                ));
            }
            // Of a name alone it is this folder, by an empty path.
            let folder = Path::new(".").join(path.parent()?);
            (!folder.is_dir()).then(|| {
                format!(
                    "{flag} {shown}: there is no folder {}",
                    path.with_file_name("").display()
                )
            })
        })
    }

    /// How many wallets share the load.
    pub(crate) fn wallets(&self) -> usize {
        let given = self
            .wallets_file
            .as_ref()
            .map(|wallets| wallets.ids().len());
        given.unwrap_or(self.accounts as usize)
    }

    pub(crate) const fn warm_up(&self) -> Duration {
        Duration::from_secs(self.warm_up)
    }

    pub(crate) const fn span(&self) -> Duration {
        Duration::from_secs(self.duration)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser, Debug)]
    struct Flags {
        #[command(flatten)]
        load: Load,
    }

    fn flags(arguments: &[&str]) -> Result<Load, clap::Error> {
        let words = std::iter::once("load").chain(arguments.iter().copied());
        Flags::try_parse_from(words).map(|flags| flags.load)
    }

    #[test]
    fn a_bad_value_names_the_flag() {
        for (flag, value) in [
            ("--duration", "0"),
            ("--workers", "many"),
            ("--accounts", "-1"),
            ("--hot-account-ratio", "1.1"),
            ("--hot-selection-rate", "1e-1"),
            ("--deposit-weight", "0.5"),
            ("--base-url", "localhost:3000"),
            ("--currency", "usd"),
            ("--history-limit", "201"),
            ("--rate", "0"),
            ("--fail-on-unexpected", "perhaps"),
            ("--batch-size", "0"),
            ("--batch-size", "1001"),
            ("--zipf", "-1"),
            ("--keyed", "maybe"),
            ("--warm-up", "-1"),
            ("--wallet-weight", "some"),
            ("--wallets-file", "/nowhere/wallets"),
        ] {
            let error = flags(&[&format!("{flag}={value}")]).unwrap_err();
            assert!(error.to_string().contains(flag), "{flag} {value}: {error}");
        }
    }

    #[test]
    fn values_that_do_not_fit_together_are_named() {
        for (arguments, named) in [
            (&["--min-amount=2", "--max-amount=1"][..], "--min-amount"),
            (&["--accounts=1"], "--accounts"),
            (&["--without-history"], "--history-weight"),
            (&["--report-json=/nowhere/report"], "--report-json"),
            (&["--report-html=/"], "--report-html"),
            (
                &[
                    "--deposit-weight=0",
                    "--withdraw-weight=0",
                    "--transfer-weight=0",
                    "--balance-weight=0",
                    "--history-weight=0",
                    "--create-weight=0",
                ],
                "--deposit-weight",
            ),
        ] {
            let said = flags(arguments).unwrap().conflict().unwrap();
            assert!(said.contains(named), "{said}");
        }
        assert_eq!(flags(&[]).unwrap().conflict(), None);
        let alone = flags(&["--without-history", "--history-weight=0"]).unwrap();
        assert_eq!(alone.conflict(), None);
    }

    #[test]
    fn flags_that_choose_the_same_thing_are_named_together() {
        let file = std::env::temp_dir().join(format!("wallets-{}", std::process::id()));
        std::fs::write(&file, "01990000-0000-7000-8000-00000000000a\n").unwrap();
        let wallets = format!("--wallets-file={}", file.display());
        for (one, other) in [
            ("--zipf=1.0", "--hot-account-ratio=0.1"),
            ("--zipf=1.0", "--hot-selection-rate=0.8"),
            (wallets.as_str(), "--accounts=100"),
            (&wallets, "--initial-deposit=0"),
        ] {
            let said = flags(&[one, other]).unwrap_err().to_string();
            for flag in [one, other] {
                assert!(said.contains(flag.split('=').next().unwrap()), "{said}");
            }
        }
        assert_eq!(flags(&[&wallets]).unwrap().wallets(), 1);
        std::fs::remove_file(&file).unwrap();
    }
}
