//! [`Error`].

use std::path::PathBuf;

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
    /// An output that exists.
    #[error("{path} exists; choose another output, or ask for it to be replaced", path = path.display())]
    Exists {
        /// The output.
        path: PathBuf,
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
    /// Nothing that can be removed.
    #[error("no channel can be removed exactly: {pinned} channels are held by {reasons}")]
    NothingToRemove {
        /// Channels that are held.
        pinned: usize,
        /// By what.
        reasons: String,
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
    /// What the pruning library refuses.
    #[error(transparent)]
    Prune(#[from] secateurs::Error),
}
