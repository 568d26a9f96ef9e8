//! [`MaskingReport`]: what came of masks that were applied, baked in, or inferred from zeros.

use std::path::PathBuf;

use safetensors::Dtype;

use super::{Counts, share};
use crate::checkpoint::TensorInfo;

/// The result of applying, baking in or inferring masks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MaskingReport {
    /// The masked tensors, in the order of their names.
    pub tensors: Vec<MaskedTensor>,
    /// The other files of the folder, copied as they are.
    pub copied: Vec<PathBuf>,
}

/// A tensor and its mask.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MaskedTensor {
    /// Name of the tensor, not of the mask.
    pub name: String,
    /// Its type.
    pub dtype: Dtype,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Entries that the mask does not keep.
    pub masked: usize,
    /// Entries that are zero under the mask, masked or zero before, of either sign.
    pub zeros: usize,
    /// Entries in all.
    pub entries: usize,
}

impl MaskingReport {
    /// Entries that the masks do not keep.
    pub fn masked(&self) -> usize {
        self.tensors.iter().map(|tensor| tensor.masked).sum()
    }

    /// Entries of the masked tensors that are zero.
    pub fn zeros(&self) -> usize {
        self.tensors.iter().map(|tensor| tensor.zeros).sum()
    }

    /// Entries of the masked tensors.
    pub fn entries(&self) -> usize {
        self.tensors.iter().map(|tensor| tensor.entries).sum()
    }

    /// The share of entries of the masked tensors that the masks do not keep, in [0, 1].
    pub fn sparsity(&self) -> f64 {
        share(self.masked(), self.entries())
    }
}

impl MaskedTensor {
    pub(in crate::checkpoint) fn new(name: &str, info: &TensorInfo, counts: Counts) -> Self {
        MaskedTensor {
            name: name.to_owned(),
            dtype: info.dtype(),
            shape: info.shape().to_vec(),
            masked: counts.pruned,
            zeros: counts.zeros,
            entries: info.entries(),
        }
    }

    /// The share of entries that the mask does not keep, in [0, 1].
    pub fn sparsity(&self) -> f64 {
        share(self.masked, self.entries)
    }
}
