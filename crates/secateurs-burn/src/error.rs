//! [`Error`]: what burn and secateurs report.

use burn_core::store::RecordError;

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong beside what [`secateurs::Error`] says. A call that returns an error has changed nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What secateurs reported.
    #[error(transparent)]
    Pruning(#[from] secateurs::Error),
    /// A parameter that cannot be pruned because of its type.
    #[error("`{path}` has type {dtype}; parameters of f16, bf16, f32 and f64 can be pruned")]
    NotFloat {
        /// Path of the parameter.
        path: String,
        /// Its type.
        dtype: String,
    },
    /// A parameter that has a reparameterization of another kind already. burn allows one for each parameter.
    #[error(
        "`{path}` has the reparameterization `{name}`, and burn allows one for each parameter; fold it into the \
         weights with `Module::materialize` first"
    )]
    Reparameterized {
        /// Path of the parameter.
        path: String,
        /// Name of the reparameterization.
        name: String,
    },
    /// Masks cannot be taken off, because burn can take off only all reparameterizations of a module at once.
    #[error(
        "cannot take the mask off `{path}`: burn takes off all reparameterizations of a module at once, and `{other}` \
         has one named `{name}`; remove masks before it is attached, or fold both with `Module::materialize`"
    )]
    NotAlone {
        /// Path of the parameter whose mask was to be taken off.
        path: String,
        /// Path of a parameter with a reparameterization of another kind.
        other: String,
        /// Name of that reparameterization.
        name: String,
    },
    /// A value that its module keeps outside of a `Param`, such as the running mean of `BatchNorm`, or in a module that
    /// does not map its parameters.
    #[error("`{path}` cannot be pruned: its module does not keep a reparameterization")]
    NotKept {
        /// Path of the value.
        path: String,
    },
    /// A record that does not fit the module.
    #[error("{0}")]
    Record(RecordError),
    /// A tensor that the backend could not read.
    #[error("cannot read `{path}`: {error}")]
    Read {
        /// Path of the parameter.
        path: String,
        /// What the backend reported.
        error: Box<dyn std::error::Error + Send + Sync>,
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
