//! [`CriteriaError`]: what a criterion cannot use.

use super::sparse_gpt::SparseGptError;

/// What a criterion cannot use.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CriteriaError {
    /// Settings, weights or calibration data that SparseGPT cannot use.
    #[error(transparent)]
    SparseGpt(#[from] SparseGptError),
}
