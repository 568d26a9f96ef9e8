//! [`Outcome`] and [`GlobalOutcome`]: what pruning came to.

use crate::mask::Mask;

/// What pruning one tensor came to.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Outcome {
    /// The new mask; it keeps nothing that the prior mask pruned.
    pub mask: Mask,
    /// Units (entries, or channels or blocks for methods that prune these) that were requested; `None` where a
    /// method does not request a number, as a custom mask and N:M do not.
    pub requested: Option<usize>,
    /// Units that are pruned now and were not before.
    pub pruned: usize,
}

/// What ranking several tensors together came to.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct GlobalOutcome {
    /// The new masks, in the order of the tensors.
    pub masks: Vec<Mask>,
    /// Entries that were requested, if the method requests a number.
    pub requested: Option<usize>,
    /// Entries that are pruned now and were not before.
    pub pruned: usize,
}
