//! How a chart is drawn: frame, lines across, curves and bars, by plotters.

#![expect(
    clippy::float_arithmetic,
    reason = "coordinates of a drawing; the numbers that are told stay whole"
)]

use std::{fmt::Write, ops::Range};

use plotters::{
    chart::MeshStyle,
    coord::{Shift, types::RangedCoordf64},
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::{COLOURS, Chart, HEADROOM, Series, Unit};

/// For the legend, beside the drawing: on it, it would hide values.
const LEGEND_WIDE: u32 = 230;
const TEXT: RGBColor = RGBColor(128, 134, 142);
type Plane = Cartesian2d<RangedCoordf64, RangedCoordf64>;

/// Where a drawing stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Frame {
    /// Alone in a file, with title and legend.
    File,
    /// In a page, which has title and legend; as wide as there is room, also on a phone.
    Page,
}

impl Frame {
    const fn size(self) -> (u32, u32) {
        match self {
            Self::File => (960, 380),
            Self::Page => (420, 230),
        }
    }

    const fn font(self) -> (&'static str, u32) {
        match self {
            Self::File => ("sans-serif", 16),
            Self::Page => ("sans-serif", 13),
        }
    }

    /// Places that are written below, at most.
    const fn places_max(self) -> usize {
        match self {
            Self::File => 10,
            Self::Page => 6,
        }
    }
}

impl Chart {
    /// The drawing, and where in it the lines are.
    pub(super) fn drawn_lines(&self, frame: Frame) -> anyhow::Result<(String, [Range<i32>; 2])> {
        drawn(frame, |root| {
            let last = self.places.len().saturating_sub(1).max(1);
            let mut chart = self
                .framed(root, frame)
                .build_cartesian_2d(0_f64..last as f64, self.heights())?;
            self.mesh(&mut chart, frame, &|height| self.label(*height))
                .x_labels(self.places.len().min(frame.places_max()))
                .x_label_formatter(&|x| self.place(*x))
                .draw()?;
            for (series, colour) in self.series.iter().zip(COLOURS.iter().cycle()) {
                for run in self.runs(series) {
                    if let [alone] = run[..] {
                        let dot = Circle::new(alone, 2, colour.filled());
                        chart.draw_series([dot])?;
                    }
                    chart.draw_series(LineSeries::new(run, colour.stroke_width(2)))?;
                }
            }
            let (across, down) = chart.plotting_area().get_pixel_range();
            self.key(root, frame)?;
            Ok([across, down])
        })
    }

    /// A series cut at its gaps.
    pub(super) fn runs(&self, series: &Series) -> Vec<Vec<(f64, f64)>> {
        let points: Vec<_> = series.values.iter().enumerate().collect();
        let runs = points.split(|(_, value)| value.is_none());
        runs.filter(|run| !run.is_empty())
            .map(|run| {
                let points = run.iter().filter_map(|(at, value)| {
                    let value = (**value)?;
                    Some((*at as f64, self.height(value)))
                });
                points.collect()
            })
            .collect()
    }

    /// Stripes over the drawing, one for each place.
    pub(super) fn pointers(
        &self,
        out: &mut String,
        [across, down]: &[Range<i32>; 2],
    ) -> anyhow::Result<()> {
        let last = self.places.len().saturating_sub(1).max(1);
        let step = f64::from(across.end - across.start) / last as f64;
        for (place, name) in self.places.iter().enumerate() {
            let left = f64::from(across.start) + step * (place as f64 - 0.5);
            write!(
                out,
                "<rect class=\"at\" x=\"{left:.1}\" y=\"{}\" width=\"{step:.1}\" height=\"{}\"><title>{name}",
                down.start,
                down.end - down.start
            )?;
            for series in &self.series {
                let value = series.values.get(place).copied().flatten();
                let value = value.map_or_else(|| "–".to_owned(), |value| self.text(value));
                write!(out, "\n{} {value}", series.name)?;
            }
            out.push_str("</title></rect>");
        }
        Ok(())
    }

    /// `shape` gives bottom, top, left and right of a bar from what is below it, its value and its series' number.
    pub(super) fn bars(
        &self,
        highest: f64,
        shape: impl Fn(f64, f64, usize) -> [f64; 4],
    ) -> anyhow::Result<String> {
        let frame = Frame::File;
        let (svg, ()) = drawn(frame, |root| {
            let places = self.places.len().max(1);
            let mut chart = self
                .framed(root, frame)
                .build_cartesian_2d(0_f64..places as f64, 0_f64..highest * HEADROOM)?;
            self.mesh(&mut chart, frame, &|height| self.label(*height))
                .x_labels(0)
                .draw()?;
            let centred = Pos::new(HPos::Center, VPos::Top);
            let below = self.places.iter().enumerate().map(|(at, place)| {
                let style = frame.font().into_font().color(&TEXT).pos(centred);
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
            self.key(root, frame)
        })?;
        Ok(svg)
    }

    /// Title and margins.
    fn framed<'a, 'b>(
        &self,
        root: &'a Area<'b>,
        frame: Frame,
    ) -> ChartBuilder<'a, 'b, SVGBackend<'b>> {
        let mut builder = ChartBuilder::on(root);
        match frame {
            Frame::File => builder
                .caption(&self.title, ("sans-serif", 21).into_font().color(&TEXT))
                .margin(12)
                .margin_right(LEGEND_WIDE)
                .x_label_area_size(32)
                .y_label_area_size(74),
            Frame::Page => builder
                .margin(6)
                .margin_right(20)
                .x_label_area_size(22)
                .y_label_area_size(54),
        };
        builder
    }

    /// The lines and numbers behind a drawing.
    fn mesh<'a, 'b>(
        &'b self,
        chart: &'b mut ChartContext<'a, SVGBackend<'a>, Plane>,
        frame: Frame,
        label: &'b dyn Fn(&f64) -> String,
    ) -> Mesh<'a, 'b> {
        let mut mesh = chart.configure_mesh();
        if let (Unit::Of(unit), Frame::File) = (&self.unit, frame) {
            mesh.y_desc(unit);
        }
        if frame == Frame::Page {
            mesh.y_labels(5);
        }
        mesh.disable_x_mesh()
            .y_label_formatter(label)
            .axis_style(TEXT.mix(0.6))
            .bold_line_style(TEXT.mix(0.25))
            .light_line_style(TRANSPARENT)
            .label_style(frame.font().into_font().color(&TEXT));
        mesh
    }

    /// The names of the series, beside the drawing.
    fn key(&self, root: &Area<'_>, frame: Frame) -> anyhow::Result<()> {
        if frame == Frame::Page {
            return Ok(());
        }
        let left = i32::try_from(frame.size().0 - LEGEND_WIDE)? + 10;
        let style = frame.font().into_font().color(&TEXT);
        let colours = COLOURS.iter().cycle();
        for (place, (series, colour)) in (0..).zip(self.series.iter().zip(colours)) {
            let top = 46 + 20 * place;
            let key = [(left, top), (left + 12, top + 12)];
            root.draw(&Rectangle::new(key, colour.filled()))?;
            let name = Text::new(series.name.as_str(), (left + 20, top - 1), style.clone());
            root.draw(&name)?;
        }
        Ok(())
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Mesh<'a, 'b> = MeshStyle<'a, 'b, RangedCoordf64, RangedCoordf64, SVGBackend<'a>>;

/// The text of a drawing, and what drawing it gave.
fn drawn<T>(
    frame: Frame,
    draw: impl FnOnce(&Area<'_>) -> anyhow::Result<T>,
) -> anyhow::Result<(String, T)> {
    let mut svg = String::new();
    let given = {
        let root = SVGBackend::with_string(&mut svg, frame.size()).into_drawing_area();
        let given = draw(&root)?;
        root.present()?;
        given
    };
    Ok((svg, given))
}
