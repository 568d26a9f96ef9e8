//! [`CriteriaError`]: what a criterion cannot use.

use super::sparse_gpt::SparseGptError;

/// What a criterion cannot use.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CriteriaError {
    /// Settings, weights or calibration data that SparseGPT cannot use.
    #[error(transparent)]
    SparseGpt(#[from] SparseGptError),
    /// A weight without a dimension of inputs.
    #[error(
        "a weight of shape {shape:?} has no rows of inputs; give one of outputs × inputs, and reshape that of a convolution"
    )]
    NoInputs {
        /// The shape of the weight.
        shape: Vec<usize>,
    },
    /// A step of differences that is not above 0 and finite.
    #[error("{value} is not a valid step for differences; give a finite number above 0, such as 0.001")]
    Step {
        /// The value that was given.
        value: f64,
    },
    /// A factor of the mean that is not above 0 and finite.
    #[error("{value} is not a valid factor of the mean; give a finite number above 0, such as 5")]
    Factor {
        /// The value that was given.
        value: f64,
    },
    /// A setting of OWL that is out of range.
    #[error(
        "{value} is not a valid {setting}; give a finite number, and for target and lambda one in [0, 1]"
    )]
    OwlSetting {
        /// Which setting.
        setting: &'static str,
        /// The value that was given.
        value: f64,
    },
}
