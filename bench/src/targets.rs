//! What the figures should be, and whether they are. Ratios to baselines of the same run come first: they hold on any
//! machine. The rest is for a machine with two cores.

use walletctl::format::thousands;

use crate::{
    costs::{self, Memory},
    load::{Run, Spread, Work},
    numbers::{megabytes, millis, percent, ratio, times},
    results::{Results, Shared, Stage},
};

/// Shares and multiples.
const OVER_BASELINE_MIN: f64 = 6.0;
const OF_FLOOR_MIN: f64 = 0.80;
const TWO_INSTANCES_MIN: f64 = 0.80;
const MOST_OF_LEAST_MAX: f64 = 3.0;
const HOLDS_MIN: f64 = 0.70;
const LIMITED_MIN: f64 = 0.80;
const HOT_MIN: f64 = 0.95;
const ONE_OVER_COMMIT_MAX: f64 = 2.5;
const EVERYTHING_OF_FLOOR_MIN: f64 = 0.55;
const LAST_THIRD_MIN: f64 = 0.97;
const KEYED_MIN: f64 = 0.90;
const GROWTH_MONEY_MAX: f64 = 1.3;
const GROWTH_HISTORY_MAX: f64 = 1.5;
const LOGGED_MIN: f64 = 0.95;
const GUARDED_MIN: f64 = 0.95;
const STREAMS_MIN: f64 = 0.90;
const GUARDED_AND_LOGGED_MIN: f64 = 0.92;
const FLAT_MAX: f64 = 1.05;
const EVERYTHING_PER_SECOND_MIN: u64 = 10_000;
const RESIDENT_MAX: u64 = 150_000_000;
const STATEMENT_MAX_US: u64 = 2_000_000;
const STATEMENT_GROWTH_MAX: u64 = 20_000_000;
/// What is read on the large history, and how soon the slowest of a hundred is answered.
const AT_SCALE: [(&str, &str, u64); 3] = [
    ("first page of history", "< 5 ms", 5_000),
    ("balance at a moment", "< 5 ms", 5_000),
    (
        "activity of a user with very many wallets",
        "< 20 ms",
        20_000,
    ),
];

/// One line of the table.
#[derive(Clone, PartialEq, Debug)]
pub struct Target {
    pub what: String,
    pub wanted: String,
    pub measured: String,
    /// Unknown when what it needs was not measured.
    pub holds: Option<bool>,
}

impl Target {
    fn new(what: impl Into<String>, wanted: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            wanted: wanted.into(),
            measured: "not measured".to_owned(),
            holds: None,
        }
    }

    fn told(mut self, measured: Option<(String, bool)>) -> Self {
        if let Some((measured, holds)) = measured {
            self.measured = measured;
            self.holds = Some(holds);
        }
        self
    }

    pub const fn verdict(&self) -> &'static str {
        match self.holds {
            Some(true) => "holds",
            Some(false) => "**does not hold**",
            None => "–",
        }
    }
}

/// `a / b` as a share, which should be at least so much.
fn share_of(a: Option<u64>, b: Option<u64>, min: f64) -> Option<(String, bool)> {
    let share = ratio(a?, b?)?;
    Some((percent(Some(share)), share >= min))
}

/// `a / b` as a multiple, which should be at most so much.
fn at_most(a: Option<u64>, b: Option<u64>, max: f64) -> Option<(String, bool)> {
    let multiple = ratio(a?, b?)?;
    Some((times(Some(multiple)), multiple <= max))
}

fn below(us: Option<u64>, limit_us: u64) -> Option<(String, bool)> {
    us.map(|us| (millis(us), us < limit_us))
}

/// All targets, in the order in which they are told.
pub fn all(results: &Results) -> Vec<Target> {
    let mut targets = wallet_path(results);
    targets.extend(two_instances(results));
    targets.extend(commands(results));
    targets.extend(everything(results));
    targets.extend(guarded(results));
    targets.extend(streams(results));
    targets.extend(growth(results));
    targets.extend(at_scale(results));
    targets.extend(memory(results));
    targets
}

fn wallet_path(results: &Results) -> Vec<Target> {
    let at = results.plan.compared_at;
    let rate = |run: Option<&Run>| run.map(|run| run.per_second);
    let uniform = rate(results.ours(Spread::Uniform, at));
    let over = uniform
        .zip(rate(results.theirs(at)))
        .and_then(|(ours, theirs)| ratio(ours, theirs))
        .map(|over| (times(Some(over)), over >= OVER_BASELINE_MIN));
    let mut targets = vec![
        Target::new(
            format!("Wallet path at {at}, over the baseline behind HTTP"),
            "≥ 6×",
        )
        .told(over),
        Target::new(
            format!("Wallet path at {at}, of the set-based floor"),
            "≥ 80 %",
        )
        .told(share_of(
            uniform,
            results.floor_beside(Stage::Wallet),
            OF_FLOOR_MIN,
        )),
    ];
    for connections in &results.plan.connections {
        let hot = rate(results.ours(Spread::Hot, *connections));
        let uniform = rate(results.ours(Spread::Uniform, *connections));
        let what = format!("One hot wallet at {connections}, of uniform");
        targets.push(Target::new(what, "≥ 95 %").told(share_of(hot, uniform, HOT_MIN)));
    }
    let conflicts = results.wallet.as_ref().map(|wallet| {
        let conflicts = wallet.runs.iter().map(|run| run.conflicts).sum::<u64>();
        (thousands(conflicts), conflicts == 0)
    });
    targets.push(Target::new("Conflicts answered", "0").told(conflicts));

    let one = results
        .ours(Spread::Uniform, 1)
        .or_else(|| results.ours(Spread::Hot, 1));
    let one = one.map(|run| run.p50_us);
    // The better one counts, as it does of ours.
    let commit = results.wallet.as_ref();
    let commit = commit.and_then(|wallet| wallet.commits.iter().map(|commit| commit.p50_us).min());
    let keyed = rate(results.wallet.as_ref().map(|wallet| &wallet.keyed));
    targets.extend([
        Target::new("One connection, p50 over the smallest commit's", "≤ 2.5×").told(at_most(
            one,
            commit,
            ONE_OVER_COMMIT_MAX,
        )),
        Target::new("One connection, p50", "< 1 ms").told(below(one, 1_000)),
        Target::new(format!("With keys at {at}, of without"), "≥ 90 %")
            .told(share_of(keyed, uniform, KEYED_MIN)),
    ]);
    targets
}

/// Not told of results from before it was measured.
fn two_instances(results: &Results) -> Vec<Target> {
    let Some(found) = &results.two_instances else {
        return Vec::new();
    };
    let mut targets = Vec::new();
    for spread in [Spread::Uniform, Spread::Hot] {
        let [one, two] = [1, 2].map(|instances| found.of(spread, instances));
        let rate = |run: Option<&Shared>| run.map(|run| run.per_second);
        let what = format!("Two instances, {}, of one", spread.name());
        targets.push(Target::new(what, "≥ 80 %").told(share_of(
            rate(two),
            rate(one),
            TWO_INSTANCES_MIN,
        )));
        targets.push(
            Target::new("… the luckiest caller over the unluckiest", "≤ 3×").told(at_most(
                two.map(|run| run.most),
                two.map(|run| run.least),
                MOST_OF_LEAST_MAX,
            )),
        );
    }
    targets
}

/// Not told of results from before it was measured.
fn commands(results: &Results) -> Vec<Target> {
    let Some(found) = &results.commands else {
        return Vec::new();
    };
    let of_transfers = |what: &str, wanted: &str, run: &Run, min| {
        let transfers = Some(found.transfers.per_second);
        Target::new(what, wanted).told(share_of(Some(run.per_second), transfers, min))
    };
    vec![
        of_transfers(
            "Holds and captures, of transfers",
            "≥ 70 %",
            &found.holds,
            HOLDS_MIN,
        ),
        of_transfers(
            "Wallets with five windows, of those without",
            "≥ 80 %",
            &found.limited,
            LIMITED_MIN,
        ),
    ]
}

fn everything(results: &Results) -> Vec<Target> {
    let found = results.everything.as_ref();
    let closed = found.map(|found| &found.closed);
    let rate = found.map(|found| found.rate);
    let fresh = |run: Option<&Run>| run.and_then(|run| run.freshness);
    let half = found.map(|found| &found.half);
    let enough = rate.map(|rate| {
        (
            format!("{}/s", thousands(rate)),
            rate >= EVERYTHING_PER_SECOND_MIN,
        )
    });
    vec![
        Target::new("Everything running, of the set-based floor", "≥ 55 %").told(share_of(
            rate,
            results.floor_beside(Stage::Everything),
            EVERYTHING_OF_FLOOR_MIN,
        )),
        Target::new("Everything running", "≥ 10,000/s").told(enough),
        Target::new("… history keeps up with the closed loop", "yes").told(found.map(|found| {
            let told = if found.kept_up { "yes" } else { "no" };
            (told.to_owned(), found.kept_up)
        })),
        Target::new("… last third of the first", "≥ 97 %").told(share_of(
            closed.map(|run| run.last_third),
            closed.map(|run| run.first_third),
            LAST_THIRD_MIN,
        )),
        Target::new("… HTTP p99", "< 50 ms").told(below(closed.map(|run| run.p99_us), 50_000)),
        Target::new("… freshness p99", "< 300 ms")
            .told(below(fresh(closed).map(|seen| seen.p99_us), 300_000)),
        Target::new("At half of it, HTTP p99", "< 20 ms")
            .told(below(half.map(|run| run.p99_us), 20_000)),
        Target::new("… freshness p50", "< 60 ms")
            .told(below(fresh(half).map(|seen| seen.p50_us), 60_000)),
        Target::new("… freshness p99", "< 150 ms")
            .told(below(fresh(half).map(|seen| seen.p99_us), 150_000)),
    ]
}

/// Not told of results from before it was measured.
fn guarded(results: &Results) -> Vec<Target> {
    let Some(found) = &results.guarded else {
        return Vec::new();
    };
    let share = |what: &str, wanted: &str, run: &Run, of: &Run, min| {
        let told = share_of(Some(run.per_second), Some(of.per_second), min);
        Target::new(what, wanted).told(told)
    };
    let (silent, logged, guarded) = (&found.silent, &found.logged, &found.guarded);
    let all = found.everything.per_second.max(found.crowded.per_second);
    let enough = (
        format!("{}/s", thousands(all)),
        all >= EVERYTHING_PER_SECOND_MIN,
    );
    vec![
        share(
            "With a line per request, of without",
            "≥ 95 %",
            logged,
            silent,
            LOGGED_MIN,
        ),
        share(
            "With tokens, of without",
            "≥ 95 %",
            guarded,
            logged,
            GUARDED_MIN,
        ),
        share(
            "With both, of without",
            "≥ 92 %",
            guarded,
            silent,
            GUARDED_AND_LOGGED_MIN,
        ),
        Target::new(
            "Everything running, with tokens, keys and lines",
            "≥ 10,000/s",
        )
        .told(Some(enough)),
    ]
}

/// Not told of results from before it was measured.
fn streams(results: &Results) -> Option<Target> {
    let found = results.streams.as_ref()?;
    let [with, without] = [&found.with, &found.without].map(|run| Some(run.per_second));
    let what = format!(
        "With {} streams open, of without",
        thousands(found.streams.into())
    );
    Some(Target::new(what, "≥ 90 %").told(share_of(with, without, STREAMS_MIN)))
}

fn growth(results: &Results) -> Vec<Target> {
    let reads = results.reads.as_ref();
    let rate = |runs: &[Run], work: Work| {
        let run = runs.iter().find(|run| run.work == work)?;
        Some(run.per_second)
    };
    let grown = |work, max| {
        let reads = reads?;
        at_most(rate(&reads.small, work), rate(&reads.big, work), max)
    };
    vec![
        Target::new("Growth of a transfer's cost, small to big", "≤ 1.3×")
            .told(grown(Work::Transfer, GROWTH_MONEY_MAX)),
        Target::new("Growth of a history page's cost", "≤ 1.5×")
            .told(grown(Work::History, GROWTH_HISTORY_MAX)),
    ]
}

/// Only where it was measured: the results of before know nothing of it.
fn at_scale(results: &Results) -> Vec<Target> {
    let reads = results.reads.as_ref();
    let Some(found) = reads.and_then(|reads| reads.at_scale.as_ref()) else {
        return Vec::new();
    };
    let mut targets = Vec::new();
    for (what, wanted, limit_us) in AT_SCALE {
        let read = found.reads.iter().find(|read| read.what == what);
        let p99_us = read.map(|read| read.measured.p99_us);
        let title = format!("{what}, p99");
        targets.push(Target::new(title, wanted).told(below(p99_us, limit_us)));
    }
    let statement = &found.statement;
    let grown = statement
        .resident_most
        .saturating_sub(statement.resident_before);
    let pairs = &found.pairs;
    let lacking = pairs.stale + pairs.behind;
    targets.extend([
        Target::new("Statement of very many lines as CSV", "< 2 s")
            .told(below(Some(statement.took_ms * 1_000), STATEMENT_MAX_US)),
        Target::new("Memory that it takes", "< 20 MB")
            .told(Some((megabytes(grown), grown < STATEMENT_GROWTH_MAX))),
        Target::new("Writes that were not there when read again", "none")
            .told(Some((lacking.to_string(), lacking == 0))),
    ]);
    targets
}

/// The project's own processes.
pub fn services(run: &Run) -> impl Iterator<Item = &Memory> {
    let memory = run.costs.iter().flat_map(|costs| &costs.memory);
    memory.filter(|memory| memory.service != costs::LOAD)
}

fn memory(results: &Results) -> Vec<Target> {
    let mut targets = Vec::new();
    let closed = results.everything.as_ref().map(|found| &found.closed);
    for service in ["wallet-service", "history-service"] {
        let of = |run: Option<&Run>| {
            run.and_then(|run| {
                services(run)
                    .find(|memory| memory.service == service)
                    .cloned()
            })
        };
        let most = of(closed).map(|memory| (megabytes(memory.max), memory.max < RESIDENT_MAX));
        let grown = of(results.soak.as_ref()).and_then(|memory| growth_of(&memory.line));
        targets.push(Target::new(format!("Resident memory of {service}"), "< 150 MB").told(most));
        targets.push(
            Target::new(
                "… in the soak, last quarter over the second",
                "flat (≤ 1.05×)",
            )
            .told(grown.map(|grown| (times(Some(grown)), grown <= FLAT_MAX))),
        );
    }
    targets
}

/// The last quarter over the second: in the first one a process still grows into its work.
fn growth_of(line: &[u64]) -> Option<f64> {
    let quarter = line.len() / 4;
    let mean = crate::numbers::mean;
    let second = mean(line.get(quarter..2 * quarter)?)?;
    let last = mean(line.get(line.len() - quarter..)?)?;
    ratio(last, second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_holds_from_its_minimum_on() {
        let holds = |a, b, min| share_of(Some(a), Some(b), min).unwrap().1;
        assert!(holds(80, 100, OF_FLOOR_MIN));
        assert!(!holds(79, 100, OF_FLOOR_MIN));
        assert_eq!(share_of(None, Some(1), 0.5), None);
        assert_eq!(share_of(Some(1), Some(0), 0.5), None);
    }

    #[test]
    fn a_multiple_holds_up_to_its_maximum() {
        assert!(at_most(Some(130), Some(100), GROWTH_MONEY_MAX).unwrap().1);
        assert!(!at_most(Some(131), Some(100), GROWTH_MONEY_MAX).unwrap().1);
        assert!(!below(Some(1_000), 1_000).unwrap().1);
    }

    #[test]
    fn memory_is_flat_when_its_end_is_like_its_middle() {
        assert_eq!(
            growth_of(&[1, 90, 100, 100, 100, 100, 100, 100]),
            ratio(100, 100)
        );
        assert_eq!(
            growth_of(&[1, 1, 100, 100, 150, 150, 200, 200]),
            ratio(2, 1)
        );
        assert_eq!(growth_of(&[1, 2]), None);
    }

    #[test]
    fn what_was_not_measured_is_neither_held_nor_failed() {
        let target = Target::new("x", "y").told(None);
        assert_eq!((target.holds, target.verdict()), (None, "–"));
    }
}
