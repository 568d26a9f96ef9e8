//! The comparison, as a table.

use std::fmt;

use crate::pruning::Stage;
use crate::size::size;

/// A trained network, and what three ways of pruning make of it at the same sparsities.
pub struct Comparison {
    /// The network before any pruning.
    pub dense: Stage,
    /// Pruned by magnitude and fine-tuned.
    pub magnitude: Vec<Stage>,
    /// Pruned at random and fine-tuned.
    pub random: Vec<Stage>,
    /// Pruned by magnitude and left at that.
    pub untuned: Vec<Stage>,
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "             accuracy on test images, %")?;
        writeln!(f, "            magnitude    random magnitude      non-zero")?;
        writeln!(
            f,
            " sparsity  fine-tuned fine-tuned untouched   parameters      bytes"
        )?;
        let rule = "─".repeat(73);
        writeln!(f, " {rule}")?;
        let before = size(&self.dense.baked);
        let [parameters, bytes] = [before.nonzero, before.sparse].map(grouped);
        writeln!(
            f,
            "{:>9}{:>12.2}{:23}{parameters:>13}{bytes:>11}",
            "dense",
            percent(self.dense.accuracy),
            ""
        )?;
        for ((magnitude, random), untuned) in self.magnitude.iter().zip(&self.random).zip(&self.untuned) {
            let after = size(&magnitude.baked);
            writeln!(
                f,
                "{:>7.0} %{:>12.2}{:>12.2}{:>11.2}{:>13}{:>11}{:>6.1}×",
                percent(magnitude.sparsity),
                percent(magnitude.accuracy),
                percent(random.accuracy),
                percent(untuned.accuracy),
                grouped(after.nonzero),
                grouped(after.sparse),
                before.sparse as f64 / after.sparse as f64,
            )?;
        }
        writeln!(f, " {rule}")
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
