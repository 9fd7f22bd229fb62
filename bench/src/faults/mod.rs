//! The fault run: two instances of each service under a steady load, and one fault after the other. After each everything
//! has to be well again by itself, or by an operator's word where a decision is the point; at the end nothing may be lost
//! or doubled, and history has to be complete.
//!
//! - `system`, `instance`: what is broken. `injections`: how. `wait`: nothing is waited for without a deadline.
//! - `load`: careful callers, and what they were told. `following`: readers of streams. `relayed`, `series`: what is watched.
//! - `proof`: what has to be true at the end. `report`, `page`: how it is told.
//!
//! The times are figures of a run. What has to be true whatever the time is in the tests of the services.

pub mod following;
pub mod injections;
pub mod instance;
pub mod load;
pub mod page;
pub mod proof;
pub mod relayed;
pub mod report;
pub mod series;
pub mod system;
pub mod wait;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use clap::Args;
use shared::Timestamp;

use self::{
    following::{Following, Streamed},
    injections::Fault,
    load::{Counts, Load},
    relayed::Relayed,
    report::{Report, Row, cell},
    series::Series,
    system::{DEADLINE, System},
    wait::until,
};
use crate::{
    machine::Machine,
    output,
    stack::{Place, Stack},
};

/// Where the page of a whole run goes.
const PUBLISHED: &str = "docs/performance";
/// The run that the times of the faults are made for.
const FULL_SECONDS: u64 = 600;
/// Money moves for this long before the first fault.
const WARM_UP_SECONDS: u64 = 10;
/// So many of the things that are wrong are told.
const TOLD: usize = 20;

#[derive(Args, Clone, Debug)]
pub struct Faults {
    /// For how long money moves at least. With less than 600 the faults are shorter, and the figures mean little.
    #[arg(long, env = "FAULT_SECONDS", default_value_t = FULL_SECONDS, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: u64,
    /// The faults to try, in their own order; all when none is named.
    #[arg(value_enum)]
    pub faults: Vec<Fault>,
    /// Where the results are kept.
    #[arg(long, default_value = "target/faults", value_name = "FOLDER")]
    pub keep: PathBuf,
    /// What gives a process another time of day: scripts/lib/clock/ahead.c, as a library.
    #[arg(long, env = "CLOCK_LIBRARY")]
    pub clock: PathBuf,
    #[command(flatten)]
    pub place: Place,
}

/// What an injection works with.
pub struct Run {
    system: System,
    load: Load,
    following: Following,
    relayed: Relayed,
    seconds: u64,
    clock: PathBuf,
}

impl Run {
    /// Leaves the fault be for this long; in a short run shorter, but never shorter than it needs to be felt.
    async fn hold(&self, seconds: u64, least: u64) {
        let seconds = seconds * self.seconds.min(FULL_SECONDS) / FULL_SECONDS;
        tokio::time::sleep(Duration::from_secs(seconds.max(least))).await;
    }

    /// Answers to the caller that stays with this instance of wallet-service.
    fn writes(&self, instance: usize) -> &Series {
        &self.load.shared.writes[instance]
    }

    /// Answers to the readers of this instance of history-service.
    fn reads(&self, instance: usize) -> &Series {
        &self.load.shared.reads[instance]
    }

    /// Waits until everything is well, and tells how long that took since the fault was over.
    async fn heal(&self, row: &mut Row, over: Instant) {
        let well = self.system.until_well().await;
        row.measure_from(
            "everything is well, and history has it all",
            over,
            well,
            None,
        );
    }
}

/// The first good moment after another.
pub async fn first_after(series: &Series, moment: Instant) -> anyhow::Result<Instant> {
    until("it goes on", DEADLINE, async || {
        series
            .first_after(moment)
            .ok_or_else(|| "it does not".to_owned())
    })
    .await
}

/// Tries the faults, proves what has to be true then, and writes it down.
///
/// # Errors
/// When it cannot be tried, or something does not hold.
pub async fn run(faults: Faults) -> anyhow::Result<()> {
    let Faults {
        seconds,
        faults: named,
        keep,
        clock,
        place,
    } = faults;
    let load_before = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let started_at = Timestamp::now().to_string();
    let stack = Stack::find(place)?;
    let (machine, postgres) = (Machine::look(&stack.data_disk()), stack.postgres().await?);
    output::line("two instances of each service, and money moves")?;
    let system = System::start(stack).await?;
    let ledger = system.stack.url_of("wallet").parse()?;
    let begun = Instant::now();
    let load = Load::start(&system).await?;
    let mut run = Run {
        following: Following::begin(&system, &load.shared.wallets),
        load,
        relayed: Relayed::watch(ledger),
        system,
        seconds,
        clock,
    };
    run.hold(WARM_UP_SECONDS, WARM_UP_SECONDS).await;
    run.system.until_well().await?;
    let chosen = chosen(&named);
    let rows = try_all(&mut run, &chosen).await?;
    let left = Duration::from_secs(seconds).saturating_sub(begun.elapsed());
    tokio::time::sleep(left).await;
    let mut report = Report {
        started_at,
        finished_at: String::new(),
        seconds,
        whole: seconds >= FULL_SECONDS && rows.len() == Fault::ALL.len(),
        machine,
        postgres,
        load_before: load_before.split(' ').next().unwrap_or_default().to_owned(),
        faults: rows,
        counts: Counts::default(),
        streamed: Streamed::default(),
        failures: Default::default(),
        verify: String::new(),
        wrong: Vec::new(),
    };
    end(run, &mut report).await?;
    report.finished_at = Timestamp::now().to_string();
    tell(&report, &keep)
}

/// In their own order, each once.
fn chosen(named: &[Fault]) -> Vec<Fault> {
    let all = Fault::ALL.into_iter();
    all.filter(|fault| named.is_empty() || named.contains(fault))
        .collect()
}

/// One after the other. One that cannot be injected ends it: what it left behind would be in the way of the next.
async fn try_all(run: &mut Run, faults: &[Fault]) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for fault in faults {
        output::line(&format!("{}:", fault.name()))?;
        let (mut row, goes_on) = match Box::pin(fault.inject(run)).await {
            Ok(row) => (row, true),
            Err(error) => {
                let mut row = Row::new(&fault.name(), "could not be tried to its end");
                row.wrong.push(format!("{error:#}"));
                (row, false)
            }
        };
        row.wrong.iter_mut().for_each(|wrong| *wrong = cell(wrong));
        for line in page::lines(&row) {
            output::line(&line)?;
        }
        rows.push(row);
        if !goes_on {
            break;
        }
    }
    Ok(rows)
}

/// Ends the load, and proves what has to be true.
async fn end(run: Run, report: &mut Report) -> anyhow::Result<()> {
    let Run {
        system,
        load,
        following,
        ..
    } = run;
    let (shared, wrong) = (Arc::clone(&load.shared), &mut report.wrong);
    if let Err(error) = load.finish().await {
        wrong.push(format!("{error:#}"));
    }
    if let Err(error) = system.until_well().await {
        wrong.push(format!("{error:#}"));
    }
    match system.walletctl(&["verify", "--wait", "60"]).await {
        Ok(said) => report.verify = said,
        Err(error) => {
            report.verify = format!("{error:#}");
            wrong.push("walletctl verify is not clean".to_owned());
        }
    }
    let (streamed, odd) = following.finish(&system).await?;
    report.streamed = streamed;
    wrong.extend(odd.into_iter().take(TOLD));
    let acknowledged = shared.record().acknowledged();
    wrong.extend(proof::missing(&system, &acknowledged).await?);
    let record = shared.record();
    wrong.extend(record.faults().iter().take(TOLD).cloned());
    wrong.iter_mut().for_each(|wrong| *wrong = cell(wrong));
    report.counts = record.counts();
    report.failures = record.failures().clone();
    Ok(())
}

fn tell(report: &Report, keep: &Path) -> anyhow::Result<()> {
    for line in report.verify.lines() {
        output::line(line)?;
    }
    for wrong in &report.wrong {
        output::line(&format!("WRONG: {wrong}"))?;
    }
    write(report, keep)?;
    output::line(&format!("results: {}", keep.display()))?;
    if report.whole {
        write(report, Path::new(PUBLISHED))?;
        output::line(&format!("published: {PUBLISHED}/faults.md"))?;
    }
    ensure!(report.holds(), "not all of it holds");
    output::line("everything holds")?;
    Ok(())
}

/// Writes document and page.
///
/// # Errors
/// When the folder cannot be written.
fn write(report: &Report, folder: &Path) -> anyhow::Result<()> {
    let write = |file: &str, text: &str| {
        let path = folder.join(file);
        fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))
    };
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let document = serde_json::to_string_pretty(report)?;
    write("faults.json", &format!("{document}\n"))?;
    write("faults.md", &page::markdown(report)?)
}

/// Makes the page again from a report that was kept.
///
/// # Errors
/// When the file cannot be read, or the folder cannot be written.
pub fn render(report: &Path, folder: &Path) -> anyhow::Result<()> {
    let json = fs::read(report).with_context(|| format!("{} cannot be read", report.display()))?;
    write(&serde_json::from_slice(&json)?, folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_tried_in_their_own_order_and_all_when_none_is_named() {
        assert_eq!(chosen(&[]), Fault::ALL);
        assert_eq!(
            chosen(&[Fault::Rolling, Fault::KilledWallet, Fault::Rolling]),
            [Fault::KilledWallet, Fault::Rolling]
        );
    }
}
