//! [`Error`]: what candle and secateurs report.

use candle_core::DType;

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong beside what [`secateurs::Error`] says. A call that returns an error has changed nothing, unless it
/// says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What candle reported.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// What secateurs reported.
    #[error(transparent)]
    Pruning(#[from] secateurs::Error),
    /// A variable that cannot be pruned because of its type.
    #[error("`{name}` has dtype {dtype:?}; variables of f16, bf16, f32 and f64 can be pruned")]
    NotFloat {
        /// Name of the variable.
        name: String,
        /// Its type.
        dtype: DType,
    },
    /// A variable whose place in the `VarMap` another variable has taken, so that pruning it would change nothing.
    #[error(
        "`{name}` is another variable in the VarMap now than when the CandleModel was made (then {before:?}, now \
         {now:?}); make a new CandleModel"
    )]
    Replaced {
        /// Name of the variable.
        name: String,
        /// The shape that it had.
        before: Vec<usize>,
        /// The shape of the variable that has the name now, if there is one.
        now: Option<Vec<usize>>,
    },
    /// A variable that is a view into another one's memory, which cannot be changed in place.
    #[error(
        "`{name}` is not contiguous, so it cannot be changed in place; make it from `tensor.contiguous()`"
    )]
    NotContiguous {
        /// Name of the variable.
        name: String,
    },
    /// Two variables of a list that have one name.
    #[error("there are two variables named `{name}`")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// A gradient that does not have the shape of its variable.
    #[error("the gradient of `{name}` has shape {got:?}, the variable has {expected:?}")]
    GradientShape {
        /// Name of the variable.
        name: String,
        /// The shape of the variable.
        expected: Vec<usize>,
        /// The shape of the gradient.
        got: Vec<usize>,
    },
}

impl From<Error> for secateurs::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Pruning(error) => error,
            other => secateurs::Error::Framework(Box::new(other)),
        }
    }
}
