//! [`Error`], which wraps the errors of every part of the crate, and those errors by name.
//!
//! Each part of the crate has a small error type of its own. To match an error, match its part first:
//!
//! ```
//! use secateurs::Error;
//! use secateurs::error::AmountError;
//! use secateurs::mask::Amount;
//!
//! match Amount::try_from(1.5) {
//!     Err(Error::Amount(AmountError::FractionOutOfRange { value })) => assert_eq!(value, 1.5),
//!     other => panic!("1.5 is not a fraction: {other:?}"),
//! }
//! ```

use std::path::PathBuf;

pub use crate::analysis::AnalysisError;
#[cfg(feature = "checkpoint")]
pub use crate::checkpoint::distributed::DistributedError;
#[cfg(feature = "checkpoint")]
pub use crate::checkpoint::{CheckpointError, Damage, MaskTensorError, OutputError, PackError};
pub use crate::criteria::CriteriaError;
pub use crate::criteria::sparse_gpt::SparseGptError;
pub use crate::mask::select::SelectError;
pub use crate::mask::{AmountError, ListError, MaskError, NormError, PatternError};
#[cfg(feature = "nn")]
pub use crate::nn::NnError;
pub use crate::prunable::ModelError;
#[cfg(feature = "nn")]
pub use crate::tensor::TensorError;
pub use crate::train::TrainError;

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong in this crate.
///
/// A message says what was wrong, where, and what to do about it. A call that returns an error has changed nothing.
///
/// Messages are complete: [`source`](std::error::Error::source) returns nothing that the message already says.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An amount that is invalid, or more than there is to prune.
    #[error(transparent)]
    Amount(#[from] AmountError),
    /// A norm that is invalid, or does not fit a tensor.
    #[error(transparent)]
    Norm(#[from] NormError),
    /// A dimension, or a pattern of channels, groups or blocks, that a tensor does not have.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// A mask, an array of scores or a method that does not fit what it is used for.
    #[error(transparent)]
    Mask(#[from] MaskError),
    /// An invalid list of parameters to be pruned together.
    #[error(transparent)]
    List(#[from] ListError),
    /// Settings, weights or data that a criterion cannot use.
    #[error(transparent)]
    Criteria(#[from] CriteriaError),
    /// A path without a parameter, a parameter that is not pruned, or a model that contradicts itself.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A schedule, or a pruner for training, that was set up wrongly.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// An analysis that was set up wrongly, or a plot that could not be drawn.
    #[error(transparent)]
    Analysis(#[from] AnalysisError),
    /// An operation on tensors whose shapes do not fit.
    #[cfg(feature = "nn")]
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// A module, an optimiser or a state dict that was set up wrongly.
    #[cfg(feature = "nn")]
    #[error(transparent)]
    Nn(#[from] NnError),
    /// A checkpoint that cannot be read, pruned or written.
    #[cfg(feature = "checkpoint")]
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A file that could not be read or written.
    #[error("cannot {action} {path}: {error}", path = path.display())]
    Io {
        /// What was being done with the file, such as `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// What the framework reported in which a model lives, such as candle or burn.
    #[error("{0}")]
    Framework(Box<dyn std::error::Error + Send + Sync>),
    /// An error about one parameter.
    #[error("parameter `{path}`: {error}")]
    Parameter {
        /// Path of the parameter.
        path: String,
        /// What was wrong with it.
        error: Box<Error>,
    },
}

impl Error {
    /// Names the parameter that an error is about, unless the error names it already.
    pub(crate) fn at(self, path: &str) -> Self {
        match self {
            unnamed if path.is_empty() => unnamed,
            Error::Mask(MaskError::NanScore {
                parameter: None,
                index,
            }) => Error::Mask(MaskError::NanScore {
                parameter: Some(path.to_owned()),
                index,
            }),
            named @ (Error::Mask(MaskError::NanScore { .. }) | Error::Parameter { .. } | Error::Model(_)) => {
                named
            }
            of_a_file @ Error::Io { .. } => of_a_file,
            #[cfg(feature = "checkpoint")]
            of_a_file @ Error::Checkpoint(CheckpointError::ChangedMeanwhile { .. }) => of_a_file,
            other => Error::Parameter {
                path: path.to_owned(),
                error: Box::new(other),
            },
        }
    }
}

impl From<SparseGptError> for Error {
    fn from(error: SparseGptError) -> Self {
        Error::Criteria(error.into())
    }
}

/// Lets a conversion that cannot fail stand where one that can is expected.
impl From<std::convert::Infallible> for Error {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}
