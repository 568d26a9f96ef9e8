//! [`DistributedError`].

/// Counts, or parts of a checkpoint, that do not fit together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DistributedError {
    /// A tensor that is in two of the files.
    #[error("tensor `{name}` is in two of the files; give each file once, and files of one checkpoint only")]
    InTwoFiles {
        /// Name of the tensor.
        name: String,
    },
    /// A tensor of a file that is not what it was when the search began.
    #[error("tensor `{name}` has another type or shape than when the search began; begin a new search")]
    AnotherTensor {
        /// Name of the tensor.
        name: String,
    },
    /// Counts for another pass, or for another search.
    #[error("these are counts for another pass or another search; count by the present pass of this search")]
    AnotherPass,
    /// Counts of a tensor that were merged twice.
    #[error("tensor `{name}` was counted twice; merge the counts of each file once")]
    CountedTwice {
        /// Name of the tensor.
        name: String,
    },
    /// A tensor without counts.
    #[error("tensor `{name}` was not counted; merge the counts of all files")]
    NotCounted {
        /// Name of the tensor.
        name: String,
    },
    /// Counts that contradict those of an earlier pass.
    #[error("a file changed between two passes; begin a new search when nothing writes to the files")]
    Changed,
}
