//! What a run found: for each fault what was measured, how long it took and how long it may take.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::{following::Streamed, load::Counts};
use crate::{machine::Machine, stack::Postgres};

/// Writes go on within this time.
pub const WRITES_RESUME: Duration = Duration::from_secs(5);
/// Events are sent again within this time, by whichever instance.
pub const RELAY_RESUMES: Duration = Duration::from_secs(15);
/// What others wait for beside a locked wallet, 99 of 100.
pub const OTHERS_P99: Duration = Duration::from_millis(100);
/// Callers of the locked one have their answer within this time.
pub const LOCKED_ANSWERED: Duration = Duration::from_secs(3);

#[derive(Clone, Serialize, Deserialize, Debug)]
pub struct Report {
    pub started_at: String,
    pub finished_at: String,
    /// For how long money moved at least.
    pub seconds: u64,
    /// Whether every fault was tried, for as long as they are meant to be.
    pub whole: bool,
    pub machine: Machine,
    pub postgres: Postgres,
    /// Of one minute, before anything of the run ran: what else the machine did.
    pub load_before: String,
    pub faults: Vec<Row>,
    pub counts: Counts,
    /// What readers of streams were told.
    #[serde(default)]
    pub streamed: Streamed,
    /// What callers got instead of definite answers, and how often.
    pub failures: BTreeMap<String, u64>,
    /// What `walletctl verify` said.
    pub verify: String,
    /// What must not be: lost, doubled, not well again, told wrongly.
    pub wrong: Vec<String>,
}

/// A fault, and what was measured while it was there and after it.
#[derive(Clone, Serialize, Deserialize, Debug)]
pub struct Row {
    pub name: String,
    /// What was done.
    pub what: String,
    pub measured: Vec<Measured>,
    /// An operator's word that it took, as it was given.
    pub operator: Option<String>,
    /// What must not be.
    pub wrong: Vec<String>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct Measured {
    pub what: String,
    pub took_ms: u64,
    /// Without it there is nothing to hold it against.
    pub allowed_ms: Option<u64>,
}

impl Measured {
    pub fn holds(&self) -> bool {
        self.allowed_ms
            .is_none_or(|allowed| self.took_ms <= allowed)
    }

    pub fn took(&self) -> String {
        time(self.took_ms)
    }

    pub fn allowed(&self) -> String {
        let allowed = self
            .allowed_ms
            .map(|allowed| format!("≤ {}", time(allowed)));
        allowed.unwrap_or_default()
    }

    pub fn verdict(&self) -> &'static str {
        match (self.allowed_ms, self.holds()) {
            (None, _) => "",
            (Some(_), true) => "holds",
            (Some(_), false) => "**does not hold**",
        }
    }
}

impl Row {
    pub fn new(name: &str, what: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            what: what.into(),
            measured: Vec::new(),
            operator: None,
            wrong: Vec::new(),
        }
    }

    pub fn measure(
        &mut self,
        what: impl Into<String>,
        took: Duration,
        allowed: impl Into<Option<Duration>>,
    ) {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.measured.push(Measured {
            what: what.into(),
            took_ms: millis(took),
            allowed_ms: allowed.into().map(millis),
        });
    }

    /// From one moment to another; it is wrong when there is no other.
    pub fn measure_from(
        &mut self,
        what: &str,
        from: Instant,
        to: anyhow::Result<Instant>,
        allowed: impl Into<Option<Duration>>,
    ) {
        match to {
            Ok(to) => self.measure(what, to.saturating_duration_since(from), allowed),
            Err(error) => self.wrong.push(format!("{what}: {error:#}")),
        }
    }

    pub fn holds(&self) -> bool {
        self.wrong.is_empty() && self.measured.iter().all(Measured::holds)
    }
}

impl Report {
    pub fn holds(&self) -> bool {
        self.wrong.is_empty() && self.faults.iter().all(Row::holds)
    }
}

/// As a cell of a table, and no longer than people read.
pub fn cell(text: &str) -> String {
    const CHARACTERS: usize = 500;
    let one_line = text.replace(['\n', '|'], " ");
    one_line.chars().take(CHARACTERS).collect()
}

/// Milliseconds as `840 ms` or `12.3 s`.
pub fn time(ms: u64) -> String {
    if ms < 1_000 {
        format!("{ms} ms")
    } else {
        format!("{}.{} s", ms / 1_000, ms % 1_000 / 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_is_over_or_a_thing_that_is_wrong_does_not_hold() {
        let mut row = Row::new("kafka", "killed");
        row.measure("writes", Duration::from_secs(5), WRITES_RESUME);
        row.measure("all is well", Duration::from_secs(99), None);
        assert!(row.holds());
        row.measure("writes", Duration::from_millis(5_001), WRITES_RESUME);
        assert!(!row.holds());
        let mut row = Row::new("kafka", "killed");
        let now = Instant::now();
        row.measure_from("well", now, Ok(now), None);
        assert!(row.holds());
        row.measure_from("well", now, Err(anyhow::anyhow!("never")), None);
        assert_eq!(row.wrong, ["well: never"]);
        assert!(!row.holds());
    }

    #[test]
    fn times_are_told_in_units() {
        assert_eq!(time(840), "840 ms");
        assert_eq!(time(12_345), "12.3 s");
    }
}
