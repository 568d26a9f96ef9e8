//! [`Outcome`] and [`GlobalOutcome`]: the result of pruning.

use crate::mask::Mask;

/// The result of pruning one tensor.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Outcome {
    /// The new mask. It keeps nothing that the prior mask pruned.
    pub mask: Mask,
    /// Units that were requested: entries, or channels or blocks for methods that prune those. `None` for methods
    /// without an amount, such as custom masks and N:M.
    pub requested: Option<usize>,
    /// Units that are pruned now and were not before.
    pub pruned: usize,
}

/// The result of pruning several tensors that are ranked together.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct GlobalOutcome {
    /// The new masks, in the order of the tensors.
    pub masks: Vec<Mask>,
    /// Entries that were requested. `None` for methods without an amount.
    pub requested: Option<usize>,
    /// Entries that are pruned now and were not before.
    pub pruned: usize,
}
