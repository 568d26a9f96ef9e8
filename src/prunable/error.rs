//! [`ModelError`]: a path that leads to no parameter, or a list of paths that makes no sense.

/// A path that leads to no parameter, or a list of paths that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A path that leads to no parameter.
    #[error("there is no parameter `{path}`{}", hint(nearest))]
    UnknownParameter {
        /// The path that was given.
        path: String,
        /// The paths of the model that are most like it, at most three.
        nearest: Vec<String>,
    },
    /// A parameter that had to be pruned and is not.
    #[error("parameter `{path}` is not pruned, so it has no mask to remove or discard")]
    NotPruned {
        /// Path of the parameter.
        path: String,
    },
    /// An empty list of parameters.
    #[error("no parameter was listed; global pruning ranks at least one")]
    NoParameters,
    /// A parameter listed twice, be it by two paths that lead to one parameter.
    #[error("parameter `{path}` is listed twice; list each parameter once")]
    ListedTwice {
        /// Path of the parameter.
        path: String,
    },
    /// Scores for a parameter that is not being pruned.
    #[error("scores were given for `{path}`, which is not in the list of parameters")]
    UnexpectedScores {
        /// Path of the parameter.
        path: String,
    },
    /// A cap for a parameter that is not being pruned.
    #[error("a cap was given for `{path}`, which is not in the list of parameters")]
    UnexpectedCap {
        /// Path of the parameter.
        path: String,
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

/// What to try instead of an unknown name.
pub(crate) fn hint(nearest: &[String]) -> String {
    match nearest {
        [] => String::new(),
        names => {
            let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            format!("; the nearest are {}", names.join(", "))
        }
    }
}
