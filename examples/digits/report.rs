//! The comparison, as a table.

use std::fmt;

use crate::pruning::Stage;
use crate::size::size;

/// What three ways of pruning make of one trained network at the same sparsities, 0 first.
pub struct Comparison {
    /// Pruned by magnitude and fine-tuned.
    pub magnitude: Vec<Stage>,
    /// Pruned at random and fine-tuned.
    pub random: Vec<Stage>,
    /// Pruned by magnitude and left at that.
    pub untuned: Vec<Stage>,
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = "─".repeat(76);
        writeln!(f, "{:>10}{:^38}", "", "accuracy on test images, %")?;
        writeln!(
            f,
            "{:>10}{:>13}{:>13}{:>13}",
            "", "by magnitude,", "at random,", "by magnitude,"
        )?;
        writeln!(
            f,
            "{:>10}{:>13}{:>13}{:>13}{:>10}{:>11}",
            "sparsity", "fine-tuned", "fine-tuned", "as it is", "non-zero", "bytes"
        )?;
        writeln!(f, "{rule}")?;
        let before = size(&self.magnitude[0].baked);
        for ((magnitude, random), untuned) in self.magnitude.iter().zip(&self.random).zip(&self.untuned) {
            let after = size(&magnitude.baked);
            writeln!(
                f,
                "{:>8.0} %{:>13.2}{:>13.2}{:>13.2}{:>10}{:>11}{:>7}",
                percent(magnitude.sparsity),
                percent(magnitude.accuracy),
                percent(random.accuracy),
                percent(untuned.accuracy),
                grouped(after.nonzero),
                grouped(after.bytes),
                format!("÷ {:.1}", before.bytes as f64 / after.bytes as f64),
            )?;
        }
        writeln!(f, "{rule}")
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
        if i > 0 && (digits.len() - i) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
