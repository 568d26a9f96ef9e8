//! [`TensorError`]: an operation on tensors whose shapes do not fit.

use std::fmt;

/// An operation on tensors whose shapes do not fit.
///
/// The message reads `linear of [2, 4] and [3, 5]: the last dimension of …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorError {
    /// The operation.
    pub op: &'static str,
    /// What does not fit, and what would.
    pub reason: String,
    /// Shapes of the operands.
    pub shapes: Vec<Vec<usize>>,
}

impl fmt::Display for TensorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.op)?;
        for (number, shape) in self.shapes.iter().enumerate() {
            let before = match number {
                0 => " of",
                last if last + 1 == self.shapes.len() => " and",
                _ => ",",
            };
            write!(f, "{before} {shape:?}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

impl std::error::Error for TensorError {}
