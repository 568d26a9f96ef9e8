//! [`SelectError`]: why a selection failed.

use super::words::words;

/// Why a selection failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// More entries are requested than remain unpruned.
    #[error("{requested} entries are to be pruned, but only {remaining} remain; request at most {remaining}")]
    TooLarge {
        /// Entries requested.
        requested: usize,
        /// Entries not yet pruned.
        remaining: usize,
    },
    /// A NaN among the entries to be ranked; those that the prior mask prunes do not count. The first NaN is named.
    #[error(
        "entry {index} of segment {segment} is NaN, which has no rank; replace it, or mask it beforehand"
    )]
    Nan {
        /// Number of the segment, or of the chunk of a stream.
        segment: usize,
        /// Index of the first NaN in it.
        index: usize,
    },
    /// A prior mask whose length does not match its segment.
    #[error("the prior mask of segment {segment} has {got} words; it needs {expected}, one per 64 entries")]
    PriorLength {
        /// Number of the segment, or of the chunk of a stream.
        segment: usize,
        /// Words that are needed: one for every 64 entries begun.
        expected: usize,
        /// Words that were given.
        got: usize,
    },
    /// A stream that was not the same in a later pass.
    #[error("the stream changed between two passes; feed the same chunks in every pass")]
    StreamChanged,
}

/// Refuses a prior mask that does not have one word for every 64 entries begun.
pub fn check_prior(segment: usize, len: usize, prior: Option<&[u64]>) -> Result<(), SelectError> {
    match prior {
        Some(prior) if prior.len() != words(len) => Err(SelectError::PriorLength {
            segment,
            expected: words(len),
            got: prior.len(),
        }),
        _ => Ok(()),
    }
}
