//! Plots, as SVG: [`SparsityCurves`], and those of reports.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::prelude::*;

use super::{AnalysisError, Sensitivity, SparsityReport};
use crate::error::Result;

const INK: RGBColor = RGBColor(60, 60, 60);
/// Colours that can be told apart with any kind of colour vision, and in print.
const COLOURS: [RGBColor; 6] = [
    RGBColor(27, 120, 55),
    RGBColor(217, 119, 6),
    RGBColor(69, 117, 180),
    RGBColor(178, 24, 43),
    RGBColor(118, 42, 131),
    RGBColor(90, 90, 90),
];
const WIDTH: u32 = 760;

/// Curves over sparsity: the accuracy or loss of models that were pruned to several sparsities.
///
/// The axis of sparsity is such that each halving of what remains has the same length, so that 90, 95 and 98 % are as
/// far from each other as they are for a model. Values that are not finite are left out.
///
/// ```
/// use secateurs::analysis::{CurvePoint, SparsityCurves};
///
/// let point = |sparsity, mean, spread| CurvePoint { sparsity, value: mean, spread };
/// let svg = SparsityCurves::new("Two ways to prune", "accuracy, %")
///     .level("not pruned", 98.2)
///     .curve("gradually", [point(0.9, 98.0, 0.2), point(0.95, 97.5, 0.3), point(0.98, 94.0, 0.8)])
///     .curve("at once", [point(0.9, 97.1, 0.4), point(0.95, 94.8, 0.9), point(0.98, 81.0, 2.1)])
///     .to_svg()?;
/// assert!(svg.starts_with("<svg"));
/// # Ok::<(), secateurs::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SparsityCurves {
    title: String,
    y_label: String,
    level: Option<(String, f64)>,
    curves: Vec<(String, Vec<CurvePoint>)>,
}

/// A point of a curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CurvePoint {
    /// The sparsity, in [0, 1].
    pub sparsity: f64,
    /// The value, such as the mean over several runs.
    pub value: f64,
    /// How far runs are spread around it, such as their standard deviation; 0 if that is not known.
    pub spread: f64,
}

impl SparsityCurves {
    /// A plot without curves.
    pub fn new(title: impl Into<String>, y_label: impl Into<String>) -> Self {
        SparsityCurves {
            title: title.into(),
            y_label: y_label.into(),
            level: None,
            curves: Vec::new(),
        }
    }

    /// With a dashed line at a value, such as that of the dense model.
    pub fn level(mut self, label: impl Into<String>, value: f64) -> Self {
        self.level = Some((label.into(), value));
        self
    }

    /// With a curve through these points.
    pub fn curve(mut self, label: impl Into<String>, points: impl IntoIterator<Item = CurvePoint>) -> Self {
        let visible = |point: &CurvePoint| {
            let numbers = point.value.is_finite() && point.spread.is_finite();
            numbers && (0.0..1.0).contains(&point.sparsity)
        };
        let points = points.into_iter().filter(visible).collect();
        self.curves.push((label.into(), points));
        self
    }

    /// The plot, as the text of an SVG file.
    ///
    /// # Errors
    ///
    /// [`AnalysisError::Plot`] if it cannot be drawn.
    pub fn to_svg(&self) -> Result<String> {
        let mut svg = String::new();
        self.draw(&mut svg).map_err(failed)?;
        Ok(svg)
    }

    /// The values that are to be seen, with some space around them.
    fn range(&self) -> Range<f64> {
        let points = self.curves.iter().flat_map(|curve| &curve.1);
        let ends = points.flat_map(|point| [point.value - point.spread, point.value + point.spread]);
        let all = ends.chain(
            self.level
                .iter()
                .map(|level| level.1)
                .filter(|level| level.is_finite()),
        );
        let (low, high) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        if low > high {
            return 0.0..1.0;
        }
        let space = 0.06 * (high - low).max(high.abs() * 1e-3).max(1e-9);
        low - space..high + space
    }

    fn draw(&self, svg: &mut String) -> std::result::Result<(), Box<dyn std::error::Error>> {
        let points = || self.curves.iter().flat_map(|curve| &curve.1);
        let mut ticks: Vec<f64> = points().map(|point| point.sparsity).collect();
        ticks.sort_by(f64::total_cmp);
        ticks.dedup();
        let axis = SparsityAxis::new(ticks);
        let ends = axis.range();

        let area = SVGBackend::with_string(svg, (WIDTH, 460)).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .margin(20)
            .margin_right(36)
            .caption(&self.title, text(18))
            .x_label_area_size(50)
            .y_label_area_size(66)
            .build_cartesian_2d(axis, self.range())?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(INK.mix(0.12))
            .axis_style(INK.mix(0.5))
            .label_style(text(14))
            .x_desc("weights pruned")
            .y_desc(&self.y_label)
            .draw()?;
        if let Some((label, value)) = &self.level {
            let line = [(ends.start, *value), (ends.end, *value)];
            chart
                .draw_series(DashedLineSeries::new(line, 5, 5, INK.mix(0.6).into()))?
                .label(label)
                .legend(|(x, y)| PathElement::new([(x, y), (x + 24, y)], INK.mix(0.6)));
        }
        for ((label, points), colour) in self.curves.iter().zip(COLOURS.iter().copied().cycle()) {
            let line = points.iter().map(|point| (point.sparsity, point.value));
            chart
                .draw_series(LineSeries::new(line.clone(), colour.stroke_width(3)))?
                .label(label)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], colour.stroke_width(3)));
            chart.draw_series(line.map(|point| Circle::new(point, 4, colour.filled())))?;
            let spread = points.iter().filter(|point| point.spread > 0.0);
            chart.draw_series(spread.map(|point| {
                let (low, high) = (point.value - point.spread, point.value + point.spread);
                PathElement::new(
                    [(point.sparsity, low), (point.sparsity, high)],
                    colour.mix(0.6).stroke_width(2),
                )
            }))?;
        }
        chart
            .configure_series_labels()
            .position(self.free_corner())
            .margin(16)
            .legend_area_size(34)
            .label_font(text(14))
            .draw()?;
        area.present()?;
        Ok(())
    }

    /// Where the legend hides nothing: on the left, at the bottom if curves fall there, else at the top.
    fn free_corner(&self) -> SeriesLabelPosition {
        let Range { start, end } = self.range();
        let first = self.curves.iter().filter_map(|curve| curve.1.first());
        let high = first
            .clone()
            .filter(|point| point.value > f64::midpoint(start, end))
            .count();
        match 2 * high >= first.count() {
            true => SeriesLabelPosition::LowerLeft,
            false => SeriesLabelPosition::UpperLeft,
        }
    }
}

impl Sensitivity {
    /// The losses over sparsity, a curve for each parameter, as the text of an SVG file.
    ///
    /// # Errors
    ///
    /// [`AnalysisError::Plot`] if it cannot be drawn.
    pub fn to_svg(&self) -> Result<String> {
        let plot =
            SparsityCurves::new("Each parameter pruned alone", "loss").level("as it was", self.baseline);
        let plot = self.parameters.iter().fold(plot, |plot, parameter| {
            let points = self.levels.iter().zip(&parameter.losses);
            let points = points.map(|(&sparsity, &value)| CurvePoint {
                sparsity,
                value,
                spread: 0.0,
            });
            plot.curve(&parameter.path, points)
        });
        plot.to_svg()
    }
}

impl SparsityReport {
    /// The sparsity of each parameter as a bar, as the text of an SVG file.
    ///
    /// # Errors
    ///
    /// [`AnalysisError::Plot`] if it cannot be drawn.
    pub fn to_svg(&self) -> Result<String> {
        let mut svg = String::new();
        self.draw(&mut svg).map_err(failed)?;
        Ok(svg)
    }

    fn draw(&self, svg: &mut String) -> std::result::Result<(), Box<dyn std::error::Error>> {
        const ROW: i32 = 26;
        let rows = self.parameters.len() as i32;
        let longest = self
            .parameters
            .iter()
            .map(|parameter| parameter.path.chars().count())
            .max();
        let left = 40 + 8 * longest.unwrap_or(0).min(40) as i32;
        let right = WIDTH as i32 - 190;
        let area = SVGBackend::with_string(svg, (WIDTH, (90 + ROW * rows) as u32)).into_drawing_area();
        area.fill(&WHITE)?;
        let total = format!(
            "{:.2} % of {} entries pruned",
            100.0 * self.sparsity(),
            self.entries()
        );
        area.draw(&Text::new(total, (left, 24), text(18)))?;
        for (row, parameter) in self.parameters.iter().enumerate() {
            let top = 60 + ROW * row as i32;
            let end = left + ((right - left) as f64 * parameter.sparsity()).round() as i32;
            area.draw(&Rectangle::new(
                [(left, top), (right, top + ROW - 8)],
                INK.mix(0.08).filled(),
            ))?;
            area.draw(&Rectangle::new(
                [(left, top), (end, top + ROW - 8)],
                COLOURS[0].filled(),
            ))?;
            area.draw(&Text::new(parameter.path.clone(), (20, top + 3), text(14)))?;
            let label = format!("{:.1} % of {}", 100.0 * parameter.sparsity(), parameter.entries);
            area.draw(&Text::new(label, (right + 12, top + 3), text(14)))?;
        }
        area.present()?;
        Ok(())
    }
}

fn failed(error: Box<dyn std::error::Error>) -> crate::Error {
    let reason = error.to_string();
    AnalysisError::Plot { reason }.into()
}

fn text(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}

/// An axis on which each halving of the remaining weights has the same length, with these sparsities marked.
struct SparsityAxis {
    ticks: Vec<f64>,
    range: Range<f64>,
}

impl SparsityAxis {
    fn new(ticks: Vec<f64>) -> Self {
        let range = match ticks[..] {
            [] => 0.0..0.5,
            [only] => (only - 0.1).max(0.0)..f64::midpoint(only, 1.0),
            [first, .., last] => first..last,
        };
        // Too close to each other, labels would overlap.
        let (mut kept, mut last) = (Vec::new(), f64::NEG_INFINITY);
        let length = halvings(range.end) - halvings(range.start);
        for tick in ticks {
            let place = (halvings(tick) - halvings(range.start)) / length;
            if place - last >= 0.07 {
                kept.push(tick);
                last = place;
            }
        }
        SparsityAxis { ticks: kept, range }
    }
}

/// How often what remains was halved.
fn halvings(sparsity: f64) -> f64 {
    -(1.0 - sparsity).log2()
}

impl Ranged for SparsityAxis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, &sparsity: &f64, (left, right): (i32, i32)) -> i32 {
        let (start, end) = (halvings(self.range.start), halvings(self.range.end));
        let share = (halvings(sparsity) - start) / (end - start);
        left + (share * f64::from(right - left)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for SparsityAxis {
    fn format_ext(&self, sparsity: &f64) -> String {
        format!("{} %", (1000.0 * sparsity).round() / 10.0)
    }
}
