//! The charts, as SVG without a background, in colours that can be read on white and on black.

#![expect(
    clippy::float_arithmetic,
    reason = "coordinates of a drawing; the numbers that are told stay whole"
)]

use plotters::{
    chart::MeshStyle,
    coord::{Shift, types::RangedCoordf64},
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use crate::numbers::thousands;

const SIZE: (u32, u32) = (960, 380);
/// For the legend, beside the drawing: on it, it would hide values.
const LEGEND_WIDE: u32 = 230;
const TEXT: RGBColor = RGBColor(128, 134, 142);
const FONT: (&str, u32) = ("sans-serif", 16);
const TITLE: (&str, u32) = ("sans-serif", 21);
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
type Plane = Cartesian2d<RangedCoordf64, RangedCoordf64>;
/// Above the highest value.
const HEADROOM: f64 = 1.12;

/// A name and one value per place; `None` where there is none.
pub struct Series {
    pub name: String,
    pub values: Vec<Option<f64>>,
}

/// What a chart shows.
pub struct Chart {
    pub title: String,
    pub unit: String,
    /// What stands below, one for each value of a series.
    pub places: Vec<String>,
    pub series: Vec<Series>,
}

impl Chart {
    fn highest(&self) -> f64 {
        let values = self.series.iter().flat_map(|series| &series.values);
        values.flatten().copied().fold(f64::EPSILON, f64::max)
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

    /// What stands below a whole number; nothing between two.
    fn place(&self, x: f64) -> String {
        if x.fract() > 0.01 {
            return String::new();
        }
        let at = usize::try_from(whole(x)).unwrap_or_default();
        self.places.get(at).cloned().unwrap_or_default()
    }

    /// A line per series, over places at even distances.
    ///
    /// # Errors
    /// When it cannot be drawn.
    pub fn lines(&self) -> anyhow::Result<String> {
        drawn(|root| {
            let last = self.places.len().saturating_sub(1).max(1);
            let mut chart = frame(root, &self.title)
                .build_cartesian_2d(0_f64..last as f64, 0_f64..self.highest() * HEADROOM)?;
            mesh(&mut chart, &self.unit)
                .x_labels(self.places.len().min(10))
                .x_label_formatter(&|x| self.place(*x))
                .draw()?;
            for (series, colour) in self.series.iter().zip(COLOURS.iter().cycle()) {
                let points = series.values.iter().enumerate();
                let points = points.filter_map(|(at, value)| Some((at as f64, (*value)?)));
                chart.draw_series(LineSeries::new(points, colour.stroke_width(2)))?;
            }
            legend(root, &self.series)
        })
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

    /// `shape` gives bottom, top, left and right of a bar from what is below it, its value and its series' number.
    fn bars(
        &self,
        highest: f64,
        shape: impl Fn(f64, f64, usize) -> [f64; 4],
    ) -> anyhow::Result<String> {
        drawn(|root| {
            let places = self.places.len().max(1);
            let mut chart = frame(root, &self.title)
                .build_cartesian_2d(0_f64..places as f64, 0_f64..highest * HEADROOM)?;
            mesh(&mut chart, &self.unit).x_labels(0).draw()?;
            let centred = Pos::new(HPos::Center, VPos::Top);
            let below = self.places.iter().enumerate().map(|(at, place)| {
                let style = FONT.into_font().color(&TEXT).pos(centred);
                EmptyElement::at((at as f64 + 0.5, 0.0)) + Text::new(place.clone(), (0, 8), style)
            });
            chart.draw_series(below)?;
            let mut stacked = vec![0.0; places];
            let colours = COLOURS.iter().cycle();
            for (number, (series, colour)) in self.series.iter().zip(colours).enumerate() {
                let mut bars = Vec::new();
                for (at, (value, below)) in series.values.iter().zip(&mut stacked).enumerate() {
                    let value = value.unwrap_or_default();
                    let [bottom, top, left, right] = shape(*below, value, number);
                    *below += value;
                    let corners = [(at as f64 + left, bottom), (at as f64 + right, top)];
                    bars.push(Rectangle::new(corners, colour.filled()));
                }
                chart.draw_series(bars)?;
            }
            legend(root, &self.series)
        })
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// The text of a drawing.
fn drawn(draw: impl FnOnce(&Area<'_>) -> anyhow::Result<()>) -> anyhow::Result<String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        draw(&root)?;
        root.present()?;
    }
    Ok(svg)
}

/// Title and margins.
fn frame<'a, 'b>(root: &'a Area<'b>, title: &str) -> ChartBuilder<'a, 'b, SVGBackend<'b>> {
    let mut builder = ChartBuilder::on(root);
    builder
        .caption(title, TITLE.into_font().color(&TEXT))
        .margin(12)
        .margin_right(LEGEND_WIDE)
        .x_label_area_size(32)
        .y_label_area_size(74);
    builder
}

/// The lines and numbers behind a drawing.
fn mesh<'a, 'b>(
    chart: &'b mut ChartContext<'a, SVGBackend<'a>, Plane>,
    unit: &str,
) -> MeshStyle<'a, 'b, RangedCoordf64, RangedCoordf64, SVGBackend<'a>> {
    let mut mesh = chart.configure_mesh();
    mesh.disable_x_mesh()
        .y_label_formatter(&|y| number(*y))
        .y_desc(unit)
        .axis_style(TEXT.mix(0.6))
        .bold_line_style(TEXT.mix(0.25))
        .light_line_style(TRANSPARENT)
        .label_style(FONT.into_font().color(&TEXT));
    mesh
}

/// The names of the series, beside the drawing.
fn legend(root: &Area<'_>, series: &[Series]) -> anyhow::Result<()> {
    let left = i32::try_from(SIZE.0 - LEGEND_WIDE)? + 10;
    let style = FONT.into_font().color(&TEXT);
    for (place, (series, colour)) in (0..).zip(series.iter().zip(COLOURS.iter().cycle())) {
        let top = 46 + 20 * place;
        let key = [(left, top), (left + 12, top + 12)];
        root.draw(&Rectangle::new(key, colour.filled()))?;
        let name = Text::new(series.name.as_str(), (left + 20, top - 1), style.clone());
        root.draw(&name)?;
    }
    Ok(())
}

fn number(value: f64) -> String {
    if value < 10.0 && value.fract() > 0.0 {
        format!("{value:.1}")
    } else {
        thousands(whole(value))
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
            unit: "a second".to_owned(),
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
    }

    #[test]
    fn a_stack_is_as_high_as_its_parts_together() {
        assert!((chart().highest_stack() - 33.0).abs() < f64::EPSILON);
        assert!((chart().highest() - 30.0).abs() < f64::EPSILON);
    }
}
