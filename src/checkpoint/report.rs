//! [`CheckpointReport`]: what pruning a checkpoint came to.

use std::path::PathBuf;

use safetensors::Dtype;

/// What pruning a checkpoint came to (S19).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointReport {
    /// The pruned tensors, in the order of their names.
    pub tensors: Vec<TensorReport>,
    /// Units asked for in all.
    pub asked: usize,
    /// The other files of the folder, copied as they are.
    pub copied: Vec<PathBuf>,
}

/// What pruning one tensor came to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TensorReport {
    /// Name of the tensor.
    pub name: String,
    /// Its type.
    pub dtype: Dtype,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Units (entries, or channels) that were asked for; `None` where they were asked of all tensors together.
    pub asked: Option<usize>,
    /// Entries that fell.
    pub pruned: usize,
    /// Entries that are zero now, fallen or zero before, of either sign.
    pub zeros: usize,
    /// Entries in all.
    pub entries: usize,
}

impl CheckpointReport {
    /// Entries that fell.
    pub fn pruned(&self) -> usize {
        self.tensors.iter().map(|tensor| tensor.pruned).sum()
    }

    /// Entries of the pruned tensors that are zero now.
    pub fn zeros(&self) -> usize {
        self.tensors.iter().map(|tensor| tensor.zeros).sum()
    }

    /// Entries of the pruned tensors.
    pub fn entries(&self) -> usize {
        self.tensors.iter().map(|tensor| tensor.entries).sum()
    }

    /// The share of entries of the pruned tensors that fell, in [0, 1].
    pub fn sparsity(&self) -> f64 {
        share(self.pruned(), self.entries())
    }
}

impl TensorReport {
    /// The share of entries that fell, in [0, 1].
    pub fn sparsity(&self) -> f64 {
        share(self.pruned, self.entries)
    }
}

pub(super) fn share(part: usize, all: usize) -> f64 {
    if all == 0 { 0.0 } else { part as f64 / all as f64 }
}
