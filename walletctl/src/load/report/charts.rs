//! The charts of the report's page.

use crate::{
    chart::{Chart, Scale, Series, Unit},
    load::{
        measure::timeline::{TimelinePoint, per_second},
        report::Report,
    },
};

/// More points than that cannot be told apart in a chart.
const POINTS_MAX: usize = 360;

pub(crate) fn all(report: &Report) -> [Chart; 5] {
    let points = thinned(&report.timeline);
    let over_time = |title: &str, unit: Unit, series: Vec<Series>| Chart {
        title: title.to_owned(),
        unit,
        scale: Scale::Linear,
        places: points
            .iter()
            .map(|point| format!("{} s", point.at_ms / 1_000))
            .collect(),
        series,
    };
    let line = |name: &str, read: &dyn Fn(&TimelinePoint) -> Option<u64>| Series {
        name: name.to_owned(),
        values: points.iter().map(|point| read(point).map(float)).collect(),
    };
    let rate = |count, point: &TimelinePoint| Some(per_second(count, point.span_ms));
    let answered = |point: &TimelinePoint| (point.completed + point.refused > 0).then_some(());
    let count = || Unit::Of(String::new());
    [
        over_time(
            "Throughput, operations a second",
            count(),
            vec![
                line("completed", &|point| rate(point.completed, point)),
                line("refused", &|point| rate(point.refused, point)),
                line("failed", &|point| rate(point.failed, point)),
            ],
        ),
        over_time(
            "Latency",
            Unit::Micros,
            vec![
                line("p50", &|point| answered(point).map(|()| point.p50_us)),
                line("p99", &|point| answered(point).map(|()| point.p99_us)),
            ],
        ),
        distribution(report),
        over_time(
            "History lag, the longest of each second",
            Unit::Micros,
            vec![line("history lag", &|point| point.history_lag_us)],
        ),
        over_time(
            "Outbox, events that wait to be sent",
            count(),
            vec![line("outbox", &|point| point.outbox_events)],
        ),
    ]
}

fn distribution(report: &Report) -> Chart {
    let places = report.operations.first().map(|row| {
        let places = row.distribution.iter();
        places.map(|place| place.percentile.to_owned()).collect()
    });
    let series = report.operations.iter().map(|row| Series {
        name: row.operation.to_owned(),
        values: row
            .distribution
            .iter()
            .map(|place| Some(float(place.us)))
            .collect(),
    });
    Chart {
        title: "Latency distribution, by percentile".to_owned(),
        unit: Unit::Micros,
        scale: Scale::Decades,
        places: places.unwrap_or_default(),
        series: series.collect(),
    }
}

const fn float(number: u64) -> f64 {
    number as f64
}

/// So few points that each can be seen: neighbours become one, which keeps the worst of them.
fn thinned(points: &[TimelinePoint]) -> Vec<TimelinePoint> {
    let size = points.len().div_ceil(POINTS_MAX).max(1);
    // What is left of the last second is too short to show a rate.
    let whole: Vec<&TimelinePoint> = points.iter().filter(|point| point.span_ms >= 500).collect();
    let merge = |part: &[&TimelinePoint]| {
        let (last, before) = part.split_last()?;
        let mut merged = (*last).clone();
        for point in before {
            merged.span_ms += point.span_ms;
            merged.completed += point.completed;
            merged.refused += point.refused;
            merged.failed += point.failed;
            merged.p50_us = merged.p50_us.max(point.p50_us);
            merged.p99_us = merged.p99_us.max(point.p99_us);
            merged.max_us = merged.max_us.max(point.max_us);
            merged.outbox_events = merged.outbox_events.max(point.outbox_events);
            merged.history_lag_us = merged.history_lag_us.max(point.history_lag_us);
        }
        Some(merged)
    };
    whole.chunks(size).filter_map(merge).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(at_ms: u64, completed: u64, p99_us: u64) -> TimelinePoint {
        TimelinePoint {
            at_ms,
            span_ms: 1_000,
            completed,
            refused: 0,
            failed: 0,
            p50_us: 1,
            p99_us,
            max_us: p99_us,
            outbox_events: None,
            history_lag_us: Some(p99_us),
        }
    }

    #[test]
    fn a_long_run_is_drawn_with_few_points_and_keeps_the_worst() {
        let points: Vec<TimelinePoint> = (1..=1_000).map(|at| point(at * 1_000, 5, at)).collect();
        let drawn = thinned(&points);
        assert!(drawn.len() <= POINTS_MAX);
        assert_eq!(
            drawn.iter().map(|drawn| drawn.completed).sum::<u64>(),
            5_000
        );
        assert_eq!(drawn.last().unwrap().p99_us, 1_000);
        assert!(drawn.iter().all(|drawn| drawn.outbox_events.is_none()));
    }
}
