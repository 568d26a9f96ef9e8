//! The comparison, as a picture.

use std::error::Error;
use std::fs;
use std::path::Path;

use secateurs::analysis::{CurvePoint, SparsityCurves};

use crate::pruning::Stage;
use crate::report::Comparison;

/// Draws accuracy against sparsity, into an SVG file.
pub fn draw(comparison: &Comparison, file: &Path) -> Result<(), Box<dyn Error>> {
    let Comparison {
        magnitude,
        random,
        untuned,
    } = comparison;
    let title = "Handwritten digits: a 64-300-100-10 network, pruned globally";
    let plot = SparsityCurves::new(title, "accuracy on test images, %")
        .level("not pruned", 100.0 * magnitude[0].accuracy)
        .curve("by magnitude, fine-tuned", points(magnitude))
        .curve("at random, fine-tuned", points(random))
        .curve("by magnitude, not fine-tuned", points(untuned));
    Ok(fs::write(file, plot.to_svg()?)?)
}

fn points(stages: &[Stage]) -> impl Iterator<Item = CurvePoint> {
    stages.iter().map(|stage| CurvePoint {
        sparsity: stage.sparsity,
        value: 100.0 * stage.accuracy,
        spread: 0.0,
    })
}
