//! [`AnalysisError`].

/// An analysis that was set up wrongly, or a plot that could not be drawn.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AnalysisError {
    /// A list of sparsities to try that is empty.
    #[error("no sparsity to try was listed; list at least one in [0, 1]")]
    NoLevels,
    /// A plot that could not be drawn.
    #[error("the plot cannot be drawn: {reason}")]
    Plot {
        /// What the plotting library said.
        reason: String,
    },
}
