//! [`CheckpointReport`]: what came of pruning a checkpoint.

use std::fmt;
use std::path::PathBuf;

use safetensors::Dtype;

use super::share;

/// The result of pruning a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointReport {
    /// The pruned tensors, in the order of their names.
    pub tensors: Vec<TensorReport>,
    /// What [`requested`](Self::requested) and [`achieved`](Self::achieved) count.
    pub unit: Unit,
    /// Units that were to be pruned.
    pub requested: usize,
    /// The other files of the folder, copied as they are.
    pub copied: Vec<PathBuf>,
}

/// The result of pruning one tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TensorReport {
    /// Name of the tensor.
    pub name: String,
    /// Its type.
    pub dtype: Dtype,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Units that were to be pruned; for N:M the entries that the pattern does not keep. `None` where one number was
    /// requested for all tensors together.
    pub requested: Option<usize>,
    /// Units that are pruned.
    pub achieved: usize,
    /// Units in all.
    pub units: usize,
    /// Entries that are pruned.
    pub pruned: usize,
    /// Entries that are zero now and were not before.
    pub newly_pruned: usize,
    /// Entries that are zero now, pruned or zero before, of either sign.
    pub zeros: usize,
    /// Entries in all.
    pub entries: usize,
}

/// What is pruned as one.
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
    /// Units that are pruned.
    pub fn achieved(&self) -> usize {
        self.sum(|tensor| tensor.achieved)
    }

    /// Units of the pruned tensors.
    pub fn units(&self) -> usize {
        self.sum(|tensor| tensor.units)
    }

    /// Entries that are pruned.
    pub fn pruned(&self) -> usize {
        self.sum(|tensor| tensor.pruned)
    }

    /// Entries that are zero now and were not before.
    pub fn newly_pruned(&self) -> usize {
        self.sum(|tensor| tensor.newly_pruned)
    }

    /// Entries of the pruned tensors that are zero now.
    pub fn zeros(&self) -> usize {
        self.sum(|tensor| tensor.zeros)
    }

    /// Entries of the pruned tensors.
    pub fn entries(&self) -> usize {
        self.sum(|tensor| tensor.entries)
    }

    /// The share of entries of the pruned tensors that are pruned, in [0, 1].
    pub fn sparsity(&self) -> f64 {
        share(self.pruned(), self.entries())
    }

    fn sum(&self, of: impl Fn(&TensorReport) -> usize) -> usize {
        self.tensors.iter().map(of).sum()
    }
}

impl TensorReport {
    /// The share of entries that are pruned, in [0, 1].
    pub fn sparsity(&self) -> f64 {
        share(self.pruned, self.entries)
    }
}
