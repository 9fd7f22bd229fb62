//! Which charts there are, and what they are drawn from.

#![expect(
    clippy::float_arithmetic,
    reason = "heights of a drawing; the numbers that are told stay whole"
)]

use std::collections::BTreeSet;

use walletctl::chart::{Chart, Scale, Series, Unit};

use crate::{
    costs::Costs,
    load::{Run, Spread},
    results::Results,
    targets,
};

/// A chart's file name, what it shows in words, and its drawing.
pub struct Figure {
    pub file: &'static str,
    pub about: &'static str,
    pub svg: String,
}

/// All charts for which there are figures.
///
/// # Errors
/// When one cannot be drawn.
pub fn all(results: &Results) -> anyhow::Result<Vec<Figure>> {
    let charts = [
        (
            "throughput.svg",
            "Transfers a second by connections",
            throughput(results).map(|chart| chart.lines()),
        ),
        (
            "latency.svg",
            "Latency and freshness with everything running",
            latency(results).map(|chart| chart.grouped()),
        ),
        (
            "cpu.svg",
            "CPU per transfer by process",
            cpu(results).map(|chart| chart.stacked()),
        ),
        (
            "rate.svg",
            "Transfers a second over time with everything running",
            rate(results).map(|chart| chart.lines()),
        ),
        (
            "memory.svg",
            "Resident memory over time",
            memory(results).map(|chart| chart.lines()),
        ),
    ];
    let drawn = charts.into_iter().filter_map(|(file, about, svg)| {
        svg.map(|svg| {
            Ok(Figure {
                file,
                about,
                svg: svg?,
            })
        })
    });
    drawn.collect()
}

fn value(count: u64) -> f64 {
    count as f64
}

fn throughput(results: &Results) -> Option<Chart> {
    let connections = &results.plan.connections;
    let rates = |run: &dyn Fn(u32) -> Option<u64>| {
        let rates = connections.iter().map(|connections| run(*connections));
        rates.map(|rate| rate.map(value)).collect::<Vec<_>>()
    };
    let mut series: Vec<Series> = Spread::ALL
        .map(|spread| Series {
            name: format!("ours, {}", spread.name()),
            values: rates(&|at| results.ours(spread, at).map(|run| run.per_second)),
        })
        .into();
    series.push(Series {
        name: "baseline behind HTTP, uniform".to_owned(),
        values: rates(&|at| results.theirs(at).map(|run| run.per_second)),
    });
    series.push(Series {
        name: "set-based floor".to_owned(),
        values: rates(&|_| results.floor_of(|rate| rate.per_second)),
    });
    series.retain(|series| series.values.iter().any(Option::is_some));
    (results.wallet.is_some() || results.baseline.is_some()).then(|| Chart {
        title: "Transfers a second by connections".to_owned(),
        unit: Unit::Of("transfers a second".to_owned()),
        scale: Scale::Linear,
        places: connections.iter().map(u32::to_string).collect(),
        series,
    })
}

fn latency(results: &Results) -> Option<Chart> {
    let found = results.everything.as_ref()?;
    let runs = [&found.half, &found.four_fifths, &found.closed];
    let us = |of: &dyn Fn(&Run) -> Option<u64>| {
        let values = runs.map(|run| of(run).map(|us| value(us / 100) / value(10)));
        values.to_vec()
    };
    let series = |name: &str, values| Series {
        name: name.to_owned(),
        values,
    };
    Some(Chart {
        title: "Latency and freshness, everything running".to_owned(),
        unit: Unit::Of("milliseconds".to_owned()),
        scale: Scale::Linear,
        places: ["at 50 %", "at 80 %", "closed loop"]
            .map(str::to_owned)
            .to_vec(),
        series: vec![
            series("HTTP p50", us(&|run| Some(run.p50_us))),
            series("HTTP p99", us(&|run| Some(run.p99_us))),
            series(
                "freshness p50",
                us(&|run| run.freshness.map(|seen| seen.p50_us)),
            ),
            series(
                "freshness p99",
                us(&|run| run.freshness.map(|seen| seen.p99_us)),
            ),
        ],
    })
}

fn cpu(results: &Results) -> Option<Chart> {
    let runs = costed(results);
    let groups: BTreeSet<&str> = runs
        .iter()
        .flat_map(|(_, costs)| costs.cpu_ns.keys().map(String::as_str))
        .collect();
    let series = groups.into_iter().map(|group| Series {
        name: group.to_owned(),
        values: runs
            .iter()
            .map(|(_, costs)| {
                costs
                    .cpu_ns
                    .get(group)
                    .map(|ns| value(ns / 100) / value(10))
            })
            .collect(),
    });
    (!runs.is_empty()).then(|| Chart {
        title: "CPU per transfer".to_owned(),
        unit: Unit::Of("microseconds".to_owned()),
        scale: Scale::Linear,
        places: runs.iter().map(|(name, _)| (*name).to_owned()).collect(),
        series: series.collect(),
    })
}

/// The runs whose costs are told, by a short name.
pub fn costed(results: &Results) -> Vec<(&'static str, &Costs)> {
    let at = results.plan.compared_at;
    let everything = results.everything.as_ref();
    let runs = [
        ("wallet path", results.ours(Spread::Uniform, at)),
        ("hot wallet", results.ours(Spread::Hot, at)),
        ("everything", everything.map(|found| &found.closed)),
        ("at 80 %", everything.map(|found| &found.four_fifths)),
        ("at 50 %", everything.map(|found| &found.half)),
    ];
    let runs = runs.into_iter();
    runs.filter_map(|(name, run)| Some((name, run?.costs.as_ref()?)))
        .collect()
}

fn rate(results: &Results) -> Option<Chart> {
    let closed = &results.everything.as_ref()?.closed;
    Some(over_time(
        "Transfers a second, everything running, closed loop",
        "transfers a second",
        vec![Series {
            name: "transfers".to_owned(),
            values: closed
                .timeline
                .iter()
                .map(|rate| Some(value(*rate)))
                .collect(),
        }],
    ))
}

fn memory(results: &Results) -> Option<Chart> {
    let soak = results.soak.as_ref()?;
    let series = targets::services(soak).map(|memory| Series {
        name: memory.service.clone(),
        values: memory
            .line
            .iter()
            .map(|bytes| Some(value(bytes / 100_000) / value(10)))
            .collect(),
    });
    Some(over_time(
        "Resident memory at half of the full rate",
        "megabytes",
        series.collect(),
    ))
}

/// One value a second.
fn over_time(title: &str, unit: &str, series: Vec<Series>) -> Chart {
    let seconds = series.iter().map(|series| series.values.len()).max();
    Chart {
        title: title.to_owned(),
        unit: Unit::Of(unit.to_owned()),
        scale: Scale::Linear,
        places: (0..seconds.unwrap_or_default())
            .map(|second| format!("{second} s"))
            .collect(),
        series,
    }
}
