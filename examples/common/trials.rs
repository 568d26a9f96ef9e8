//! Accuracies of several networks, each pruned in several ways to several sparsities: a table and a plot.

use std::fmt;

use secateurs::Result;
use secateurs::analysis::{CurvePoint, SparsityCurves};

/// What several ways of pruning cost, over several networks.
pub struct Trials {
    /// The sparsities, one for each row.
    pub sparsities: Vec<f64>,
    /// The accuracies of the dense networks.
    pub dense: Vec<f64>,
    /// Each way of pruning: its name, and the accuracies by sparsity and network.
    pub ways: Vec<(&'static str, Vec<Vec<f64>>)>,
}

impl Trials {
    /// The mean accuracies as curves, with their standard deviations, as the text of an SVG file.
    pub fn to_svg(&self, title: &str) -> Result<String> {
        let plot = SparsityCurves::new(title, "accuracy on test images, %");
        let plot = plot.level("dense", 100.0 * mean(&self.dense));
        let plot = self.ways.iter().fold(plot, |plot, (name, accuracies)| {
            let points = self.sparsities.iter().zip(accuracies);
            let points = points.map(|(&sparsity, accuracies)| CurvePoint {
                sparsity,
                value: 100.0 * mean(accuracies),
                spread: 100.0 * deviation(accuracies),
            });
            plot.curve(*name, points)
        });
        plot.to_svg()
    }
}

impl fmt::Display for Trials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seeds, width) = (self.dense.len(), 17 * self.ways.len() + 12);
        let cell = |accuracies: &[f64]| {
            format!(
                "{:.2} ± {:.2}",
                100.0 * mean(accuracies),
                100.0 * deviation(accuracies)
            )
        };
        writeln!(
            f,
            " accuracy on test images, %: mean and standard deviation of {seeds} networks"
        )?;
        writeln!(f, " dense: {}\n", cell(&self.dense))?;
        write!(f, "   sparsity ")?;
        self.ways
            .iter()
            .try_for_each(|(name, _)| write!(f, "{name:>17}"))?;
        writeln!(f, "\n{}", "─".repeat(width))?;
        for (row, sparsity) in self.sparsities.iter().enumerate() {
            write!(f, "{:>9.2} % ", 100.0 * sparsity)?;
            let cells = self.ways.iter().map(|(_, accuracies)| cell(&accuracies[row]));
            cells.into_iter().try_for_each(|cell| write!(f, "{cell:>17}"))?;
            writeln!(f)?;
        }
        write!(f, "{}", "─".repeat(width))
    }
}

/// The mean.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The standard deviation of a sample; 0 of a single value.
fn deviation(values: &[f64]) -> f64 {
    let (mean, others) = (mean(values), values.len().saturating_sub(1).max(1) as f64);
    let squares = values.iter().map(|value| (value - mean) * (value - mean));
    (squares.sum::<f64>() / others).sqrt()
}
