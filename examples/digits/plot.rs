//! The comparison, as a picture.

use std::error::Error;
use std::ops::Range;
use std::path::Path;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::prelude::*;

use crate::report::Comparison;

const INK: RGBColor = RGBColor(60, 60, 60);
const GREEN: RGBColor = RGBColor(27, 120, 55);
const ORANGE: RGBColor = RGBColor(217, 119, 6);
const BLUE: RGBColor = RGBColor(69, 117, 180);

/// Draws accuracy against sparsity, into an SVG file.
pub fn draw(comparison: &Comparison, file: &Path) -> Result<(), Box<dyn Error>> {
    let Comparison {
        magnitude,
        random,
        untuned,
    } = comparison;
    let axis = SparsityAxis(magnitude.iter().map(|stage| stage.sparsity).collect());
    let ends = axis.range();
    let text = |size: u32| ("sans-serif", size).into_font().color(&INK);

    let area = SVGBackend::new(file, (760, 460)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .margin(20)
        .margin_right(36)
        .caption(
            "Handwritten digits: a 64-300-100-10 network, pruned globally",
            text(18),
        )
        .x_label_area_size(50)
        .y_label_area_size(62)
        .build_cartesian_2d(axis, 0.0..100.0)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(INK.mix(0.12))
        .axis_style(INK.mix(0.5))
        .label_style(text(14))
        .x_desc("weights pruned")
        .y_desc("accuracy on test images")
        .y_label_formatter(&|y| format!("{y:.0} %"))
        .draw()?;

    let level = percent(magnitude[0].accuracy);
    let line = [(ends.start, level), (ends.end, level)];
    chart
        .draw_series(DashedLineSeries::new(line, 5, 5, INK.mix(0.6).into()))?
        .label("not pruned")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 24, y)], INK.mix(0.6)));
    for (label, stages, colour) in [
        ("by magnitude, fine-tuned", magnitude, GREEN),
        ("at random, fine-tuned", random, ORANGE),
        ("by magnitude, not fine-tuned", untuned, BLUE),
    ] {
        let points: Vec<(f64, f64)> = stages
            .iter()
            .map(|stage| (stage.sparsity, percent(stage.accuracy)))
            .collect();
        chart
            .draw_series(LineSeries::new(points.clone(), colour.stroke_width(3)))?
            .label(label)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], colour.stroke_width(3)));
        chart.draw_series(
            points
                .into_iter()
                .map(|point| Circle::new(point, 4, colour.filled())),
        )?;
    }
    chart.draw_series([Circle::new((ends.start, level), 4, INK.filled())])?;
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerLeft)
        .margin(20)
        .legend_area_size(34)
        .label_font(text(14))
        .draw()?;
    area.present()?;
    Ok(())
}

fn percent(share: f64) -> f64 {
    100.0 * share
}

/// An axis of these sparsities, on which each halving of the remaining weights has the same length.
struct SparsityAxis(Vec<f64>);

impl Ranged for SparsityAxis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, &sparsity: &f64, (left, right): (i32, i32)) -> i32 {
        let halvings = |sparsity: f64| -(1.0 - sparsity).log2();
        let share = halvings(sparsity) / halvings(self.range().end);
        left + (share * f64::from(right - left)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.0.clone()
    }

    fn range(&self) -> Range<f64> {
        0.0..self.0.iter().copied().fold(0.0, f64::max)
    }
}

impl ValueFormatter<f64> for SparsityAxis {
    fn format_ext(&self, sparsity: &f64) -> String {
        format!("{:.0} %", percent(*sparsity))
    }
}
