//! The comparison, as a table.

use std::fmt;

use crate::pruning::Stage;
use crate::size::size;

/// The results of three ways of pruning one trained network, at the same sparsities, 0 first.
pub struct Comparison {
    /// Pruned by magnitude and fine-tuned.
    pub magnitude: Vec<Stage>,
    /// Pruned at random and fine-tuned.
    pub random: Vec<Stage>,
    /// Pruned by magnitude, without fine-tuning.
    pub untuned: Vec<Stage>,
}

const HEADER: &str = "                accuracy on test images, %
            magnitude,     random,  magnitude      non-zero
 sparsity   fine-tuned  fine-tuned      alone    parameters      bytes   smaller";

const FOOTER: &str = " bytes: an array as plain f32 or, where that is less, as one bit for each entry
        and the f32 of those that are not zero";

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = "─".repeat(79);
        writeln!(f, "{HEADER}\n{rule}")?;
        let before = size(&self.magnitude[0].baked);
        for ((magnitude, random), untuned) in self.magnitude.iter().zip(&self.random).zip(&self.untuned) {
            let after = size(&magnitude.baked);
            writeln!(
                f,
                "{:>7.0} %{:>13.2}{:>12.2}{:>11.2}{:>14}{:>11}{:>8.1} ×",
                percent(magnitude.sparsity),
                percent(magnitude.accuracy),
                percent(random.accuracy),
                percent(untuned.accuracy),
                grouped(after.nonzero),
                grouped(after.bytes),
                before.bytes as f64 / after.bytes as f64,
            )?;
        }
        writeln!(f, "{rule}\n{FOOTER}")
    }
}

/// How much accuracy pruning by magnitude and fine-tuning costs, over several networks.
#[allow(dead_code)] // the test of the example has one network at a time
pub struct Losses<'a>(pub &'a [Comparison]);

impl fmt::Display for Losses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            " accuracy lost against the dense network, in points, of {} networks",
            self.0.len()
        )?;
        writeln!(f, " sparsity      mean     worst")?;
        let stages = self.0.first().map_or(0, |comparison| comparison.magnitude.len());
        for stage in 0..stages {
            let losses = self.0.iter().map(|comparison| {
                let stages = &comparison.magnitude;
                percent(stages[0].accuracy - stages[stage].accuracy)
            });
            let (mean, worst) = losses.fold((0.0, f64::NEG_INFINITY), |(mean, worst), loss| {
                (mean + loss / self.0.len() as f64, worst.max(loss))
            });
            let sparsity = percent(self.0[0].magnitude[stage].sparsity);
            writeln!(f, "{sparsity:>7.0} %{mean:>10.2}{worst:>10.2}")?;
        }
        Ok(())
    }
}

fn percent(share: f64) -> f64 {
    100.0 * share
}

/// A number with a comma between thousands.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
