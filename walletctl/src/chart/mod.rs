//! Charts as SVG without a background, in colours that can be read on white and on black: for a file, with title and
//! legend, or as part of a page that has them in words.

#![expect(
    clippy::float_arithmetic,
    reason = "coordinates of a drawing; the numbers that are told stay whole"
)]

mod drawing;

use std::ops::Range;

use plotters::style::RGBColor;

use self::drawing::Frame;
use crate::format::{duration_us, thousands};

const COLOURS: [RGBColor; 8] = [
    RGBColor(47, 129, 247),
    RGBColor(219, 109, 40),
    RGBColor(46, 160, 67),
    RGBColor(163, 113, 247),
    RGBColor(210, 153, 34),
    RGBColor(219, 97, 162),
    RGBColor(57, 172, 172),
    RGBColor(139, 148, 158),
];
/// Above the highest value.
const HEADROOM: f64 = 1.12;

/// What the values are, as they are written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unit {
    /// Numbers, with this beside the axis.
    Of(String),
    /// Microseconds, each written in the unit that fits.
    Micros,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scale {
    Linear,
    /// Each line across is ten times the one below.
    Decades,
}

/// A name and one value per place; `None` leaves a gap.
#[derive(Clone, Debug)]
pub struct Series {
    pub name: String,
    pub values: Vec<Option<f64>>,
}

/// What a chart shows.
#[derive(Clone, Debug)]
pub struct Chart {
    pub title: String,
    pub unit: Unit,
    pub scale: Scale,
    /// What stands below, one for each value of a series.
    pub places: Vec<String>,
    pub series: Vec<Series>,
}

impl Chart {
    /// Names and colours of the series, for a page that shows the legend itself.
    pub fn legend(&self) -> Vec<(&str, String)> {
        let colours = COLOURS.iter().cycle();
        let named = self.series.iter().zip(colours);
        named
            .map(|(series, RGBColor(red, green, blue))| {
                (
                    series.name.as_str(),
                    format!("#{red:02x}{green:02x}{blue:02x}"),
                )
            })
            .collect()
    }

    /// A line per series, over places at even distances; a file of its own.
    ///
    /// # Errors
    /// When it cannot be drawn.
    pub fn lines(&self) -> anyhow::Result<String> {
        Ok(self.drawn_lines(Frame::File)?.0)
    }

    /// The same lines for a page. Every value of a place is told where it is pointed at; no script is needed for that.
    ///
    /// # Errors
    /// When it cannot be drawn.
    pub fn inline_lines(&self) -> anyhow::Result<String> {
        let (svg, area) = self.drawn_lines(Frame::Page)?;
        let (drawing, _) = svg.rsplit_once("</svg>").unwrap_or((&svg, ""));
        // Only a file needs to say which language it is written in.
        let mut page = drawing.replacen(" xmlns=\"http://www.w3.org/2000/svg\"", "", 1);
        self.pointers(&mut page, &area)?;
        page.push_str("</svg>");
        Ok(page)
    }

    /// A bar per place, the series on top of each other.
    ///
    /// # Errors
    /// When it cannot be drawn.
    pub fn stacked(&self) -> anyhow::Result<String> {
        self.bars(self.highest_stack(), |below, value, _| {
            [below, below + value, 0.2, 0.8]
        })
    }

    /// A bar per series and place, beside each other.
    ///
    /// # Errors
    /// When it cannot be drawn.
    pub fn grouped(&self) -> anyhow::Result<String> {
        let wide = 0.8 / self.series.len().max(1) as f64;
        self.bars(self.highest(), |_, value, series| {
            let left = 0.1 + wide * series as f64;
            [0.0, value, left, left + wide * 0.92]
        })
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        let values = self.series.iter().flat_map(|series| &series.values);
        values.flatten().copied()
    }

    fn highest(&self) -> f64 {
        self.values().fold(f64::EPSILON, f64::max)
    }

    fn highest_stack(&self) -> f64 {
        let stack = |place: usize| {
            let values = self
                .series
                .iter()
                .filter_map(|series| series.values.get(place));
            values.flatten().sum::<f64>()
        };
        (0..self.places.len())
            .map(stack)
            .fold(f64::EPSILON, f64::max)
    }

    /// From the lowest to the highest line, in the scale's own heights.
    pub(super) fn heights(&self) -> Range<f64> {
        match self.scale {
            Scale::Linear => 0.0..self.highest() * HEADROOM,
            Scale::Decades => {
                let lowest = self.values().fold(f64::INFINITY, f64::min);
                let lowest = if lowest.is_finite() { lowest } else { 1.0 };
                let first = self.height(lowest).floor();
                first..self.height(self.highest()).ceil().max(first + 1.0)
            }
        }
    }

    pub(super) fn height(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => value,
            Scale::Decades => value.max(1.0).log10(),
        }
    }

    /// What stands beside a line across, if anything.
    pub(super) fn label(&self, height: f64) -> String {
        let value = match self.scale {
            Scale::Linear => height,
            Scale::Decades if height.fract() > 0.01 => return String::new(),
            Scale::Decades => 10_f64.powf(height),
        };
        let text = self.text(value);
        // A line stands at a round number.
        text.replace(".00 ", " ").replace(".0 ", " ")
    }

    pub(super) fn text(&self, value: f64) -> String {
        match self.unit {
            Unit::Of(_) if value < 10.0 && value.fract() > 0.0 => format!("{value:.1}"),
            Unit::Of(_) => thousands(whole(value)),
            Unit::Micros => duration_us(whole(value)),
        }
    }

    /// What stands below a whole number; nothing between two.
    pub(super) fn place(&self, x: f64) -> String {
        if x.fract() > 0.01 {
            return String::new();
        }
        let at = usize::try_from(whole(x)).unwrap_or_default();
        self.places.get(at).cloned().unwrap_or_default()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value is not negative, and small"
)]
fn whole(value: f64) -> u64 {
    value.max(0.0).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart() -> Chart {
        Chart {
            title: "Rate".to_owned(),
            unit: Unit::Of("a second".to_owned()),
            scale: Scale::Linear,
            places: ["1", "64", "256"].map(str::to_owned).to_vec(),
            series: vec![
                Series {
                    name: "ours".to_owned(),
                    values: vec![Some(1.0), Some(20.0), Some(30.0)],
                },
                Series {
                    name: "theirs".to_owned(),
                    values: vec![Some(2.0), None, Some(3.0)],
                },
            ],
        }
    }

    #[test]
    fn every_kind_of_chart_tells_title_series_and_places() {
        let chart = chart();
        for svg in [chart.lines(), chart.stacked(), chart.grouped()] {
            let svg = svg.unwrap();
            for text in ["<svg", "Rate", "ours", "theirs", "256"] {
                assert!(svg.contains(text), "{text} is not in {svg}");
            }
            assert!(!svg.contains("NaN"), "{svg}");
        }
    }

    #[test]
    fn a_chart_without_values_can_be_drawn() {
        let empty = Chart {
            places: Vec::new(),
            series: Vec::new(),
            ..chart()
        };
        assert!(empty.lines().is_ok() && empty.stacked().is_ok());
        let decades = Chart {
            scale: Scale::Decades,
            ..empty
        };
        assert!(decades.inline_lines().is_ok());
    }

    #[test]
    fn a_stack_is_as_high_as_its_parts_together() {
        assert!((chart().highest_stack() - 33.0).abs() < f64::EPSILON);
        assert!((chart().highest() - 30.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_gap_in_the_values_is_a_gap_in_the_line() {
        let chart = Chart {
            title: "Lag".to_owned(),
            unit: Unit::Micros,
            scale: Scale::Decades,
            places: ["1 s", "2 s", "3 s"].map(str::to_owned).to_vec(),
            series: vec![Series {
                name: "lag".to_owned(),
                values: vec![Some(1_500.0), None, Some(2_500.0)],
            }],
        };
        assert_eq!(chart.runs(&chart.series[0]).len(), 2);
        let drawn = chart.inline_lines().unwrap();
        assert_eq!(drawn.matches("<circle").count(), 2, "{drawn}");
        assert!(
            drawn.contains("2 s\nlag –") && drawn.contains("1.5 ms"),
            "{drawn}"
        );
        for line in ["1 ms", "10 ms"] {
            assert!(drawn.contains(line), "{line}: {drawn}");
        }
        assert!(!drawn.contains("NaN"), "{drawn}");
    }

    #[test]
    fn a_drawing_for_a_page_names_nothing_outside_and_leaves_title_and_legend_to_it() {
        let drawn = chart().inline_lines().unwrap();
        assert!(!drawn.contains("http://"), "{drawn}");
        assert!(
            drawn.contains("viewBox") && !drawn.contains("Rate"),
            "{drawn}"
        );
        let chart = chart();
        let [(name, colour), _] = &chart.legend()[..] else {
            panic!("two series");
        };
        assert_eq!((*name, colour.as_str()), ("ours", "#2f81f7"));
    }
}
