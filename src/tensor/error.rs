//! [`TensorError`]: an operation on tensors whose shapes do not fit.

/// An operation on tensors whose shapes do not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{op}: {reason}; the shapes are {shapes:?}")]
pub struct TensorError {
    /// The operation.
    pub op: &'static str,
    /// What does not fit.
    pub reason: String,
    /// Shapes of the operands.
    pub shapes: Vec<Vec<usize>>,
}
