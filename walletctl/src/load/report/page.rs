//! The report as one page: nothing is loaded from anywhere, and it follows the reader's choice of light or dark.

use std::fmt::{Display, Write};

use crate::{
    format::duration_us,
    load::{
        measure::timeline::{TimelinePoint, per_second},
        report::{
            Report,
            chart::{Chart, Scale, Series, Unit},
            clamped,
        },
    },
};

/// More points than that cannot be told apart in a chart.
const POINTS_MAX: usize = 360;

const STYLE: &str = "
:root{color-scheme:light dark;--page:#f7f7f5;--card:#fff;--ink:#1d2330;--soft:#667085;--rule:#e3e5ea;--good:#12805c;
--bad:#c0362c;--c1:#2563eb;--c2:#d97706;--c3:#dc2626;--c4:#0d9488;--c5:#7c3aed;--c6:#db2777;--c7:#65a30d}
@media(prefers-color-scheme:dark){:root{--page:#12151c;--card:#1a1f2a;--ink:#e6e9f0;--soft:#98a2b3;--rule:#2d3443;
--good:#3ecf9a;--bad:#ff7a6e;--c1:#6ea1ff;--c2:#fbb040;--c3:#ff7a6e;--c4:#3fd0c0;--c5:#b794ff;--c6:#ff8ac4;--c7:#a3e635}}
*{box-sizing:border-box}body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1160px;margin:0 auto;padding:32px 20px}h1{font-size:24px;margin:0}h2{font-size:17px;margin:28px 0 10px}
.soft{color:var(--soft)}.verdict{font-weight:650;font-size:18px;margin:6px 0 20px}.good{color:var(--good)}
.bad{color:var(--bad)}.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px}
.tile,figure,.card{background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:12px 14px;margin:0}
.tile b{display:block;font-size:22px;font-variant-numeric:tabular-nums}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,480px),1fr));gap:12px;margin-top:12px}
svg{width:100%;height:auto;display:block}svg text{fill:var(--soft);font-size:11px}
.grid{stroke:var(--rule);fill:none}.line{fill:none;stroke:currentColor;stroke-width:2;stroke-linejoin:round;
stroke-linecap:round}.at{fill:transparent}.at:hover{fill:var(--soft);fill-opacity:.12}
.c1{color:var(--c1)}.c2{color:var(--c2)}.c3{color:var(--c3)}.c4{color:var(--c4)}.c5{color:var(--c5)}.c6{color:var(--c6)}.c7{color:var(--c7)}
figcaption{display:flex;flex-wrap:wrap;gap:4px 14px;margin-bottom:6px}.key{font-size:13px}.key:before{content:'●';
margin-right:4px}.card{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:5px 10px;text-align:right;border-bottom:1px solid var(--rule);white-space:nowrap}
tr:last-child td{border-bottom:0}th{color:var(--soft);font-weight:500;font-size:13px}
th:first-child,td:first-child{text-align:left}
";

pub(crate) fn html(report: &Report) -> String {
    let mut out = String::with_capacity(64 * 1_024);
    let class = if report.passed { "good" } else { "bad" };
    let settings = &report.settings;
    let schedule = match settings.rate {
        Some(rate) => format!("{rate} arrivals a second for"),
        None => "as fast as answers come to".to_owned(),
    };
    let _ = write!(
        out,
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>Load of {started}</title><style>{STYLE}</style><main><h1>Load report</h1>\
         <div class=\"soft\">{started} · {schedule} {workers} workers · {accounts} wallets · seed {seed}</div>\
         <div class=\"verdict {class}\">{verdict}</div>",
        started = escaped(&report.started_at),
        workers = settings.workers,
        accounts = settings.accounts,
        seed = report.seed,
        verdict = report.verdict(),
    );
    tiles(&mut out, report);
    charts(&mut out, report);
    operations(&mut out, report);
    answers(&mut out, report);
    proof(&mut out, report);
    out.push_str("</main></html>\n");
    out
}

fn tiles(out: &mut String, report: &Report) {
    let mut tiles = vec![
        ("operations", report.total.to_string()),
        ("a second", report.throughput_per_second.to_string()),
        ("p50", duration_us(report.latency.p50_us)),
        ("p99", duration_us(report.latency.p99_us)),
        ("refused, as expected", report.refused.to_string()),
        ("failed", report.failed.to_string()),
    ];
    if let Some(freshness) = &report.freshness {
        tiles.push(("history lag p50", duration_us(freshness.p50_us)));
        tiles.push(("history lag p99", duration_us(freshness.p99_us)));
    }
    out.push_str("<div class=\"tiles\">");
    for (name, value) in tiles {
        let _ = write!(
            out,
            "<div class=\"tile\"><b>{value}</b><span class=\"soft\">{name}</span></div>"
        );
    }
    out.push_str("</div>");
}

fn charts(out: &mut String, report: &Report) {
    let timeline = thinned(&report.timeline);
    let places = || -> Vec<String> {
        let ends = timeline.iter();
        ends.map(|point| format!("{} s", point.at_ms / 1_000))
            .collect()
    };
    let over_time = |title, unit, series| Chart {
        title,
        unit,
        scale: Scale::Linear,
        places: places(),
        series,
    };
    let line = |name, colour, read: &dyn Fn(&TimelinePoint) -> Option<u64>| Series {
        name,
        colour,
        values: timeline.iter().map(read).collect(),
    };
    let rate = |count, point: &TimelinePoint| Some(per_second(count, point.span_ms));
    let answered = |point: &TimelinePoint| (point.completed + point.refused > 0).then_some(());
    out.push_str("<div class=\"charts\">");
    for chart in [
        over_time(
            "Throughput, operations a second",
            Unit::Count,
            vec![
                line("completed", 1, &|point| rate(point.completed, point)),
                line("refused", 2, &|point| rate(point.refused, point)),
                line("failed", 3, &|point| rate(point.failed, point)),
            ],
        ),
        over_time(
            "Latency",
            Unit::Micros,
            vec![
                line("p50", 1, &|point| answered(point).map(|()| point.p50_us)),
                line("p99", 2, &|point| answered(point).map(|()| point.p99_us)),
            ],
        ),
        distribution(report),
        over_time(
            "History lag, the longest of each second",
            Unit::Micros,
            vec![line("history lag", 5, &|point| point.history_lag_us)],
        ),
        over_time(
            "Outbox, events that wait to be sent",
            Unit::Count,
            vec![line("outbox", 4, &|point| point.outbox_events)],
        ),
    ] {
        out.push_str(&chart.figure());
    }
    out.push_str("</div>");
}

fn distribution(report: &Report) -> Chart {
    let places = report.operations.first().map(|row| {
        let places = row.distribution.iter();
        places.map(|place| place.percentile.to_owned()).collect()
    });
    let series = report
        .operations
        .iter()
        .zip(1..)
        .map(|(row, colour)| Series {
            name: row.operation,
            colour,
            values: row
                .distribution
                .iter()
                .map(|place| Some(place.us))
                .collect(),
        });
    Chart {
        title: "Latency distribution, by percentile",
        unit: Unit::Micros,
        scale: Scale::Decades,
        places: places.unwrap_or_default(),
        series: series.collect(),
    }
}

/// So few timeline that each can be seen: neighbours become one, which keeps the worst of them.
fn thinned(timeline: &[TimelinePoint]) -> Vec<TimelinePoint> {
    let size = timeline.len().div_ceil(POINTS_MAX).max(1);
    // What is left of the last second is too short to show a rate.
    let whole: Vec<&TimelinePoint> = timeline
        .iter()
        .filter(|point| point.span_ms >= 500)
        .collect();
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

fn operations(out: &mut String, report: &Report) {
    out.push_str(
        "<h2>Operations</h2><div class=\"card\"><table><tr><th>operation<th>completed<th>refused<th>failed<th>p50\
         <th>p95<th>p99<th>p99.9<th>max</tr>",
    );
    for row in &report.operations {
        let counts = [row.completed, row.refused, row.failed].map(|count| count.to_string());
        let name = std::iter::once(row.operation.to_owned());
        table_row(out, name.chain(counts).chain(row.latency.spans()));
    }
    let counts = [report.completed, report.refused, report.failed].map(|count| count.to_string());
    let name = std::iter::once("all".to_owned());
    table_row(out, name.chain(counts).chain(report.latency.spans()));
    out.push_str("</table></div>");
}

fn answers(out: &mut String, report: &Report) {
    out.push_str("<h2>Answers</h2><div class=\"card\"><table><tr><th>answer<th>count</tr>");
    for told in &report.status_codes {
        table_row(out, [told.status.to_string(), told.count.to_string()]);
    }
    for counted in &report.errors {
        table_row(out, [counted.what.clone(), counted.count.to_string()]);
    }
    table_row(out, ["sent again".to_owned(), report.resent.to_string()]);
    if let Some(missed) = report.missed {
        table_row(
            out,
            ["arrivals without a worker".to_owned(), missed.to_string()],
        );
    }
    out.push_str("</table></div>");
}

fn proof(out: &mut String, report: &Report) {
    let proof = &report.proof;
    let money = |minor| report.settings.currency.display(clamped(minor));
    out.push_str("<h2>Proof</h2><div class=\"card\"><table><tr><th><th>computed<th>found</tr>");
    let rows = [
        (
            "money in all wallets",
            money(proof.money_expected),
            money(proof.money_found),
        ),
        (
            "events",
            proof.events_expected.to_string(),
            proof.events_found.to_string(),
        ),
    ];
    for (name, expected, found) in rows {
        table_row(out, [name.to_owned(), expected, found]);
    }
    let _ = write!(
        out,
        "</table><p class=\"soft\">{} wallets were read from {} and compared one by one. {} operations were settled after \
         the load, {} could not be, which leaves {} wallets unknown. {} faults.</p>",
        proof.wallets,
        proof.read_from(),
        proof.resolved,
        proof.unresolved,
        proof.wallets_unknown,
        proof.faults_total
    );
    for fault in &proof.faults {
        let wallet = fault.wallet.as_deref().unwrap_or("all wallets");
        let _ = write!(
            out,
            "<p class=\"bad\">{}: {}</p>",
            escaped(wallet),
            escaped(&fault.what)
        );
    }
    out.push_str("</div>");
}

fn table_row(out: &mut String, cells: impl IntoIterator<Item = String>) {
    out.push_str("<tr>");
    for cell in cells {
        let _ = write!(out, "<td>{}", escaped(&cell));
    }
    out.push_str("</tr>");
}

/// A service's words must not become markup.
fn escaped(text: impl Display) -> String {
    let mut safe = String::new();
    for character in text.to_string().chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            other => safe.push(other),
        }
    }
    safe
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
        let timeline: Vec<TimelinePoint> = (1..=1_000).map(|at| point(at * 1_000, 5, at)).collect();
        let drawn = thinned(&timeline);
        assert!(drawn.len() <= POINTS_MAX);
        assert_eq!(
            drawn.iter().map(|drawn| drawn.completed).sum::<u64>(),
            5_000
        );
        assert_eq!(drawn.last().unwrap().p99_us, 1_000);
        assert!(drawn.iter().all(|drawn| drawn.outbox_events.is_none()));
    }

    #[test]
    fn a_services_words_do_not_become_markup() {
        assert_eq!(escaped("<b>&\""), "&lt;b&gt;&amp;&quot;");
    }
}
