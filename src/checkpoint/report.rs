//! [`CheckpointReport`]: what pruning a checkpoint came to.

use std::fmt;
use std::path::PathBuf;

use safetensors::Dtype;

/// What pruning a checkpoint came to (S19).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointReport {
    /// The pruned tensors, in the order of their names.
    pub tensors: Vec<TensorReport>,
    /// What was asked for, and counted in [`asked`](Self::asked) and [`reached`](Self::reached).
    pub unit: Unit,
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
    /// Units that were asked for, of N:M the entries that the pattern does not keep; `None` where they were asked of
    /// all tensors together.
    pub asked: Option<usize>,
    /// Units that fell.
    pub reached: usize,
    /// Units in all.
    pub units: usize,
    /// Entries that fell.
    pub pruned: usize,
    /// Entries that are zero now, fallen or zero before, of either sign.
    pub zeros: usize,
    /// Entries in all.
    pub entries: usize,
}

/// What falls as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unit {
    /// Single entries.
    Entries,
    /// Channels.
    Channels,
    /// Tiles of the last two dimensions.
    Blocks,
}

impl fmt::Display for Unit {
    /// Writes `entries`, `channels` or `blocks`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unit::Entries => "entries",
            Unit::Channels => "channels",
            Unit::Blocks => "blocks",
        })
    }
}

impl CheckpointReport {
    /// Units that fell.
    pub fn reached(&self) -> usize {
        self.sum(|tensor| tensor.reached)
    }

    /// Units of the pruned tensors.
    pub fn units(&self) -> usize {
        self.sum(|tensor| tensor.units)
    }

    /// Entries that fell.
    pub fn pruned(&self) -> usize {
        self.sum(|tensor| tensor.pruned)
    }

    /// Entries of the pruned tensors that are zero now.
    pub fn zeros(&self) -> usize {
        self.sum(|tensor| tensor.zeros)
    }

    /// Entries of the pruned tensors.
    pub fn entries(&self) -> usize {
        self.sum(|tensor| tensor.entries)
    }

    /// The share of entries of the pruned tensors that fell, in [0, 1].
    pub fn sparsity(&self) -> f64 {
        share(self.pruned(), self.entries())
    }

    fn sum(&self, of: impl Fn(&TensorReport) -> usize) -> usize {
        self.tensors.iter().map(of).sum()
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
