//! How PyTorch's state dicts name the two tensors of a pruned parameter.

/// The suffix in the name of a pruned parameter's original.
pub(crate) const ORIGINAL: &str = "_orig";
/// The suffix in the name of a pruned parameter's mask.
pub(crate) const MASK: &str = "_mask";
