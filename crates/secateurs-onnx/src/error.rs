//! [`Error`].

use std::path::PathBuf;

use crate::options::ScoreError;

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What keeps a model from being read, cut or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file that could not be read or written.
    #[error("cannot {action} {path}: {error}", path = path.display())]
    Io {
        /// What was being done, such as `read`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// Options that the model does not fit.
    #[error("{reason}")]
    Options {
        /// What does not fit.
        reason: String,
    },
    /// A budget that cannot be met.
    #[error(
        "the budget cannot be met: with all removed that can be, the model still takes {least:.1} % of what it took, and not \
         {requested:.1} %"
    )]
    Budget {
        /// The budget, in per cent.
        requested: f64,
        /// The least that can be reached, in per cent.
        least: f64,
    },
    /// A file of weights that does not lie in the folder of the model.
    #[error(
        "the weight `{at}` is in the file `{location}`, which is not in the folder of the model; nothing was read from it"
    )]
    Outside {
        /// The file, as the model names it.
        location: String,
        /// Name of the weight.
        at: String,
    },
    /// Bytes that are not an ONNX model.
    #[error("not an ONNX model, or a damaged one: {reason}, at byte {offset}")]
    Damaged {
        /// What is wrong.
        reason: &'static str,
        /// Where, in the file or in a part of it.
        offset: usize,
    },
    /// A graph that contradicts itself.
    #[error("the graph contradicts itself at `{at}`: {reason}")]
    Inconsistent {
        /// Name of a node or a tensor.
        at: String,
        /// What does not fit together.
        reason: String,
    },
    /// A feature of ONNX that this crate does not have.
    #[error("{what}, which is not supported yet{}", at.as_ref().map(|at| format!(" (at `{at}`)")).unwrap_or_default())]
    Unsupported {
        /// What it is.
        what: String,
        /// Name of the node or tensor, if there is one.
        at: Option<String>,
    },
    /// Scores that a function cannot compute.
    #[error("the scores of `{weight}` cannot be computed: {error}")]
    Scores {
        /// The name of the weight.
        weight: String,
        /// Why not.
        #[source]
        error: ScoreError,
    },
    /// Nothing that can be removed.
    #[error("nothing can be removed: {reason}")]
    NothingToRemove {
        /// Why not.
        reason: String,
    },
    /// A smaller model that does not compute what the masked model computes.
    #[error(
        "the smaller model differs from the masked one by {deviation:e} relative to its largest output, more than \
         {tolerance:e}; nothing was written. This is a bug: please report it with the model"
    )]
    NotExact {
        /// The largest difference, relative to the largest output.
        deviation: f64,
        /// What is allowed.
        tolerance: f64,
    },
    /// A module that cannot be exported to ONNX.
    #[cfg(feature = "nn")]
    #[error("the module `{path}` cannot be exported: {reason}")]
    Export {
        /// Its path, such as `0.1`; empty for the model itself.
        path: String,
        /// Why not.
        reason: String,
    },
    /// What the pruning library refuses: an amount, or an output that exists.
    #[error(transparent)]
    Prune(#[from] secateurs::Error),
}
