//! Statements that Postgres carries out, counted in its own log: without an extension it has no counter of them.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};
use shared::Timestamp;

use crate::stack::Stack;

/// Every statement, without the values it is given.
const SETTINGS: &str = "
log_min_duration_statement = 0
log_parameter_max_length = 0
";

/// Postgres logs its statements until this is dropped.
pub struct StatementLog {
    settings: PathBuf,
    /// The settings as they were.
    before: String,
    postmaster: u32,
    log: PathBuf,
    /// Where the log ended when the statements began.
    offset: u64,
}

impl StatementLog {
    /// # Errors
    /// When Postgres' settings cannot be changed.
    pub fn begin(stack: &Stack) -> anyhow::Result<Self> {
        let settings = stack.data_disk().join("data/postgresql.conf");
        let before = fs::read_to_string(&settings)
            .with_context(|| format!("{} cannot be read", settings.display()))?;
        let log = stack.log("postgres");
        let offset = fs::metadata(&log)?.len();
        let logged = Self {
            settings,
            before,
            postmaster: stack.postmaster,
            log,
            offset,
        };
        logged.set(&format!("{}{SETTINGS}", logged.before))?;
        Ok(logged)
    }

    /// How many statements each database has carried out from `from` on within `span`.
    ///
    /// # Errors
    /// When the log cannot be read, or tells of no statement.
    pub fn end(self, from: Timestamp, span: Duration) -> anyhow::Result<BTreeMap<String, u64>> {
        let mut log = File::open(&self.log)?;
        log.seek(SeekFrom::Start(self.offset))?;
        let mut lines = Vec::new();
        log.read_to_end(&mut lines)?;
        let counts = count(&String::from_utf8_lossy(&lines), from, span);
        ensure!(!counts.is_empty(), "Postgres has logged no statement");
        Ok(counts)
    }

    fn set(&self, settings: &str) -> anyhow::Result<()> {
        fs::write(&self.settings, settings)
            .with_context(|| format!("{} cannot be written", self.settings.display()))?;
        let postmaster = i32::try_from(self.postmaster).ok().and_then(Pid::from_raw);
        Ok(kill_process(
            postmaster.context("no process id")?,
            Signal::HUP,
        )?)
    }
}

impl Drop for StatementLog {
    fn drop(&mut self) {
        if let Err(error) = self.set(&self.before) {
            tracing::warn!(%error, "Postgres goes on logging its statements");
        }
    }
}

/// Statements by database. A line begins `2026-01-31 23:59:59.123 UTC [PID] USER@DATABASE LOG:  duration: 0.1 ms` (the
/// stack's `log_line_prefix`); parsing and binding a statement have lines of their own, which do not count.
fn count(log: &str, from: Timestamp, span: Duration) -> BTreeMap<String, u64> {
    let until = from.utc() + span;
    let within = |line: &str| {
        let moment = line.get(..23)?;
        let moment = chrono::NaiveDateTime::parse_from_str(moment, "%F %T%.3f").ok()?;
        Some((from.utc()..until).contains(&moment.and_utc()))
    };
    let mut counts = BTreeMap::new();
    for line in log.lines() {
        let Some((prefix, event)) = line.split_once(" LOG:  duration: ") else {
            continue;
        };
        let carried_out = event.contains(" ms  execute ") || event.contains(" ms  statement: ");
        let Some((_, database)) = prefix.rsplit_once('@') else {
            continue;
        };
        if carried_out && within(line) == Some(true) {
            *counts.entry(database.to_owned()).or_default() += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_counted_by_database_within_the_measured_time() {
        let log = "\
2026-01-31 23:59:58.999 UTC [7] w@wallet LOG:  duration: 0.200 ms  execute sqlx_s_1: select too early
2026-01-31 23:59:59.000 UTC [7] w@wallet LOG:  duration: 0.010 ms  bind sqlx_s_1: with guard as (
\tupdate wallets ms  execute in the text of a statement
2026-01-31 23:59:59.000 UTC [7] w@wallet LOG:  duration: 0.200 ms  execute sqlx_s_1: with guard as (
2026-01-31 23:59:59.500 UTC [7] w@wallet LOG:  duration: 0.200 ms  statement: COMMIT
2026-01-31 23:59:59.999 UTC [8] w@history LOG:  duration: 1.200 ms  execute <unnamed>: insert
2026-02-01 00:00:00.000 UTC [7] w@wallet LOG:  duration: 0.200 ms  execute sqlx_s_1: select too late
2026-01-31 23:59:59.100 UTC [9] LOG:  checkpoint starting: time
";
        let from: Timestamp = "2026-01-31T23:59:59Z".parse().unwrap();
        let counts = count(log, from, Duration::from_secs(1));
        let expected = [("history".to_owned(), 1), ("wallet".to_owned(), 2)];
        assert_eq!(counts, BTreeMap::from(expected));
    }
}
