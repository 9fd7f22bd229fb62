//! Line charts as inline SVG. Colours come from the page's style sheet, so one drawing serves light and dark.

#![expect(
    clippy::float_arithmetic,
    reason = "coordinates of a drawing; the numbers that are told stay whole"
)]

use std::fmt::Write;

use crate::format::duration_us;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 10.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 26.0;
/// Lines across, at least.
const GRID_MIN: u64 = 4;

/// What the numbers of a chart are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Count,
    Micros,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    Linear,
    /// Each grid line is ten times the one below.
    Decades,
}

/// One line; `None` leaves a gap.
pub(crate) struct Series {
    pub(crate) name: &'static str,
    /// One of the page's line colours, from 1.
    pub(crate) colour: usize,
    pub(crate) values: Vec<Option<u64>>,
}

pub(crate) struct Chart {
    pub(crate) title: &'static str,
    pub(crate) unit: Unit,
    pub(crate) scale: Scale,
    /// One for each place on the line, told below it when there is room and when it is pointed at.
    pub(crate) places: Vec<String>,
    pub(crate) series: Vec<Series>,
}

impl Unit {
    fn text(self, value: u64) -> String {
        match self {
            Self::Count => value.to_string(),
            Self::Micros => duration_us(value),
        }
    }

    /// For a grid line, which is a round number.
    fn label(self, value: u64) -> String {
        self.text(value).replace(".00 ", " ").replace(".0 ", " ")
    }
}

/// Values at which lines go across, and the range that is drawn.
struct Axis {
    low: f64,
    high: f64,
    lines: Vec<u64>,
    scale: Scale,
}

impl Axis {
    fn of(chart: &Chart) -> Self {
        let values = || {
            chart
                .series
                .iter()
                .flat_map(|series| &series.values)
                .flatten()
        };
        let highest = values().copied().max().unwrap_or(0).max(1);
        let lines = match chart.scale {
            Scale::Linear => {
                let step = step(highest);
                (0..=highest.div_ceil(step))
                    .map(|line| line * step)
                    .collect()
            }
            Scale::Decades => {
                let lowest = values().copied().min().unwrap_or(1).max(1);
                let first = lowest.ilog10();
                let last = (highest - 1).max(1).ilog10() + 1;
                (first..=last.max(first + 1))
                    .map(|power| 10_u64.saturating_pow(power))
                    .collect()
            }
        };
        let lines: Vec<u64> = lines;
        let end = |line: Option<&u64>| height(line.copied().unwrap_or(1), chart.scale);
        Self {
            low: end(lines.first()),
            high: end(lines.last()),
            scale: chart.scale,
            lines,
        }
    }

    fn y(&self, value: u64) -> f64 {
        let share =
            (height(value, self.scale) - self.low) / (self.high - self.low).max(f64::EPSILON);
        HEIGHT - BOTTOM - share.clamp(0.0, 1.0) * (HEIGHT - TOP - BOTTOM)
    }
}

fn height(value: u64, scale: Scale) -> f64 {
    match scale {
        Scale::Linear => value as f64,
        Scale::Decades => (value.max(1) as f64).log10(),
    }
}

/// 1, 2 or 5 times a power of ten, so that there are a few lines.
fn step(highest: u64) -> u64 {
    let rough = highest.div_ceil(GRID_MIN).max(1);
    let power = 10_u64.pow(rough.ilog10());
    [power, 2 * power, 5 * power]
        .into_iter()
        .find(|step| *step >= rough)
        .unwrap_or(10 * power)
}

impl Chart {
    fn x(&self, place: usize) -> f64 {
        let last = self.places.len().saturating_sub(1).max(1);
        LEFT + (WIDTH - LEFT - RIGHT) * place as f64 / last as f64
    }

    /// The chart with its title and legend.
    pub(crate) fn figure(&self) -> String {
        let mut out = format!("<figure><figcaption><b>{}</b>", self.title);
        for series in &self.series {
            let _ = write!(
                out,
                "<span class=\"key c{}\">{}</span>",
                series.colour, series.name
            );
        }
        let _ = write!(
            out,
            "</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
            self.title
        );
        let axis = Axis::of(self);
        self.grid(&mut out, &axis);
        for series in &self.series {
            self.line(&mut out, &axis, series);
        }
        self.pointers(&mut out);
        out.push_str("</svg></figure>\n");
        out
    }

    fn grid(&self, out: &mut String, axis: &Axis) {
        for value in &axis.lines {
            let y = axis.y(*value);
            let _ = write!(
                out,
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                y + 4.0,
                self.unit.label(*value)
            );
        }
        let every = self.places.len().div_ceil(12).max(1);
        for (place, text) in self.places.iter().enumerate().step_by(every) {
            let anchor = match place {
                0 => "start",
                last if last + 1 == self.places.len() => "end",
                _ => "middle",
            };
            let _ = write!(
                out,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{text}</text>",
                self.x(place),
                HEIGHT - 8.0
            );
        }
    }

    fn line(&self, out: &mut String, axis: &Axis, series: &Series) {
        let mut path = String::new();
        let mut pen = 'M';
        for (place, value) in series.values.iter().enumerate() {
            let Some(value) = value else {
                pen = 'M';
                continue;
            };
            let (x, y) = (self.x(place), axis.y(*value));
            let _ = write!(path, "{pen}{x:.1} {y:.1}");
            // A point without neighbours is drawn by the round end of a line without length.
            if pen == 'M' {
                path.push_str("h0");
            }
            pen = 'L';
        }
        let _ = write!(
            out,
            "<path class=\"line c{}\" d=\"{path}\"/>",
            series.colour
        );
    }

    /// Stripes that tell every value of a place when it is pointed at; no script is needed for that.
    fn pointers(&self, out: &mut String) {
        let wide = (WIDTH - LEFT - RIGHT) / self.places.len().max(1) as f64;
        for (place, at) in self.places.iter().enumerate() {
            let mut told = at.clone();
            for series in &self.series {
                let value = series.values.get(place).copied().flatten();
                let value = value.map_or_else(|| "–".to_owned(), |value| self.unit.text(value));
                let _ = write!(told, "\n{} {value}", series.name);
            }
            let _ = write!(
                out,
                "<rect class=\"at\" x=\"{:.1}\" y=\"{TOP}\" width=\"{wide:.1}\" height=\"{}\"><title>{told}</title></rect>",
                self.x(place) - wide / 2.0,
                HEIGHT - TOP - BOTTOM
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_and_few() {
        for (highest, expected) in [(1, 1), (4, 1), (5, 2), (17, 5), (90, 50), (3_900, 1_000)] {
            assert_eq!(step(highest), expected, "{highest}");
        }
    }

    #[test]
    fn a_gap_in_the_values_is_a_gap_in_the_line() {
        let chart = Chart {
            title: "Lag",
            unit: Unit::Micros,
            scale: Scale::Decades,
            places: ["1 s", "2 s", "3 s"].map(str::to_owned).to_vec(),
            series: vec![Series {
                name: "lag",
                colour: 1,
                values: vec![Some(1_500), None, Some(2_500)],
            }],
        };
        let drawn = chart.figure();
        let (_, line) = drawn.split_once("class=\"line c1\" d=\"").unwrap();
        let (path, _) = line.split_once('"').unwrap();
        assert_eq!(path.matches('M').count(), 2, "{path}");
        assert!(
            drawn.contains("2 s\nlag –") && drawn.contains("1.5 ms"),
            "{drawn}"
        );
        assert!(!drawn.contains("NaN"), "{drawn}");
    }
}
