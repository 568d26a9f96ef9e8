//! [`ModelError`]: a path without a parameter, or a parameter that is not pruned.

use crate::mask::FloatType;

/// A path without a parameter, a parameter that is not pruned, or a model that contradicts itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A path that leads to no parameter.
    #[error("there is no parameter `{path}`{}", hint(nearest))]
    UnknownParameter {
        /// The path that was given.
        path: String,
        /// The most similar paths of the model, at most three.
        nearest: Vec<String>,
    },
    /// A parameter that is not pruned, where only a pruned one makes sense.
    #[error("parameter `{path}` is not pruned, so it has no mask to remove or discard")]
    NotPruned {
        /// Path of the parameter.
        path: String,
    },
    /// A name that is taken already.
    #[error("there is a parameter `{name}` already; choose another name")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// Values of another float type than the parameter they are for.
    #[error(
        "parameter `{path}` is of type {expected}, but values of type {got} were given; convert them first"
    )]
    OtherType {
        /// Path of the parameter.
        path: String,
        /// The type of the parameter.
        expected: FloatType,
        /// The type of the values.
        got: FloatType,
    },
    /// A model whose answers contradict each other.
    #[error("the model contradicts itself at `{path}`: {reason}")]
    Inconsistent {
        /// Path of the parameter or module.
        path: String,
        /// What does not fit together.
        reason: &'static str,
    },
}

/// What to try in place of an unknown name.
pub(crate) fn hint(nearest: &[String]) -> String {
    match nearest {
        [] => String::new(),
        names => {
            let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            format!("; the nearest are {}", names.join(", "))
        }
    }
}
