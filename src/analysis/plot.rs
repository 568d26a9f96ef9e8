//! Plots, as SVG: [`SparsityCurves`], and those of reports.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::element::DashedPathElement;
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
const HEIGHT: u32 = 460;
/// Height of a line of the legend.
const LINE: u32 = 20;
/// A curve's label in the legend begins after a piece of the curve of this length.
const SAMPLE: i32 = 24;

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

        let beside = self.legend_beside();
        let (width, height) = beside.unwrap_or((0, 0));
        let area = SVGBackend::with_string(svg, (WIDTH + width, HEIGHT.max(height))).into_drawing_area();
        area.fill(&WHITE)?;
        let (plot, legend) = area.split_horizontally(WIDTH);
        let mut chart = ChartBuilder::on(&plot)
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
            .y_label_formatter(&|value| short(*value))
            .x_desc("weights pruned")
            .y_desc(&self.y_label)
            .draw()?;
        if let Some((label, value)) = &self.level {
            let line = [(ends.start, *value), (ends.end, *value)];
            chart
                .draw_series(DashedLineSeries::new(line, 5, 5, INK.mix(0.6).into()))?
                .label(label)
                .legend(level_sample);
        }
        for (number, (label, points)) in self.curves.iter().enumerate() {
            let style = CurveStyle::of(number);
            let line = points.iter().map(|point| (point.sparsity, point.value));
            let drawn = match style.dashes {
                None => chart.draw_series(LineSeries::new(line.clone(), style.line))?,
                Some((dash, gap)) => {
                    chart.draw_series(DashedLineSeries::new(line.clone(), dash, gap, style.line))?
                }
            };
            drawn.label(label).legend(move |at| style.sample(at));
            chart.draw_series(line.map(|point| Circle::new(point, 4, style.line.filled())))?;
            let spread = points.iter().filter(|point| point.spread > 0.0);
            chart.draw_series(spread.map(|point| {
                let (low, high) = (point.value - point.spread, point.value + point.spread);
                PathElement::new(
                    [(point.sparsity, low), (point.sparsity, high)],
                    style.line.color.mix(0.6).stroke_width(2),
                )
            }))?;
        }
        if beside.is_some() {
            self.draw_legend(&legend)?;
        } else {
            chart
                .configure_series_labels()
                .position(self.free_corner())
                .margin(16)
                .legend_area_size(34)
                .label_font(text(14))
                .draw()?;
        }
        area.present()?;
        Ok(())
    }

    /// The size of a legend beside the plot, where one within it would hide curves.
    fn legend_beside(&self) -> Option<(u32, u32)> {
        let labels = self.curves.iter().map(|curve| &curve.0);
        let longest = labels.map(|label| text_width(label)).max().unwrap_or(0);
        let beside = self.curves.len() > 5 || longest > 200;
        beside.then(|| (longest + 50, 80 + LINE * (self.curves.len() as u32 + 1)))
    }

    /// The legend beside the plot, in the order in which the curves end.
    fn draw_legend<DB: DrawingBackend>(
        &self,
        area: &DrawingArea<DB, plotters::coord::Shift>,
    ) -> std::result::Result<(), DrawingAreaErrorKind<DB::ErrorType>> {
        let mut order: Vec<_> = self.curves.iter().enumerate().collect();
        let end = |points: &[CurvePoint]| points.last().map_or(f64::NEG_INFINITY, |point| point.value);
        order.sort_by(|a, b| end(&b.1.1).total_cmp(&end(&a.1.1)));
        let mut at = (4, 60);
        for (number, (label, _)) in order {
            area.draw(&CurveStyle::of(number).sample(at))?;
            area.draw(&Text::new(
                label.as_str(),
                (at.0 + SAMPLE + 10, at.1 - 7),
                text(14),
            ))?;
            at.1 += LINE as i32;
        }
        if let Some((label, _)) = &self.level {
            area.draw(&level_sample(at))?;
            area.draw(&Text::new(
                label.as_str(),
                (at.0 + SAMPLE + 10, at.1 - 7),
                text(14),
            ))?;
        }
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
            .map(|parameter| text_width(&parameter.path))
            .max();
        let left = 40 + longest.unwrap_or(0) as i32;
        // Long names make the picture wider, not the bars shorter.
        let right = left.max(200) + 320;
        let size = (right as u32 + 190, (90 + ROW * rows) as u32);
        let area = SVGBackend::with_string(svg, size).into_drawing_area();
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

/// How many pixels a text of size 14 takes at most, as long as it is not all capitals.
fn text_width(text: &str) -> u32 {
    7 * text.chars().count() as u32
}

/// A number without trailing zeros.
fn short(value: f64) -> String {
    let text = format!("{value:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    match text {
        "0" | "-0" if value.abs() > 1e-9 => format!("{value:.1e}"),
        "-0" => "0".to_owned(),
        text => text.to_owned(),
    }
}

/// How a curve is drawn.
#[derive(Clone, Copy)]
struct CurveStyle {
    line: ShapeStyle,
    /// Lengths of dashes and of gaps, where the line is not solid.
    dashes: Option<(i32, i32)>,
}

impl CurveStyle {
    /// Of the curve of this number: its colour, and if all have been used, another kind of line.
    fn of(number: usize) -> Self {
        CurveStyle {
            line: COLOURS[number % COLOURS.len()].stroke_width(3),
            dashes: [None, Some((9, 5)), Some((3, 4))][number / COLOURS.len() % 3],
        }
    }

    /// A piece of the line, for a legend.
    fn sample(self, (x, y): (i32, i32)) -> DashedPathElement<std::array::IntoIter<(i32, i32), 2>, i32> {
        let (dash, gap) = self.dashes.unwrap_or((SAMPLE, 0));
        DashedPathElement::new([(x, y), (x + SAMPLE, y)], dash, gap, self.line)
    }
}

/// A piece of the line at a level, for a legend.
fn level_sample((x, y): (i32, i32)) -> DashedPathElement<std::array::IntoIter<(i32, i32), 2>, i32> {
    let line = [(x, y), (x + SAMPLE, y)];
    DashedPathElement::new(line, 5, 5, INK.mix(0.6))
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
